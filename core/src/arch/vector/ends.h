// The range of values, found as they are made.
#pragma once

#include "../kernels.h"
#include "math.h"

namespace pbgen {
namespace {

// Comparisons with a NaN are false, so it counts as nothing.
struct Ends {
    Floats low = {}, high = {}, four = {};

    void add(Floats x) {
        low = x < low ? x : low;
        high = x > high ? x : high;
        const Floats two = magnitude(x) + swap_neighbours(magnitude(x)), sum = two + swap_pairs(two);
        four = sum > four ? sum : four;
    }
    // Fours of four vectors are summed side by side.
    template <size_t some>
    void add(const Floats (&x)[some]) {
        const auto pairs = [](Floats a, Floats b) { return even(a, b) + odd(a, b); };
        UNROLL for (size_t k = 0; k < some / 4 * 4; k += 4) {
            UNROLL for (size_t i = k; i < k + 4; ++i) {
                low = x[i] < low ? x[i] : low;
                high = x[i] > high ? x[i] : high;
            }
            const Floats sum = pairs(pairs(magnitude(x[k]), magnitude(x[k + 1])), pairs(magnitude(x[k + 2]), magnitude(x[k + 3])));
            four = sum > four ? sum : four;
        }
        UNROLL for (size_t k = some / 4 * 4; k < some; ++k) add(x[k]);
    }
    void add_to(Extremes& extremes) const {
        for (size_t lane = 0; lane < lanes; ++lane) {
            if (low[lane] < extremes.low) extremes.low = low[lane];
            if (high[lane] > extremes.high) extremes.high = high[lane];
            if (four[lane] > extremes.four) extremes.four = four[lane];
        }
    }
};

}  // namespace
}  // namespace pbgen
