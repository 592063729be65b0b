// Weights and inputs of 8 bits, by dot products of four at a time, which want inputs of one kind: with a sign, or without.
#pragma once

#include "../each_pixel.h"
#include "../each_tap.h"
#include "../zero_point.h"
#include "broadcast.h"
#include "round.h"

namespace pbgen {
namespace {

// Units: as for Broadcast, of four bytes. Inputs of the other kind are moved by the zero point, which is negative where they
// get a sign.
template <class Units, int zero_point>
struct Bytes {
    using Dots = Broadcast<Units>;
    using Layer = Moved<Dots, zero_point>;

    static void prepare(const float* values, size_t inputs, const Quantization& quantization, void* source) {
        const bool is_signed = quantization.low < 0;
        const int zero = is_signed == (zero_point > 0) ? zero_point : 0;
        auto* bytes = static_cast<uint8_t*>(source);
        const auto add = [&](Ints q, size_t at, size_t count) {
            for (size_t i = 0; i < count; ++i) bytes[at + i] = static_cast<uint8_t>(q[i] + zero);
        };
        size_t i = 0;
        for (; i + lanes <= inputs; i += lanes) add(quantize(load<Floats>(values + i), quantization), i, lanes);
        if (i < inputs) add(quantize(load_first(values + i, inputs - i), quantization), i, inputs - i);
        Layer::is_moved(source, inputs) = zero;
    }

    static constexpr Product product = {
        .name = "float weights as int8, dot products",
        .block = Dots::block,
        .sum_bytes = Dots::sum_bytes,
        .weight_bytes = Layer::weight_bytes,
        .arrange = Layer::arrange,
        .source_bytes = Layer::source_bytes,
        .prepare = each_pixel<prepare>,
        .accumulate = each_tap<Layer::accumulate>,
        .collect = Dots::collect,
        .rounded = Rounded::inputs,
    };
};

}  // namespace
}  // namespace pbgen
