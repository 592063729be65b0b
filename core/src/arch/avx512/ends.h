// The range of values, found as they are made.
#pragma once

#include <immintrin.h>

#include "../kernels.h"
#include "../unroll.h"

namespace pbgen::avx512 {
namespace {

// min and max with the value as the first operand pass over a NaN. Every other vector has ends of its own: else each would wait
// for the one before.
struct Ends {
    __m512 low[2], high[2], four = _mm512_setzero_ps();

    Ends() { low[0] = low[1] = high[0] = high[1] = four; }
    // Lanes that are none of the values are 0.
    void add(__m512 x) {
        add_ends(x, 0);
        const __m512 magnitude = _mm512_abs_ps(x);
        const __m512 two = _mm512_add_ps(magnitude, _mm512_permute_ps(magnitude, 0xb1));
        four = _mm512_max_ps(_mm512_add_ps(two, _mm512_permute_ps(two, 0x4e)), four);
    }
    // The same for some vectors; the fours of each four are summed side by side.
    template <class Vector, size_t some>
    void add(const Vector (&x)[some]) {
        const auto pairs = [](__m512 a, __m512 b) {
            return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
        };
        const auto two = [&](size_t k) { return pairs(_mm512_abs_ps(x[k]), _mm512_abs_ps(x[k + 1])); };
        UNROLL for (size_t k = 0; k < some / 4 * 4; k += 4) {
            UNROLL for (size_t i = 0; i < 4; ++i) add_ends(x[k + i], i % 2);
            four = _mm512_max_ps(pairs(two(k), two(k + 2)), four);
        }
        UNROLL for (size_t k = some / 4 * 4; k < some; ++k) add(x[k]);
    }
    void add_ends(__m512 x, size_t k) {
        low[k] = _mm512_min_ps(x, low[k]);
        high[k] = _mm512_max_ps(x, high[k]);
    }
    void add_to(Extremes& extremes) const {
        const float lowest = _mm512_reduce_min_ps(_mm512_min_ps(low[0], low[1]));
        const float highest = _mm512_reduce_max_ps(_mm512_max_ps(high[0], high[1]));
        const float largest = _mm512_reduce_max_ps(four);
        if (lowest < extremes.low) extremes.low = lowest;
        if (highest > extremes.high) extremes.high = highest;
        if (largest > extremes.four) extremes.four = largest;
    }
};

}  // namespace
}  // namespace pbgen::avx512
