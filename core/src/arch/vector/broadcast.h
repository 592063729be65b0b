// Float weights, lanes are output channels: each input of a pixel is broadcast.
//
// Weights: panels of up to three vectors, each [inputs][vectors][lanes]. Sums: [tile_pixels][broadcast_block].
#pragma once

#include "dense.h"

namespace pbgen {
namespace {

constexpr size_t broadcast_block = tile_bytes / tile_pixels / sizeof(float);

size_t broadcast_sum_bytes(size_t, size_t pixels) { return pixels * broadcast_block * sizeof(float); }

size_t broadcast_weight_bytes(size_t inputs, size_t outputs) {
    return inputs * divide_up(outputs, lanes) * vector_bytes;
}

void broadcast_arrange(const void* weights, size_t inputs, size_t outputs, void* arranged) {
    const auto* from = static_cast<const float*>(weights);
    auto* to = static_cast<float*>(arranged);
    const size_t vectors = divide_up(outputs, lanes);
    for (size_t first = 0, panel; first < vectors; first += panel) {
        panel = panel_size(vectors, first);
        for (size_t input = 0; input < inputs; ++input)
            for (size_t o = first * lanes; o < (first + panel) * lanes; ++o)
                *to++ = o < outputs ? from[o * inputs + input] : 0;
    }
}

template <size_t pixels, size_t vectors>
inline void add_broadcast(const float* weights, size_t begin, size_t end, const float* const* inputs,
                          float* const* to) {
    Sums<pixels, vectors> sums;
    load_sums(to, sums);
    for (size_t i = begin; i < end; ++i) {
        Floats weight[vectors];
        UNROLL for (size_t v = 0; v < vectors; ++v) weight[v] = load<Floats>(weights + (i * vectors + v) * lanes);
        UNROLL for (size_t p = 0; p < pixels; ++p) {
            const Floats x = splat(inputs[p][i]);
            UNROLL for (size_t v = 0; v < vectors; ++v) sums[p][v] += weight[v] * x;
        }
    }
    store_sums(sums, to);
}

template <size_t vectors>
void broadcast_panel(const float* weights, size_t begin, size_t end, const Pixels& pixels) {
    pixels.for_some<vectors == 1 ? 8 : 4>([&](auto count, const float* const* inputs, float* const* sums) {
        add_broadcast<count.value, vectors>(weights, begin, end, inputs, sums);
    });
}

void broadcast_accumulate(const void* weights, size_t inputs, size_t outputs, const void* const* sources,
                          const uint8_t* pixels, size_t count, void* sums) {
    // So many inputs of a tile's pixels and of a panel's weights stay in the first cache together.
    constexpr size_t step = 128;
    const size_t vectors = divide_up(outputs, lanes);
    for (size_t begin = 0; begin < inputs; begin += step) {
        const size_t end = begin + step < inputs ? begin + step : inputs;
        for (size_t first = 0, panel; first < vectors; first += panel) {
            panel = panel_size(vectors, first);
            const float* from = static_cast<const float*>(weights) + first * lanes * inputs;
            const Pixels all = {sources, pixels, count, static_cast<float*>(sums) + first * lanes, broadcast_block};
            switch (panel) {
                case 3: broadcast_panel<3>(from, begin, end, all); break;
                case 2: broadcast_panel<2>(from, begin, end, all); break;
                case 1: broadcast_panel<1>(from, begin, end, all); break;
            }
        }
    }
}

const float* broadcast_collect(const void* sums, size_t outputs, size_t pixel, size_t count, float scale, float* rows) {
    const float* from = static_cast<const float*>(sums) + pixel * broadcast_block;
    if (scale == 1) return from;
    for (size_t p = 0; p < count; ++p)
        for (size_t o = p * broadcast_block; o < p * broadcast_block + outputs; o += lanes)
            store(rows + o, load<Floats>(from + o) * scale);
    return rows;
}

}  // namespace
}  // namespace pbgen
