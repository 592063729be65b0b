// Dot products of rows of float32, and of integers of 16 bits.
#ifdef __x86_64__
#include "dots.h"
#include "round.h"

namespace pbgen::avx512 {
namespace {

struct Floats {
    using Number = float;
    using Vector = __m512;
    static constexpr size_t numbers = lanes;

    static Vector load(const float* from) { return _mm512_loadu_ps(from); }
    static Vector load(const float* from, size_t count) { return _mm512_maskz_loadu_ps(first_lanes(count), from); }
    static Vector add(Vector sum, Vector inputs, Vector weights) { return _mm512_fmadd_ps(inputs, weights, sum); }

    static Vector zero() { return _mm512_setzero_ps(); }
    static Vector sum(Vector a, Vector b) { return _mm512_add_ps(a, b); }
    static __m512 floats(Vector x) { return x; }
    static Vector permute(__m512i order, Vector x) { return _mm512_permutexvar_ps(order, x); }
    template <int which>
    static Vector quarters(Vector a, Vector b) {
        return _mm512_shuffle_f32x4(a, b, which);
    }
    template <int which>
    static Vector singles(Vector a, Vector b) {
        return _mm512_shuffle_ps(a, b, which);
    }
};

void arrange_floats(const float* values, size_t count, void* weights) { memcpy(weights, values, count * sizeof(float)); }

}  // namespace

void arrange_shorts(const float* values, size_t count, void* weights) {
    for (size_t i = 0; i < count; ++i) static_cast<int16_t*>(weights)[i] = static_cast<int16_t>(values[i]);
}

void prepare_shorts(const float* values, size_t count, const Quantization& quantization, void* source) {
    auto* to = static_cast<int16_t*>(source);
    size_t i = 0;
    for (; i + lanes <= count; i += lanes)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), _mm512_cvtepi32_epi16(quantize(values + i, lanes, quantization)));
    if (i < count)
        _mm512_mask_cvtepi32_storeu_epi16(to + i, first_lanes(count - i), quantize(values + i, count - i, quantization));
}

const DotProducts float_dots = {sizeof(float), nullptr, arrange_floats, RowDots<Floats>::run, false};
const DotProducts short_dots = {sizeof(int16_t), prepare_shorts, arrange_shorts, RowDots<Shorts>::run, true};

}  // namespace pbgen::avx512
#endif
