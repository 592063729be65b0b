// What is done with a layer's sums, and the range of its inputs.
#ifdef __x86_64__
#include "ends.h"
#include "products.h"

namespace pbgen::avx512 {
namespace {

// exp(x) for x <= 0, to 2 units in the last place: 2^n times a polynomial of the rest (Cephes). Below -87, 0 or nearly.
inline __m512 exp_negative(__m512 x) {
    // max() with x as the second operand hands on a NaN.
    x = _mm512_max_ps(_mm512_set1_ps(-87), x);
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f)), 0);
    __m512 rest = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    rest = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), rest);
    __m512 sum = _mm512_set1_ps(1.9875691500e-4f);
    constexpr float coefficients[] = {
        1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 0.5f, 1, 1,
    };
    UNROLL for (float coefficient : coefficients)
        sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(coefficient));
    return _mm512_scalef_ps(sum, n);
}

// x + x^3 times a polynomial of x^2, to 2 units in the last place for |x| < 0.625 (Cephes).
inline __m512 tanh_near_zero(__m512 x) {
    const __m512 square = _mm512_mul_ps(x, x);
    __m512 sum = _mm512_set1_ps(-5.70498872745e-3f);
    constexpr float coefficients[] = {2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f, -3.33332819422e-1f};
    UNROLL for (float coefficient : coefficients) sum = _mm512_fmadd_ps(sum, square, _mm512_set1_ps(coefficient));
    return _mm512_fmadd_ps(_mm512_mul_ps(sum, square), x, x);
}

// With e = exp(-2 |x|): tanh(|x|) = (1 - e) / (1 + e). Near 0 the difference would have few digits left.
inline __m512 tanh(__m512 x) {
    const __m512 sign_bit = _mm512_set1_ps(-0.0f), magnitude = _mm512_abs_ps(x);
    const __m512 e = exp_negative(_mm512_mul_ps(magnitude, _mm512_set1_ps(-2)));
    const __m512 one = _mm512_set1_ps(1);
    const __m512 far = _mm512_or_ps(_mm512_div_ps(_mm512_sub_ps(one, e), _mm512_add_ps(one, e)),
                                    _mm512_and_ps(x, sign_bit));
    const __mmask16 near = _mm512_cmp_ps_mask(magnitude, _mm512_set1_ps(0.625f), _CMP_LT_OQ);
    return _mm512_mask_blend_ps(near, far, tanh_near_zero(x));
}

// With e = exp(-|x|): 1 / (1 + e) for x >= 0, e / (1 + e) below.
__m512 sigmoid(__m512 x) {
    const __m512 zero = _mm512_setzero_ps(), one = _mm512_set1_ps(1);
    const __m512 e = exp_negative(_mm512_sub_ps(zero, _mm512_abs_ps(x)));
    const __mmask16 negative = _mm512_cmp_ps_mask(x, zero, _CMP_LT_OQ);
    return _mm512_div_ps(_mm512_mask_blend_ps(negative, one, e), _mm512_add_ps(one, e));
}

INLINE __m512 leaky_relu(__m512 x, __m512 slope) {
    return _mm512_mask_mul_ps(x, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), x, slope);
}

// What is finished: numbers, or integers of a scale.
struct Numbers {
    using Number = float;

    static INLINE __m512 whole(const float* at) { return _mm512_loadu_ps(at); }
    static INLINE __m512 first(__mmask16 mask, const float* at) { return _mm512_maskz_loadu_ps(mask, at); }
};

struct Integers {
    using Number = int32_t;
    __m512 scale;

    INLINE __m512 whole(const int32_t* at) const { return scaled(_mm512_loadu_si512(at)); }
    INLINE __m512 first(__mmask16 mask, const int32_t* at) const { return scaled(_mm512_maskz_loadu_epi32(mask, at)); }
    INLINE __m512 scaled(__m512i x) const { return _mm512_mul_ps(_mm512_cvtepi32_ps(x), scale); }
};

// A vector of channels of all pixels, then the next: scale and shift are read once.
template <bool ends, class Read>
void finish_all(const Read& read, const typename Read::Number* in, size_t in_step, size_t channels, const Epilogue& epilogue,
                float* out, const Grid& grid, Extremes* extremes) {
    Ends found;
    const size_t rows = grid.rows, columns = grid.columns, step = grid.step, row_step = grid.row_step;
    const bool streams = grid.streams && (reinterpret_cast<uintptr_t>(out) / sizeof(float) | step | row_step) % lanes == 0;
    for (size_t c = 0; c < channels; c += lanes) {
        const __mmask16 mask = first_lanes(channels - c);
        const __m512 scale = epilogue.scale ? _mm512_maskz_loadu_ps(mask, epilogue.scale + c) : _mm512_set1_ps(1);
        const __m512 shift = epilogue.shift ? _mm512_maskz_loadu_ps(mask, epilogue.shift + c) : _mm512_set1_ps(-0.0f);
        const __m512 slope = epilogue.slopes ? _mm512_maskz_loadu_ps(mask, epilogue.slopes + c) : _mm512_set1_ps(epilogue.slope);
        const auto all = [&](auto activate) {
            const auto pixels = [&](auto load, auto store) {
                const auto* from = in + c;
                for (size_t row = 0; row < rows; ++row) {
                    float* to = out + row * row_step + c;
                    for (size_t p = 0; p < columns; ++p, from += in_step, to += step) {
                        const __m512 result = activate(_mm512_add_ps(_mm512_mul_ps(load(from), scale), shift));
                        store(to, result);
                        if constexpr (ends) found.add(_mm512_maskz_mov_ps(mask, result));
                    }
                }
            };
            if (channels - c >= lanes)
                pixels([&](const auto* at) { return read.whole(at); },
                       [=](float* to, __m512 x) { streams ? _mm512_stream_ps(to, x) : _mm512_storeu_ps(to, x); });
            else
                pixels([&](const auto* at) { return read.first(mask, at); },
                       [=](float* to, __m512 x) { _mm512_mask_storeu_ps(to, mask, x); });
        };
        // The cheap ones have a loop of their own.
        if (epilogue.activation == Activation::none)
            all([](__m512 x) { return x; });
        else if (epilogue.activation == Activation::relu)
            all([](__m512 x) { return _mm512_max_ps(_mm512_setzero_ps(), x); });
        else if (epilogue.activation == Activation::leaky_relu)
            all([=](__m512 x) { return leaky_relu(x, slope); });
        else
            all([&](__m512 x) { return epilogue.activation == Activation::tanh ? tanh(x) : sigmoid(x); });
    }
    if constexpr (ends) found.add_to(*extremes);
}

}  // namespace

void finish(const float* in, size_t in_step, size_t channels, const Epilogue& epilogue, float* out, const Grid& grid,
            Extremes* extremes) {
    const auto finish_with = extremes ? finish_all<true, Numbers> : finish_all<false, Numbers>;
    finish_with({}, in, in_step, channels, epilogue, out, grid, extremes);
}

void finish_integers(const int32_t* in, size_t in_step, float in_scale, size_t channels, const Epilogue& epilogue, float* out,
                     const Grid& grid, Extremes* extremes) {
    const auto finish_with = extremes ? finish_all<true, Integers> : finish_all<false, Integers>;
    finish_with({_mm512_set1_ps(in_scale)}, in, in_step, channels, epilogue, out, grid, extremes);
}

Extremes extremes(const float* values, size_t count) {
    Ends found;
    size_t i = 0;
    for (; i + 4 * lanes <= count; i += 4 * lanes) {
        __m512 x[4];
        UNROLL for (size_t k = 0; k < 4; ++k) x[k] = _mm512_loadu_ps(values + i + k * lanes);
        found.add(x);
    }
    for (; i < count; i += lanes) found.add(_mm512_maskz_loadu_ps(first_lanes(count - i), values + i));
    Extremes result;
    found.add_to(result);
    return result;
}

}  // namespace pbgen::avx512
#endif
