// Integers for inputs, and the sums of their products as numbers again.
#pragma once

#include "products.h"

namespace pbgen::avx512 {
namespace {

// Up to 16 inputs; the other lanes are 0.
inline __m512i quantize(const float* values, size_t count, const Quantization& quantization) {
    const __m512 x = count >= lanes ? _mm512_loadu_ps(values) : _mm512_maskz_loadu_ps(first_lanes(count), values);
    const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(x, _mm512_set1_ps(quantization.inverse)));
    return _mm512_max_epi32(_mm512_set1_epi32(quantization.low), _mm512_min_epi32(_mm512_set1_epi32(quantization.high), q));
}

// The sums of `count` pixels, each so many numbers after the one before it, of all planes, times `scale`.
inline const float* scale_sums(const int32_t* from, size_t from_step, size_t outputs, size_t planes, size_t count,
                               float scale, float* rows, size_t step) {
    const auto scaled = [=](__m512i sum) { return _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(scale)); };
    const size_t whole = planes == 1 ? outputs / lanes * lanes : 0;
    for (size_t p = 0; p < count; ++p) {
        for (size_t o = 0; o < whole; o += lanes)
            _mm512_store_ps(rows + p * step + o, scaled(_mm512_loadu_si512(from + p * from_step + o)));
        for (size_t o = whole; o < outputs; o += lanes) {
            const __mmask16 mask = first_lanes(outputs - o);
            const int32_t* plane = from + p * from_step + (planes - 1) * outputs + o;
            __m512i sum = _mm512_maskz_loadu_epi32(mask, plane);
            for (size_t i = 1; i < planes; ++i) {
                plane -= outputs;
                sum = _mm512_add_epi32(_mm512_add_epi32(sum, sum), _mm512_maskz_loadu_epi32(mask, plane));
            }
            _mm512_store_ps(rows + p * step + o, scaled(sum));
        }
    }
    return rows;
}

}  // namespace
}  // namespace pbgen::avx512
