// Few output channels: lanes are inputs, a vector is the partial sums of one output channel.
//
// Weights lie as they come. Sums: [tile_pixels][dot_block][lanes].
#pragma once

#include "dense.h"

namespace pbgen {
namespace {

constexpr size_t dot_block = 16;
constexpr size_t dot_width = dot_block * lanes;  // of a pixel's sums

size_t dot_sum_bytes(size_t, size_t pixels) { return pixels * dot_width * sizeof(float); }

size_t dot_weight_bytes(size_t inputs, size_t outputs) { return inputs * outputs * sizeof(float); }

void dot_arrange(const void* weights, size_t inputs, size_t outputs, void* arranged) {
    __builtin_memcpy(arranged, weights, dot_weight_bytes(inputs, outputs));
}

template <size_t pixels, size_t vectors, class Load>
inline void add_products(const float* weights, size_t stride, const float* const* inputs, size_t at, const Load& get,
                         Sums<pixels, vectors>& sums) {
    Floats weight[vectors];
    UNROLL for (size_t v = 0; v < vectors; ++v) weight[v] = get(weights + v * stride + at);
    UNROLL for (size_t p = 0; p < pixels; ++p) {
        const Floats x = get(inputs[p] + at);
        UNROLL for (size_t v = 0; v < vectors; ++v) sums[p][v] += weight[v] * x;
    }
}

template <size_t pixels, size_t vectors>
inline void add_dots(const float* weights, size_t stride, size_t count, const float* const* inputs, float* const* to) {
    Sums<pixels, vectors> sums;
    load_sums(to, sums);
    size_t i = 0;
    for (; i + lanes <= count; i += lanes) add_products(weights, stride, inputs, i, load<Floats, float>, sums);
    if (count < lanes) {
        add_products(weights, stride, inputs, 0, [=](const float* from) { return load_first(from, count); }, sums);
    } else if (i < count) {
        // The last vector once more, without what it shares with the one before.
        const auto get = [=](const float* from) { return last_lanes(load<Floats>(from), count - i); };
        add_products(weights, stride, inputs, count - lanes, get, sums);
    }
    store_sums(sums, to);
}

template <size_t vectors>
void dot_panel(const float* weights, size_t stride, size_t begin, size_t count, const Pixels& pixels) {
    pixels.for_some<vectors == 1 ? 8 : 4>([&](auto n, const float* const* rows, float* const* sums) {
        const float* inputs[n.value];
        UNROLL for (size_t p = 0; p < n.value; ++p) inputs[p] = rows[p] + begin;
        add_dots<n.value, vectors>(weights, stride, count, inputs, sums);
    });
}

// The weights are those of `count` inputs from `begin` on, `stride` apart for each output channel.
void add_inputs(const float* weights, size_t stride, size_t begin, size_t count, size_t outputs, const Pixels& pixels) {
    for (size_t first = 0, panel; first < outputs; first += panel) {
        panel = panel_size(outputs, first);
        const float* from = weights + first * stride;
        Pixels all = pixels;
        all.sums += first * lanes;
        switch (panel) {
            case 3: dot_panel<3>(from, stride, begin, count, all); break;
            case 2: dot_panel<2>(from, stride, begin, count, all); break;
            case 1: dot_panel<1>(from, stride, begin, count, all); break;
        }
    }
}

void dot_accumulate(const void* weights, size_t inputs, size_t outputs, const void* const* sources,
                    const uint8_t* pixels, size_t count, void* sums) {
    add_inputs(static_cast<const float*>(weights), inputs, 0, inputs, outputs,
               {sources, pixels, count, static_cast<float*>(sums), dot_width});
}

template <size_t count>
inline float total(const float* x) {
    if constexpr (count == 1)
        return *x;
    else
        return total<count / 2>(x) + total<count / 2>(x + count / 2);
}

const float* dot_collect(const void* sums, size_t outputs, size_t pixel, size_t count, float scale, float* rows) {
    const float* from = static_cast<const float*>(sums) + pixel * dot_width;
    for (size_t p = 0; p < count; ++p, from += dot_width)
        for (size_t o = 0; o < outputs; ++o) rows[p * dot_block + o] = total<lanes>(from + o * lanes) * scale;
    return rows;
}

size_t one_bit_dot_weight_bytes(size_t inputs, size_t outputs) { return divide_up(inputs, 8) * outputs; }

void one_bit_dot_arrange(const void* weights, size_t inputs, size_t outputs, void* arranged) {
    __builtin_memcpy(arranged, weights, one_bit_dot_weight_bytes(inputs, outputs));
}

// +1 or -1 for each of 8 bits.
inline void unpack(unsigned byte, float* to) {
    for (size_t first = 0; first < 8; first += lanes) {
        Ints bit;
        UNROLL for (size_t lane = 0; lane < lanes; ++lane) bit[lane] = 1 << (first + lane);
        const Ints one = (Ints)splat(1), set = (bit & static_cast<int>(byte)) != 0;
        store(to + first, one | (~set & INT32_MIN));
    }
}

void one_bit_dot_accumulate(const void* weights, size_t inputs, size_t outputs, const void* const* sources,
                            const uint8_t* pixels, size_t count, void* sums) {
    constexpr size_t piece = 256;  // inputs at a time
    alignas(64) float numbers[dot_block][piece];
    const size_t row_bytes = divide_up(inputs, 8);
    for (size_t begin = 0; begin < inputs; begin += piece) {
        const size_t size = begin + piece < inputs ? piece : inputs - begin;
        for (size_t o = 0; o < outputs; ++o) {
            const uint8_t* bytes = static_cast<const uint8_t*>(weights) + o * row_bytes + begin / 8;
            for (size_t i = 0; i < size; i += 8) unpack(bytes[i / 8], &numbers[o][i]);
        }
        add_inputs(numbers[0], piece, begin, size, outputs,
                   {sources, pixels, count, static_cast<float*>(sums), dot_width});
    }
}

}  // namespace
}  // namespace pbgen
