// What the products with weights that are numbers share. Their sums lie pixel by pixel.
#pragma once

#include "../kernels.h"
#include "vec.h"

namespace pbgen {
namespace {

template <size_t n>
struct Count {
    static constexpr size_t value = n;
};

// The inputs and sums of the pixels of a call.
struct Pixels {
    const void* const* sources;
    const uint8_t* pixels;
    size_t count;
    float* sums;
    size_t width;  // numbers of a pixel's sums

    // Calls run(Count<n>, inputs, sums), with n pointers to each, for n pixels at a time: `most`, and fewer at the end.
    template <size_t most, class Run>
    inline void for_some(const Run& run) const {
        size_t at = 0;
        for (; at + most <= count; at += most) some<most>(at, run);
        if constexpr (most > 4)
            if (at + 4 <= count) some<4>(at, run), at += 4;
        switch (count - at) {
            case 3: return some<3>(at, run);
            case 2: return some<2>(at, run);
            case 1: return some<1>(at, run);
        }
    }

private:
    template <size_t n, class Run>
    inline void some(size_t at, const Run& run) const {
        const float* inputs[n];
        float* to[n];
        UNROLL for (size_t i = 0; i < n; ++i) {
            inputs[i] = static_cast<const float*>(sources[at + i]);
            to[i] = sums + pixels[at + i] * width;
        }
        run(Count<n>{}, inputs, to);
    }
};

template <size_t pixels, size_t vectors>
using Sums = Floats[pixels][vectors];

template <class Vector, size_t pixels, size_t vectors>
inline void load_sums(float* const* from, Vector (&sums)[pixels][vectors]) {
    UNROLL for (size_t p = 0; p < pixels; ++p)
        UNROLL for (size_t v = 0; v < vectors; ++v) sums[p][v] = load<Vector>(from[p] + v * lanes);
}

template <class Vector, size_t pixels, size_t vectors>
inline void store_sums(const Vector (&sums)[pixels][vectors], float* const* to) {
    UNROLL for (size_t p = 0; p < pixels; ++p)
        UNROLL for (size_t v = 0; v < vectors; ++v) store(to[p] + v * lanes, sums[p][v]);
}

// Vectors are done in panels of equal size, as far as may be, and at most `most`: that of the panel that begins at
// vector `first`. With four pixels that is enough sums to hide an addition's latency, and not too many for registers.
inline size_t panel_size(size_t vectors, size_t first) {
    constexpr size_t most = 3;
    const size_t panels = divide_up(vectors - first, most);
    return divide_up(vectors - first, panels);
}

}  // namespace
}  // namespace pbgen
