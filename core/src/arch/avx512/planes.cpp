// Channels taken apart.
#ifdef __x86_64__
#include "products.h"

namespace pbgen::avx512 {
namespace {

constexpr size_t three = 3;

// Where the numbers of one of three channels lie in three vectors of pixels: in the first two, and in the third.
struct Plane {
    alignas(64) int32_t of_two[lanes] = {};
    alignas(64) int32_t of_third[lanes] = {};
    uint16_t third = 0;

    explicit constexpr Plane(size_t channel) {
        for (size_t p = 0; p < lanes; ++p) {
            const size_t at = p * three + channel;
            of_two[p] = static_cast<int32_t>(at % (2 * lanes));
            of_third[p] = static_cast<int32_t>(at % lanes);
            if (at >= 2 * lanes) third = static_cast<uint16_t>(third | 1u << p);
        }
    }

    __m512 from(const __m512 (&pixels)[three]) const {
        const __m512 first = _mm512_permutex2var_ps(pixels[0], _mm512_load_si512(of_two), pixels[1]);
        return _mm512_mask_permutexvar_ps(first, third, _mm512_load_si512(of_third), pixels[2]);
    }
};

constexpr Plane planes_of_three[] = {Plane(0), Plane(1), Plane(2)};

void three_planes(const float* pixels, size_t count, float* planes, size_t step) {
    for (size_t p = 0; p < count; p += lanes) {
        __m512 in[three];
        UNROLL for (size_t i = 0; i < three; ++i) {
            const size_t begin = p * three + i * lanes, end = count * three;
            in[i] = _mm512_maskz_loadu_ps(first_lanes(end > begin ? end - begin : 0), pixels + begin);
        }
        UNROLL for (size_t c = 0; c < three; ++c)
            _mm512_mask_storeu_ps(planes + c * step + p, first_lanes(count - p), planes_of_three[c].from(in));
    }
}

}  // namespace

void to_planes(const float* pixels, size_t count, size_t channels, float* planes, size_t step) {
    if (channels == three) return three_planes(pixels, count, planes, step);
    for (size_t c = 0; c < channels; ++c)
        for (size_t p = 0; p < count; ++p) planes[c * step + p] = pixels[p * channels + c];
}

}  // namespace pbgen::avx512
#endif
