// Weights that are numbers, lanes are output channels: a unit of a pixel's inputs, 4 bytes, is broadcast. That is one
// float32, or several integers, whose products a lane adds up.
//
// Weights: panels of up to three vectors, each [units][vectors][lanes][numbers of a unit]. Sums: [tile_pixels][width].
#pragma once

#include "dense.h"

namespace pbgen {
namespace {

struct FloatUnits {
    using Number = float;
    using Vector = Floats;
    using Sum = Floats;

    static inline Floats splat_unit(const float* unit) { return splat(*unit); }
    static inline Floats add(Floats sums, Floats weights, Floats x) { return sums + weights * x; }
};

// Integers of 8 bits as such of 16, as most processors multiply no smaller ones without loss.
struct ShortUnits {
    using Number = int16_t;
    using Vector = Shorts;
    using Sum = Ints;

    static inline Shorts splat_unit(const float* unit) { return (Shorts)(load<int32_t>(unit) - Ints{}); }
    static inline Ints add(Ints sums, Shorts weights, Shorts x) { return add_pairs(sums, weights, x); }
};

template <class Units>
struct Broadcast {
    using Number = typename Units::Number;
    using Vector = typename Units::Vector;

    static constexpr size_t block = tile_bytes / tile_pixels / sizeof(float), width = block;
    static constexpr size_t unit_inputs = sizeof(float) / sizeof(Number);

    static size_t units(size_t inputs) { return divide_up(inputs, unit_inputs); }

    static size_t sum_bytes(size_t, size_t pixels) { return pixels * width * sizeof(float); }

    static size_t weight_bytes(size_t inputs, size_t outputs) {
        return units(inputs) * divide_up(outputs, lanes) * vector_bytes;
    }

    static void arrange(const void* weights, size_t inputs, size_t outputs, void* arranged) {
        const auto* from = static_cast<const float*>(weights);
        auto* to = static_cast<Number*>(arranged);
        const size_t vectors = divide_up(outputs, lanes);
        for (size_t first = 0, panel; first < vectors; first += panel) {
            panel = panel_size(vectors, first);
            for (size_t unit = 0; unit < units(inputs); ++unit)
                for (size_t o = first * lanes; o < (first + panel) * lanes; ++o)
                    for (size_t i = unit * unit_inputs; i < (unit + 1) * unit_inputs; ++i)
                        *to++ = o < outputs && i < inputs ? static_cast<Number>(from[o * inputs + i]) : Number{0};
        }
    }

    static void accumulate(const void* weights, size_t inputs, size_t outputs, const void* const* sources,
                           const uint8_t* pixels, size_t count, void* sums) {
        // So many units of a tile's pixels and of a panel's weights stay in the first cache together.
        constexpr size_t step = 128;
        const size_t vectors = divide_up(outputs, lanes), all_units = units(inputs);
        for (size_t begin = 0; begin < all_units; begin += step) {
            const size_t end = begin + step < all_units ? begin + step : all_units;
            for (size_t first = 0, panel; first < vectors; first += panel) {
                panel = panel_size(vectors, first);
                const float* from = static_cast<const float*>(weights) + first * lanes * all_units;
                const Pixels all = {sources, pixels, count, static_cast<float*>(sums) + first * lanes, width};
                switch (panel) {
                    case 3: add_panel<3>(from, begin, end, all); break;
                    case 2: add_panel<2>(from, begin, end, all); break;
                    case 1: add_panel<1>(from, begin, end, all); break;
                }
            }
        }
    }

    static const float* collect(const void* sums, size_t outputs, size_t, size_t pixel, size_t count, float scale,
                                float* rows) {
        const auto* from = static_cast<const float*>(sums) + pixel * width;
        if constexpr (unit_inputs == 1) return from;
        for (size_t p = 0; p < count; ++p)
            for (size_t o = p * width; o < p * width + outputs; o += lanes)
                store(rows + o, __builtin_convertvector(load<Ints>(from + o), Floats) * scale);
        return rows;
    }

private:
    template <size_t vectors>
    static void add_panel(const float* weights, size_t begin, size_t end, const Pixels& pixels) {
        pixels.for_some<vectors == 1 ? 8 : 4>([&](auto count, const float* const* inputs, float* const* sums) {
            add_units<count.value, vectors>(weights, begin, end, inputs, sums);
        });
    }

    // From unit `begin` to `end`.
    template <size_t pixels, size_t vectors>
    static inline void add_units(const float* weights, size_t begin, size_t end, const float* const* inputs,
                                 float* const* to) {
        typename Units::Sum sums[pixels][vectors];
        load_sums(to, sums);
        for (size_t i = begin; i < end; ++i) {
            Vector weight[vectors];
            UNROLL for (size_t v = 0; v < vectors; ++v) weight[v] = load<Vector>(weights + (i * vectors + v) * lanes);
            UNROLL for (size_t p = 0; p < pixels; ++p) {
                const Vector x = Units::splat_unit(inputs[p] + i);
                UNROLL for (size_t v = 0; v < vectors; ++v) sums[p][v] = Units::add(sums[p][v], weight[v], x);
            }
        }
        store_sums(sums, to);
    }
};

}  // namespace
}  // namespace pbgen
