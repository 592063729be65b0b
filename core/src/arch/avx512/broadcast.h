// Weights that are numbers; lanes are output channels. A unit of a pixel's inputs, 4 bytes, is broadcast and meets the
// unit's weights of 16 output channels: one float32, or several smaller numbers, whose products a lane adds up.
//
// Weights: [units][vectors][16][numbers of a unit]. Sums: [tile_pixels][width].
#pragma once

#include "round.h"

namespace pbgen::avx512 {
namespace {

template <class Units>
struct Broadcast {
    using Number = typename Units::Number;
    using Vector = typename Units::Vector;

    static constexpr size_t unit_bytes = 4, unit_inputs = unit_bytes / sizeof(Number);
    static constexpr size_t block = max_vectors * lanes, width = block;

    static size_t units(size_t inputs) { return divide_up(inputs, unit_inputs); }

    static size_t weight_bytes(size_t inputs, size_t outputs) {
        return units(inputs) * divide_up(outputs, lanes) * sizeof(Vector);
    }

    static void arrange(const void* weights, size_t inputs, size_t outputs, void* arranged) {
        const auto* from = static_cast<const float*>(weights);
        auto* to = static_cast<Number*>(arranged);
        for (size_t first = 0; first < inputs; first += unit_inputs)
            for (size_t output = 0; output < divide_up(outputs, lanes) * lanes; ++output)
                for (size_t input = first; input < first + unit_inputs; ++input) {
                    const bool is = output < outputs && input < inputs;
                    *to++ = is ? static_cast<Number>(from[output * inputs + input]) : Number{0};
                }
    }

    // One tap of a block.
    struct Work {
        const void* weights;
        size_t units;
    };

    template <int pixels, int vectors>
    struct Kernel {
        static void run(const Work& work, const char* const* sources, float* const* out) {
            Vector sums[pixels][vectors];
            load<pixels, vectors>(sums, out);
            const auto* at = static_cast<const Vector*>(work.weights);
            for (size_t unit = 0; unit < work.units; ++unit, at += vectors)
                UNROLL for (int v = 0; v < vectors; ++v) {
                    const Vector weight = at[v];
                    UNROLL for (int p = 0; p < pixels; ++p) sums[p][v] =
                        Units::add(sums[p][v], weight, sources[p] + unit * unit_bytes);
                }
            store<pixels, vectors>(sums, out);
        }
    };

    static void accumulate(const void* weights, size_t inputs, size_t outputs, const void* const* sources,
                           const uint8_t* pixels, size_t count, void* sums) {
        run_vectors<Kernel, max_vectors, sum_registers, char>(divide_up(outputs, lanes), Work{weights, units(inputs)}, sources,
                                                              pixels, count, sums, width);
    }

    static const float* collect(const void* sums, size_t outputs, size_t, size_t pixel, size_t count, float scale,
                                float* rows) {
        if constexpr (unit_inputs == 1) return static_cast<const float*>(sums) + pixel * width;
        return scale_sums(static_cast<const int32_t*>(sums) + pixel * width, width, outputs, 1, count, scale, rows, width);
    }
};

}  // namespace
}  // namespace pbgen::avx512
