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
    .name = "tables in memory",
    .block = lookup_block,
    .sum_bytes = lookup_sum_bytes,
    .weight_bytes = lookup_weight_bytes,
    .arrange = lookup_arrange,
    .accumulate = each_tap<lookup_accumulate<FloatTables>>,
    .collect = lookup_collect<float>,
    .takes_signs = true,
};

const Product integer_lookup_product = {
    .name = "tables in memory, int8",
    .block = lookup_block,
    .sum_bytes = lookup_sum_bytes,
    .weight_bytes = lookup_weight_bytes,
    .arrange = lookup_arrange,
    .source_bytes = integer_source_bytes,
    .prepare = each_pixel<integer_prepare>,
    .accumulate = each_tap<lookup_accumulate<IntegerTables>>,
    .collect = lookup_collect<int32_t>,
    .rounded = Rounded::sums,
    .takes_signs = true,
};

// What is loaded of a row should not lie on two cache lines, and tables are to fit the first cache: of integers, six rows of
// ten numbers fill two lines, and four of 18 three, of which the first is cut; these take longer to make. Others have room
// for taps that reach further; those of a single column are for sounds. A table of eight inputs takes four times as long to
// make as one of six; where vectors have 32 bytes, too few images are as wide as two of them.
constexpr SharedTables shared_floats[] = {
    Shared<SharedFloats, Floats, 8, 16, 128>::tables,
#if VECTOR_BYTES == 16
    Shared<SharedFloats, Floats, 4, 8, 128>::tables,
#endif
    Shared<SharedFloats, Floats, 1, 1, 128, table_bytes / 64 / sizeof(float)>::tables,
};

constexpr SharedTables shared_shorts[] = {
#if VECTOR_BYTES == 16
    Shared<SharedShorts, EightShorts, 8, 10, 512, most_table_pixels, 4>::tables,
    Shared<SharedShorts, EightShorts, 8, 12, 512>::tables,
    Shared<SharedShorts, EightShorts, 4, 4, 512>::tables,
#else
    Shared<SharedShorts, Shorts, 16, 26, 3072, most_table_pixels, 36>::tables,
    Shared<SharedShorts, Shorts, 16, 20, 1024>::tables,
    Shared<SharedShorts, Shorts, 8, 8, 1024>::tables,
    Shared<SharedShorts, Shorts, 4, 4, 1024>::tables,
#endif
    Shared<SharedShorts, Shorts, 1, 1, 384, table_bytes / 256 / sizeof(int16_t)>::tables,
};

const Product shared_product = {
    .name = "tables in memory, shared by taps",
    .block = lookup_block,
    .sum_bytes = lookup_sum_bytes,
    .weight_bytes = six_weight_bytes,
    .collect = lookup_collect<float>,
    .takes_signs = true,
    .shared = shared_floats,
    .shared_count = sizeof shared_floats / sizeof *shared_floats,
};

const Product integer_shared_product = {
    .name = "tables in memory, shared by taps, int8",
    .block = lookup_block,
    .sum_bytes = lookup_sum_bytes,
    .weight_bytes = lookup_weight_bytes,
    .source_bytes = integer_source_bytes,
    .prepare = each_pixel<integer_prepare>,
    .collect = lookup_collect<int32_t>,
    .rounded = Rounded::sums,
    .takes_signs = true,
    .shared = shared_shorts,
    .shared_count = sizeof shared_shorts / sizeof *shared_shorts,
    .widen = widen,
};

const Product broadcast_product = {
    .name = "float32 weights, broadcast",
    .block = Broadcast<FloatUnits>::block,
    .sum_bytes = Broadcast<FloatUnits>::sum_bytes,
    .weight_bytes = Broadcast<FloatUnits>::weight_bytes,
    .arrange = Broadcast<FloatUnits>::arrange,
    .accumulate = each_tap<Broadcast<FloatUnits>::accumulate>,
    .collect = Broadcast<FloatUnits>::collect,
};

const Product integer_broadcast_product = {
    .name = "float weights as int8, broadcast",
    .block = Broadcast<ShortUnits>::block,
    .sum_bytes = Broadcast<ShortUnits>::sum_bytes,
    .weight_bytes = Broadcast<ShortUnits>::weight_bytes,
    .arrange = Broadcast<ShortUnits>::arrange,
    .source_bytes = integer_source_bytes,
    .prepare = each_pixel<integer_prepare>,
    .accumulate = each_tap<Broadcast<ShortUnits>::accumulate>,
    .collect = Broadcast<ShortUnits>::collect,
    .rounded = Rounded::inputs,
};

const DotProducts float_dots = {sizeof(float), nullptr, arrange_float_rows, RowDots<FloatNumbers>::run, false};

const DotProducts integer_dots = {
    sizeof(int16_t), prepare_short_rows, arrange_short_rows, RowDots<ShortNumbers>::run, true,
};

const Product* channelwise() { return &channelwise_product; }

const DotProducts& dots(bool integers) { return integers ? integer_dots : float_dots; }

const Product* choose_shared(const LayerSize& size, bool integers) {
    if (!integers) return &shared_product;
    return size.inputs < SharedShorts::inputs ? nullptr : &integer_shared_product;
}

const Product* choose(const LayerSize& size) { return size.planes ? &lookup_product : &broadcast_product; }

const Product* choose_integer(const LayerSize& size) {
    return size.planes ? &integer_lookup_product : &integer_broadcast_product;
}

}  // namespace
}  // namespace pbgen
