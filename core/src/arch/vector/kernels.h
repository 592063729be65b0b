// The kernels in vectors of the compiler's width. Each instruction set includes this and fills its table.
#pragma once

#include "../each_pixel.h"
#include "../each_tap.h"
#include "broadcast.h"
#include "channelwise.h"
#include "dots.h"
#include "elementwise.h"
#include "finish.h"
#include "fold.h"
#include "lookup.h"
#include "planes.h"
#include "shared_tables.h"

namespace pbgen {
namespace {

const Product lookup_product = {
    "tables in memory",
    lookup_block,
    lookup_sum_bytes,
    lookup_weight_bytes,
    lookup_arrange,
    nullptr,
    nullptr,
    each_tap<lookup_accumulate<FloatTables>>,
    lookup_collect<float>,
    Rounded::nothing,
    true,
};

const Product integer_lookup_product = {
    "tables in memory, int8",
    lookup_block,
    lookup_sum_bytes,
    lookup_weight_bytes,
    lookup_arrange,
    integer_source_bytes,
    each_pixel<integer_prepare>,
    each_tap<lookup_accumulate<IntegerTables>>,
    lookup_collect<int32_t>,
    Rounded::sums,
    true,
};

// Entries of one row and tap should not cross a cache line, and tables are to fit the first cache.
constexpr SharedTables shared_floats[] = {
    Shared<SharedFloats, Floats, 8, 16>::tables,
#if VECTOR_BYTES == 16
    Shared<SharedFloats, Floats, 4, 8>::tables,
#endif
};

constexpr SharedTables shared_shorts[] = {
    Shared<SharedShorts, EightShorts, 8, 12>::tables,
    Shared<SharedShorts, EightShorts, 4, 4>::tables,
};

const Product shared_product = {
    "tables in memory, shared by taps",
    lookup_block,
    lookup_sum_bytes,
    six_weight_bytes,
    six_arrange,
    nullptr,
    nullptr,
    nullptr,
    lookup_collect<float>,
    Rounded::nothing,
    true,
    0,
    shared_floats,
    sizeof shared_floats / sizeof *shared_floats,
};

const Product integer_shared_product = {
    "tables in memory, shared by taps, int8",
    lookup_block,
    lookup_sum_bytes,
    lookup_weight_bytes,
    lookup_arrange,
    integer_source_bytes,
    each_pixel<integer_prepare>,
    nullptr,
    lookup_collect<int32_t>,
    Rounded::sums,
    true,
    0,
    shared_shorts,
    sizeof shared_shorts / sizeof *shared_shorts,
    widen,
};

const Product broadcast_product = {
    "float32 weights, broadcast",
    Broadcast<FloatUnits>::block,
    Broadcast<FloatUnits>::sum_bytes,
    Broadcast<FloatUnits>::weight_bytes,
    Broadcast<FloatUnits>::arrange,
    nullptr,
    nullptr,
    each_tap<Broadcast<FloatUnits>::accumulate>,
    Broadcast<FloatUnits>::collect,
    Rounded::nothing,
};

const Product integer_broadcast_product = {
    "float weights as int8, broadcast",
    Broadcast<ShortUnits>::block,
    Broadcast<ShortUnits>::sum_bytes,
    Broadcast<ShortUnits>::weight_bytes,
    Broadcast<ShortUnits>::arrange,
    integer_source_bytes,
    each_pixel<integer_prepare>,
    each_tap<Broadcast<ShortUnits>::accumulate>,
    Broadcast<ShortUnits>::collect,
    Rounded::inputs,
};

const DotProducts float_dots = {sizeof(float), nullptr, arrange_float_rows, RowDots<FloatNumbers>::run, false};

const DotProducts integer_dots = {
    sizeof(int16_t), prepare_short_rows, arrange_short_rows, RowDots<ShortNumbers>::run, true,
};

const Product* channelwise() { return &channelwise_product; }

const DotProducts& dots(bool integers) { return integers ? integer_dots : float_dots; }

// A table is made for so many lookups at least; one of eight inputs takes four times as long as one of six. Vectors of 32 bytes
// gain nothing from the latter: too few images are as wide as two of them.
const Product* choose_shared(const LayerSize& size, bool integers) {
    const size_t lookups = size.planes * size.outputs * size.taps;
    if (!integers) return lookups < 128 ? nullptr : &shared_product;
    const bool pays = vector_bytes == 16 && lookups >= 1536 && size.inputs >= SharedShorts::inputs;
    return pays ? &integer_shared_product : nullptr;
}

const Product* choose(const LayerSize& size) { return size.planes ? &lookup_product : &broadcast_product; }

const Product* choose_integer(const LayerSize& size) {
    return size.planes ? &integer_lookup_product : &integer_broadcast_product;
}

}  // namespace
}  // namespace pbgen
