// The functions of docs/format.md's programs, to a few units in the last place; NaN and infinities as the C library has
// them. Polynomials are those of the Cephes library where nothing else is said.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "round.h"

namespace pbgen {
namespace {

inline Floats magnitude(Floats x) { return (Floats)((Ints)x & INT32_MAX); }

inline Floats with_sign(Floats magnitude, Floats sign) {
    return (Floats)((Ints)magnitude | ((Ints)sign & INT32_MIN));
}

template <size_t count>
inline Floats polynomial(Floats x, const float (&coefficients)[count]) {
    Floats sum = splat(coefficients[0]);
    UNROLL for (size_t i = 1; i < count; ++i) sum = sum * x + coefficients[i];
    return sum;
}

// The larger and the smaller, or the NaN; of vectors and of single numbers.
template <class Number>
inline Number greater(Number a, Number b) {
    return ((a > b) | (a != a)) ? a : b;
}

template <class Number>
inline Number less(Number a, Number b) {
    return ((a < b) | (a != a)) ? a : b;
}

// Not in one instruction of relaxed SIMD, whose minimum and maximum need not keep a NaN.
inline Ints decided(Ints mask) {
#ifdef __wasm_relaxed_simd__
    asm("" : "+r"(mask));
#endif
    return mask;
}

// A NaN stays.
inline Floats at_least(Floats x, float least) { return decided(x < least) ? splat(least) : x; }
inline Floats at_most(Floats x, float most) { return decided(x > most) ? splat(most) : x; }

// What no vector does: each lane by itself.
template <class Function>
inline Floats each_lane(Function function, Floats x) {
    Floats result;
    for (size_t lane = 0; lane < lanes; ++lane) result[lane] = function(x[lane]);
    return result;
}

template <class Function>
inline Floats each_lane(Function function, Floats x, Floats y) {
    Floats result;
    for (size_t lane = 0; lane < lanes; ++lane) result[lane] = function(x[lane], y[lane]);
    return result;
}

// Whether a comparison holds in some lane.
inline bool any(Ints mask) {
    using Halves = uint64_t __attribute__((vector_size(vector_bytes)));
    const Halves halves = (Halves)mask;
    uint64_t all = 0;
    UNROLL for (size_t i = 0; i < lanes / 2; ++i) all |= halves[i];
    return all != 0;
}

inline Floats sqrt(Floats x) {
#if VECTOR_BYTES == 64
    return (Floats)_mm512_sqrt_ps((__m512)x);
#elif VECTOR_BYTES == 32
    return (Floats)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
    return (Floats)_mm_sqrt_ps((__m128)x);
#elif defined(__aarch64__)
    return (Floats)vsqrtq_f32((float32x4_t)x);
#else
    return each_lane([](float lane) { return __builtin_sqrtf(lane); }, x);
#endif
}

// To even where two integers are equally near. From 2^23 on there are no fractions.
inline Floats round_any(Floats x) {
    constexpr float whole = 8388608;
    const Floats rounded = magnitude(x) + whole - whole;
    return magnitude(x) < whole ? with_sign(rounded, x) : x;
}

inline Floats floor(Floats x) {
    const Floats rounded = round_any(x);
    return rounded > x ? rounded - 1 : rounded;
}

inline Floats ceil(Floats x) { return -floor(-x); }

// 2^n of whole n from -126 to 127.
inline Floats power_of_two(Ints n) { return (Floats)((Words)(n + 127) << 23); }

// x = n ln 2 + rest.
inline Floats split_exponent(Floats x, Floats& n) {
    n = round(x * 1.44269504088896341f);
    const Floats rest = x - n * 0.693359375f;
    return rest + n * 2.12194440e-4f;
}

// (e^x - 1 - x) / x^2 for |x| <= ln 2 / 2.
inline Floats exp_rest(Floats x) {
    return polynomial(
        x, {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 0.5f});
}

// exp(x) for x <= 0, to 2 units in the last place. Below -87, 0 or nearly.
inline Floats exp_negative(Floats x) {
    x = at_least(x, -87);
    Floats n;
    const Floats rest = split_exponent(x, n);
    return (exp_rest(rest) * rest * rest + rest + 1) * power_of_two(to_integers(n));
}

// Two powers of two: what lies beyond becomes infinite, or loses its last digits before it becomes 0.
inline Floats exp(Floats x) {
    x = at_most(at_least(x, -104), 89);
    Floats n;
    const Floats rest = split_exponent(x, n);
    const Ints power = to_integers(n), half = power >> 1;
    return (exp_rest(rest) * rest * rest + rest + 1) * power_of_two(half) * power_of_two(power - half);
}

// Near 0 the difference would have few digits left.
inline Floats expm1(Floats x) {
    return magnitude(x) < 0.34f ? exp_rest(x) * x * x + x : exp(x) - 1;
}

inline Floats log(Floats x) {
    const Floats infinity = splat(__builtin_inff());
    const Ints tiny = x < 1.17549435e-38f;
    const Floats normal = tiny ? x * 8388608 : x;
    Ints exponent = ((Ints)normal >> 23) - 126;
    Floats m = (Floats)(((Ints)normal & 0x7fffff) | 0x3f000000);  // 0.5 .. 1
    const Ints low = m < 0.70710678f;
    exponent += low + (tiny & -23);
    m = (low ? m + m : m) - 1;
    const Floats n = __builtin_convertvector(exponent, Floats);
    const Floats tail = polynomial(
        m, {7.0376836292e-2f, -1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f, 1.4249322787e-1f,
            -1.6668057665e-1f, 2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f});
    Floats sum = tail * m * m * m;
    sum = sum - n * 2.12194440e-4f - m * m * 0.5f;
    sum = m + sum + n * 0.693359375f;
    sum = x == 0 ? -infinity : sum;
    sum = x < infinity ? sum : x;  // infinity, or NaN
    return x < 0 ? splat(__builtin_nanf("")) : sum;
}

// log(y) x / (y - 1) with y = 1 + x as it was rounded (Kahan).
inline Floats log1p(Floats x) {
    const Floats y = x + 1, near = y - 1;
    const Floats sum = log(y) * (x / near);
    return near == 0 ? x : y < __builtin_inff() ? sum : y;
}

// What split_angle() gives, of one angle however large (Payne and Hanek): multiplied by those digits of 2 / pi that make no
// whole turns. The library's functions bring thousands of them, for numbers of 64 bits.
inline float split_far(float x, int32_t& quarter) {
    constexpr uint32_t digits[] = {0, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};
    uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    // x is this times 2^(exponent - 150); from `first` on digits make less than four quarters.
    const uint64_t whole = (bits & 0x7fffff) | 0x800000;
    const uint32_t exponent = bits >> 23 & 255, first = exponent - 120;
    const auto some = [&](size_t i) {
        const uint32_t* word = digits + first / 32 + i;
        return (uint64_t{word[0]} << 32 | word[1]) << first % 32 >> 32;
    };
    const uint64_t quarters = whole * (some(0) << 32 | some(1)) + (whole * some(2) >> 32);  // in units of 2^-62
    const uint64_t nearest = (quarters + (uint64_t{1} << 61)) >> 62;
    const auto rest = static_cast<double>(static_cast<int64_t>(quarters - (nearest << 62)));
    const auto angle = static_cast<float>(rest * 3.4061215800304566e-19);  // pi / 2 of a quarter
    quarter = x < 0 ? -static_cast<int32_t>(nearest) : static_cast<int32_t>(nearest);
    return exponent == 255 ? x - x : x < 0 ? -angle : angle;  // NaN of what is no number
}

// Of an angle: in which quarter it is, and how far from the middle of it. The parts of pi / 2 are so short that their
// products are exact up to the largest angle.
constexpr float largest_angle = 10000;

inline Floats split_angle(Floats x, Ints& quarter) {
    const Floats n = round(x * 0.636619772367581343f);
    quarter = to_integers(n);
    Floats angle = x - n * 1.5703125f - n * 4.837512969970703125e-4f - n * 7.54978995489188216e-8f;
    if (!any(~(magnitude(x) <= largest_angle))) return angle;
    for (size_t lane = 0; lane < lanes; ++lane) {
        if (magnitude(x)[lane] <= largest_angle) continue;
        int32_t found;
        angle[lane] = split_far(x[lane], found);
        quarter[lane] = found;
    }
    return angle;
}

// The sine of an angle that is so many quarters further.
inline Floats sine(Floats x, int quarters) {
    Ints quarter;
    const Floats angle = split_angle(x, quarter), square = angle * angle;
    quarter += quarters;
    const Floats tail = polynomial(square, {-1.9515295891e-4f, 8.3321608736e-3f, -1.6666654611e-1f});
    const Floats sine = tail * square * angle + angle;
    const Floats cosine =
        polynomial(square, {2.443315711809948e-5f, -1.388731625493765e-3f, 4.166664568298827e-2f, -0.5f, 1});
    const Floats result = (quarter & 1) != 0 ? cosine : sine;
    return (Floats)((Ints)result ^ ((quarter & 2) << 30));
}

// x + x^3 times a polynomial of x^2, to 2 units in the last place for |x| < 0.625 (Cephes).
inline Floats tanh_near_zero(Floats x) {
    const Floats square = x * x;
    Floats sum = splat(-5.70498872745e-3f);
    constexpr float coefficients[] = {2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f, -3.33332819422e-1f};
    for (float coefficient : coefficients) sum = sum * square + coefficient;
    return sum * square * x + x;
}

// With e = exp(-2 |x|): tanh(|x|) = (1 - e) / (1 + e). Near 0 the difference would have few digits left.
inline Floats tanh(Floats x) {
    const Floats e = exp_negative(magnitude(x) * -2);
    const Ints sign = (Ints)x & INT32_MIN;
    const Floats far = (Floats)((Ints)((1 - e) / (1 + e)) | sign);
    return magnitude(x) < 0.625f ? tanh_near_zero(x) : far;
}

// With e = exp(-|x|): 1 / (1 + e) for x >= 0, e / (1 + e) below.
inline Floats sigmoid(Floats x) {
    const Floats e = exp_negative(-magnitude(x));
    return (x < 0 ? e : splat(1)) / (1 + e);
}

// A rational function of x / 4 (that of the Eigen library), to 4e-7.
inline Floats erf(Floats x) {
    x = at_most(at_least(x, -4), 4);
    const Floats square = x * x;
    const Floats above = polynomial(
        square, {-2.72614225801306e-10f, 2.77068142495902e-08f, -2.10102402082508e-06f, -5.69250639462346e-05f,
                 -7.34990630326855e-04f, -2.95459980854025e-03f, -1.60960333262415e-02f});
    const Floats below = polynomial(square, {-1.45660718464996e-05f, -2.13374055278905e-04f, -1.68282697438203e-03f,
                                             -7.37332916720468e-03f, -1.42647390514189e-02f});
    return x * above / below;
}

}  // namespace
}  // namespace pbgen
