// Channels taken apart.
#pragma once

#include <cstddef>

#include "vec.h"

namespace pbgen {
namespace {

template <size_t channels>
inline void to_planes(const float* pixels, size_t count, float* planes, size_t step) {
    for (size_t p = 0; p < count; ++p)
        UNROLL for (size_t c = 0; c < channels; ++c) planes[c * step + p] = pixels[p * channels + c];
}

void to_planes(const float* pixels, size_t count, size_t channels, float* planes, size_t step) {
    if (channels == 3) return to_planes<3>(pixels, count, planes, step);
    for (size_t c = 0; c < channels; ++c)
        for (size_t p = 0; p < count; ++p) planes[c * step + p] = pixels[p * channels + c];
}

}  // namespace
}  // namespace pbgen
