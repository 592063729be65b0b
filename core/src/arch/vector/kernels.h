// The kernels in vectors of the compiler's width. Each instruction set includes this and fills its table.
#pragma once

#include "../each_tap.h"
#include "broadcast.h"
#include "channelwise.h"
#include "dot.h"
#include "finish.h"
#include "lookup.h"
#include "runs.h"

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
    false,
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
    false,
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
    true,
};

const Product dot_product = {
    "float32 weights, dot products",
    dot_block,
    dot_sum_bytes,
    dot_weight_bytes,
    dot_arrange,
    nullptr,
    nullptr,
    each_tap<dot_accumulate>,
    dot_collect,
    false,
};

const Product one_bit_dot_product = {
    "one-bit weights, dot products",
    dot_block,
    dot_sum_bytes,
    one_bit_dot_weight_bytes,
    one_bit_dot_arrange,
    nullptr,
    nullptr,
    each_tap<one_bit_dot_accumulate>,
    dot_collect,
    false,
};

// Tables must pay for being built: so many output channels share them, by measurement.
constexpr size_t fewest_lookup_outputs = 10;
constexpr size_t fewest_integer_lookup_outputs = 4;

const Product* choose(const LayerSize& size) {
    if (size.one_bit) {
        // A pixel with few inputs fills no vector of them.
        const bool lookup = size.outputs >= fewest_lookup_outputs || size.inputs < lanes;
        return lookup ? &lookup_product : &one_bit_dot_product;
    }
    // Vectors of weights if lanes are inputs, and if they are output channels.
    const size_t along = divide_up(size.inputs, lanes) * size.outputs;
    const size_t across = divide_up(size.outputs, lanes) * size.inputs;
    return size.outputs <= dot_block && along < across ? &dot_product : &broadcast_product;
}

const Product* choose_integer(const LayerSize& size) {
    if (!size.one_bit) return &integer_broadcast_product;
    return size.outputs >= fewest_integer_lookup_outputs ? &integer_lookup_product : choose(size);
}

}  // namespace
}  // namespace pbgen
