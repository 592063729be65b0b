// The kernels in vectors of the compiler's width. Each instruction set includes this and fills its table.
#pragma once

#include "../each_tap.h"
#include "broadcast.h"
#include "channelwise.h"
#include "dots.h"
#include "elementwise.h"
#include "finish.h"
#include "fold.h"
#include "lookup.h"
#include "planes.h"

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
    integer_prepare,
    each_tap<lookup_accumulate<IntegerTables>>,
    lookup_collect<int32_t>,
    Rounded::sums,
    true,
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
    integer_prepare,
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

const Product* choose(const LayerSize& size) { return size.planes ? &lookup_product : &broadcast_product; }

const Product* choose_integer(const LayerSize& size) {
    return size.planes ? &integer_lookup_product : &integer_broadcast_product;
}

}  // namespace
}  // namespace pbgen
