// Dot products of long rows: lanes are partial sums of one pixel and output channel. A few pixels and channels make 16
// vectors of them, whose lanes are added up together.
#pragma once

#include <cstring>

#include "products.h"

namespace pbgen::avx512 {
namespace {

// Numbers: what is multiplied, in vectors of `numbers` of it. Vector: of partial sums.
template <class Numbers>
struct RowDots {
    using Number = typename Numbers::Number;
    using Vector = typename Numbers::Vector;

    static constexpr size_t numbers = Numbers::numbers;

    template <size_t channels>
    static constexpr size_t most_pixels = lanes / channels;

    // One number of each vector, of 16 vectors: halves of two are added, then halves of these, and so on.
    static INLINE Vector add_up(const Vector (&x)[lanes]) {
        Vector eight[8], four[4], two[2];
        UNROLL for (size_t i = 0; i < 8; ++i) eight[i] = Numbers::sum(Numbers::template quarters<0x44>(x[i], x[i + 8]),
                                                                      Numbers::template quarters<0xee>(x[i], x[i + 8]));
        UNROLL for (size_t i = 0; i < 4; ++i) four[i] = Numbers::sum(
            Numbers::template quarters<0x88>(eight[i], eight[i + 4]), Numbers::template quarters<0xdd>(eight[i], eight[i + 4]));
        UNROLL for (size_t i = 0; i < 2; ++i) two[i] = Numbers::sum(Numbers::template singles<0x44>(four[i], four[i + 2]),
                                                                    Numbers::template singles<0xee>(four[i], four[i + 2]));
        const __m512i order = _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15);
        return Numbers::permute(order, Numbers::sum(Numbers::template singles<0x88>(two[0], two[1]),
                                                    Numbers::template singles<0xdd>(two[0], two[1])));
    }

    // One row, its last numbers by a mask.
    template <size_t pixels, size_t channels>
    static INLINE void add_row(const DotRow& row, size_t from, size_t source_step, size_t weight_step, Vector (&sums)[lanes]) {
        const auto* source = static_cast<const Number*>(row.source) + from;
        const auto* weights = static_cast<const Number*>(row.weights);
        const auto add = [&](size_t i, const auto& load) __attribute__((always_inline)) {
            Vector weight[channels];
            UNROLL for (size_t c = 0; c < channels; ++c) weight[c] = load(weights + c * weight_step + i);
            UNROLL for (size_t p = 0; p < pixels; ++p) {
                Vector input = load(source + p * source_step + i);
                in_order(input);  // in a register: the compiler would load it anew for each channel
                UNROLL for (size_t c = 0; c < channels; ++c) {
                    Vector sum = Numbers::add(sums[p * channels + c], input, weight[c]);
                    in_order(sum);
                    sums[p * channels + c] = sum;
                }
            }
        };
        size_t i = 0;
        for (; i + numbers <= row.numbers; i += numbers) add(i, [](const Number* at) { return Numbers::load(at); });
        if (i < row.numbers) add(i, [&](const Number* at) { return Numbers::load(at, row.numbers - i); });
    }

    struct Work {
        const DotRow* rows;
        size_t count, source_step, weight_step;
        __m512 scale;
    };

    template <size_t pixels, size_t channels>
    static void run_pixels(const Work& work, size_t first, const DotSums& to) {
        Vector sums[lanes];
        UNROLL for (Vector& sum : sums) sum = Numbers::zero();
        for (size_t r = 0; r < work.count; ++r)
            add_row<pixels, channels>(work.rows[r], first * work.source_step, work.source_step, work.weight_step, sums);
        const __m512 result = _mm512_mul_ps(Numbers::floats(add_up(sums)), work.scale);
        alignas(64) float values[lanes];
        _mm512_store_ps(values, result);
        UNROLL for (size_t p = 0; p < pixels; ++p)
            memcpy(to.first + (first + p) * to.step, values + p * channels, channels * sizeof(float));
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
        const Work work = {rows, count, source_step, weight_step, _mm512_set1_ps(quantization.scale)};
        switch (outputs) {
            case 3: return run_channels<3>(work, pixels, sums);
            case 2: return run_channels<2>(work, pixels, sums);
            case 1: return run_channels<1>(work, pixels, sums);
        }
    }
};

// Integers of 16 bits, two a lane.
struct Shorts {
    using Number = int16_t;
    using Vector = __m512i;
    static constexpr size_t numbers = 2 * lanes;

    static Vector load(const int16_t* from) { return _mm512_loadu_si512(from); }
    static Vector load(const int16_t* from, size_t count) {
        return _mm512_maskz_loadu_epi16((__mmask32{1} << count) - 1, from);
    }
    static Vector add(Vector sum, Vector inputs, Vector weights) {
        return _mm512_add_epi32(sum, _mm512_madd_epi16(inputs, weights));
    }

    static Vector zero() { return _mm512_setzero_si512(); }
    static Vector sum(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
    static __m512 floats(Vector x) { return _mm512_cvtepi32_ps(x); }
    static Vector permute(__m512i order, Vector x) { return _mm512_permutexvar_epi32(order, x); }
    template <int which>
    static Vector quarters(Vector a, Vector b) {
        return _mm512_shuffle_i32x4(a, b, which);
    }
    template <int which>
    static Vector singles(Vector a, Vector b) {
        return _mm512_castps_si512(_mm512_shuffle_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), which));
    }
};

}  // namespace
}  // namespace pbgen::avx512
