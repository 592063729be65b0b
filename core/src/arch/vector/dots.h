// Dot products of long rows: lanes are partial sums of one pixel and output channel.
#pragma once

#include "round.h"

namespace pbgen {
namespace {

// Numbers: what is multiplied, in vectors of `numbers` of it. Vector: of partial sums.
template <class Numbers>
struct RowDots {
    using Number = typename Numbers::Number;
    using Vector = typename Numbers::Vector;
    using Sum = typename Numbers::Sum;

    // As many sums as there are registers for, with the weights.
    template <size_t channels>
    static constexpr size_t most_pixels = channels == 1 ? 8 : channels == 2 ? 4 : 3;

    struct Work {
        const DotRow* rows;
        size_t count, source_step, weight_step;
        float scale;
    };

    template <size_t pixels, size_t channels>
    static __attribute__((aligned(64))) void run_pixels(const Work& work, size_t first, const DotSums& to) {
        Vector sums[pixels][channels] = {};
        for (size_t r = 0; r < work.count; ++r) {
            const auto* source = static_cast<const Number*>(work.rows[r].source) + first * work.source_step;
            const auto* weights = static_cast<const Number*>(work.rows[r].weights);
            const auto add = [&](size_t i, const auto& load) {
                decltype(load(source)) weight[channels];
                UNROLL for (size_t c = 0; c < channels; ++c) weight[c] = load(weights + c * work.weight_step + i);
                UNROLL for (size_t p = 0; p < pixels; ++p) {
                    const auto input = load(source + p * work.source_step + i);
                    UNROLL for (size_t c = 0; c < channels; ++c) sums[p][c] = Numbers::add(sums[p][c], input, weight[c]);
                }
            };
            size_t i = 0;
            const size_t count = work.rows[r].numbers;
            for (; i + Numbers::numbers <= count; i += Numbers::numbers) add(i, Numbers::load);
            if (i < count) add(i, [&](const Number* at) { return Numbers::load_first(at, count - i); });
        }
        for (size_t p = 0; p < pixels; ++p)
            for (size_t c = 0; c < channels; ++c) {
                Sum sum = 0;
                for (size_t lane = 0; lane < sizeof(Vector) / sizeof(Sum); ++lane) sum += sums[p][c][lane];
                to.first[(first + p) * to.step + c] = static_cast<float>(sum) * work.scale;
            }
    }

    // The last pixels overlap those before them rather than being fewer.
    template <size_t channels>
    static void run_channels(const Work& work, size_t pixels, const DotSums& to) {
        constexpr size_t step = most_pixels<channels>;
        if (pixels < step) {
            for (size_t p = 0; p < pixels; ++p) run_pixels<1, channels>(work, p, to);
            return;
        }
        for (size_t p = 0; p + step < pixels; p += step) run_pixels<step, channels>(work, p, to);
        run_pixels<step, channels>(work, pixels - step, to);
    }

    static void run(const DotRow* rows, size_t count, size_t pixels, size_t source_step, size_t outputs, size_t weight_step,
                    const Quantization& quantization, const DotSums& sums) {
        const Work work = {rows, count, source_step, weight_step, quantization.scale};
        switch (outputs) {
            case 3: return run_channels<3>(work, pixels, sums);
            case 2: return run_channels<2>(work, pixels, sums);
            case 1: return run_channels<1>(work, pixels, sums);
        }
    }
};

struct FloatNumbers {
    using Number = float;
    using Vector = Floats;
    using Sum = float;
    static constexpr size_t numbers = lanes;

    static Floats load(const float* from) { return pbgen::load<Floats>(from); }
    static Floats load_first(const float* from, size_t count) { return pbgen::load_first(from, count); }
    static Floats add(Floats sum, Floats inputs, Floats weights) { return sum + inputs * weights; }
};

struct ShortNumbers {
    using Number = int16_t;
    using Vector = Ints;
    using Sum = int32_t;
    static constexpr size_t numbers = 2 * lanes;

    static Shorts load(const int16_t* from) { return pbgen::load<Shorts>(from); }
    static Shorts load_first(const int16_t* from, size_t count) {
        Shorts vector = {};
        __builtin_memcpy(&vector, from, count * sizeof(int16_t));
        return vector;
    }
    static Ints add(Ints sum, Shorts inputs, Shorts weights) { return add_pairs(sum, inputs, weights); }
};

void arrange_float_rows(const float* values, size_t count, void* weights) {
    __builtin_memcpy(weights, values, count * sizeof(float));
}

void arrange_short_rows(const float* values, size_t count, void* weights) {
    for (size_t i = 0; i < count; ++i) static_cast<int16_t*>(weights)[i] = static_cast<int16_t>(values[i]);
}

void prepare_short_rows(const float* values, size_t count, const Quantization& quantization, void* source) {
    auto* to = static_cast<int16_t*>(source);
    const auto put = [&](size_t at, Ints q, size_t some) {
        for (size_t lane = 0; lane < some; ++lane) to[at + lane] = static_cast<int16_t>(q[lane]);
    };
    size_t i = 0;
    for (; i + lanes <= count; i += lanes) put(i, quantize(load<Floats>(values + i), quantization), lanes);
    if (i < count) put(i, quantize(load_first(values + i, count - i), quantization), count - i);
}

}  // namespace
}  // namespace pbgen
