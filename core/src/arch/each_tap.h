// For products that take one tap after another.
#pragma once

#include "kernels.h"

namespace pbgen {
namespace {

template <void (*accumulate)(const void* weights, size_t inputs, size_t outputs, const void* const* sources,
                             const uint8_t* pixels, size_t count, void* sums)>
void each_tap(const TapWeights* taps, size_t tap_count, size_t inputs, size_t outputs, const void* const* sources,
              const uint8_t* pixels, size_t count, void* sums) {
    const void* shifted[tile_pixels];
    for (const TapWeights* tap = taps; tap != taps + tap_count; ++tap) {
        for (size_t i = 0; i < count; ++i) shifted[i] = static_cast<const uint8_t*>(sources[i]) + tap->shift;
        accumulate(tap->weights, inputs, outputs, shifted, pixels, count, sums);
    }
}

}  // namespace
}  // namespace pbgen
