// Vectors as wide as the compiler's flags allow, in GCC's and Clang's own extension of C++: one source for all
// instruction sets. Each compiles this folder with flags of its own, so all of it has internal linkage.
#pragma once

#include <cstddef>
#include <cstdint>
#if defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__AVX2__)
#include <immintrin.h>
#endif

#include "../unroll.h"

namespace pbgen {
namespace {

// A file may ask for wider ones before it includes this.
#ifndef VECTOR_BYTES
#ifdef __AVX2__
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#endif

constexpr size_t vector_bytes = VECTOR_BYTES;

using Floats = float __attribute__((vector_size(vector_bytes)));
using Ints = int32_t __attribute__((vector_size(vector_bytes)));
using Words = uint32_t __attribute__((vector_size(vector_bytes)));
using Shorts = int16_t __attribute__((vector_size(vector_bytes)));

constexpr size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

// Numbers of 4 bytes in a vector.
constexpr size_t lanes = vector_bytes / 4;

// From and to any address.
template <class Vector, class T>
inline Vector load(const T* from) {
    Vector vector;
    __builtin_memcpy(&vector, from, sizeof vector);
    return vector;
}

template <class Vector, class T>
inline void store(T* to, Vector vector) {
    __builtin_memcpy(to, &vector, sizeof vector);
}

// The first `count` lanes, less than all, from memory that may end behind them; the others are 0. Not by way of an
// array: a processor waits for single numbers to reach memory before it can load them as a vector.
inline Floats load_first(const float* from, size_t count) {
    Floats vector = {};
    UNROLL for (size_t lane = 0; lane + 1 < lanes; ++lane)
        if (lane < count) vector[lane] = from[lane];
    return vector;
}

// The same past the caches, to whole vectors' addresses, where there is a way.
inline void store_past(float* to, Floats vector) {
#if VECTOR_BYTES == 64
    _mm512_stream_ps(to, vector);
#elif VECTOR_BYTES == 32
    _mm256_stream_ps(to, vector);
#else
    store(to, vector);
#endif
}

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (decltype(a <= b){__VA_ARGS__}))
#endif

// Of each four lanes the first with the second and the third with the fourth; and the first two with the last two. Of two
// vectors' fours the first and the third; and the second and the fourth.
#if VECTOR_BYTES == 32
inline Floats swap_neighbours(Floats x) { return SHUFFLE(x, x, 1, 0, 3, 2, 5, 4, 7, 6); }
inline Floats swap_pairs(Floats x) { return SHUFFLE(x, x, 2, 3, 0, 1, 6, 7, 4, 5); }
inline Floats even(Floats x, Floats y) { return SHUFFLE(x, y, 0, 2, 8, 10, 4, 6, 12, 14); }
inline Floats odd(Floats x, Floats y) { return SHUFFLE(x, y, 1, 3, 9, 11, 5, 7, 13, 15); }
#elif VECTOR_BYTES == 16
inline Floats swap_neighbours(Floats x) { return SHUFFLE(x, x, 1, 0, 3, 2); }
inline Floats swap_pairs(Floats x) { return SHUFFLE(x, x, 2, 3, 0, 1); }
inline Floats even(Floats x, Floats y) { return SHUFFLE(x, y, 0, 2, 4, 6); }
inline Floats odd(Floats x, Floats y) { return SHUFFLE(x, y, 1, 3, 5, 7); }
#endif

inline Floats splat(float value) { return value - Floats{}; }

// sums[i] + a[2 i] b[2 i] + a[2 i + 1] b[2 i + 1].
inline Ints add_pairs(Ints sums, Shorts a, Shorts b) {
#if VECTOR_BYTES == 32
    return sums + (Ints)__builtin_ia32_pmaddwd256(a, b);
#elif defined(__SSE2__) && VECTOR_BYTES == 16
    return sums + (Ints)__builtin_ia32_pmaddwd128(a, b);
#elif defined(__wasm_simd128__)
    return sums + (Ints)__builtin_wasm_dot_s_i32x4_i16x8(a, b);
#elif defined(__aarch64__)
    const int16x4_t low_a = vmovn_s32((int32x4_t)a), high_a = vshrn_n_s32((int32x4_t)a, 16);
    const int16x4_t low_b = vmovn_s32((int32x4_t)b), high_b = vshrn_n_s32((int32x4_t)b, 16);
    return (Ints)vmlal_s16(vmlal_s16((int32x4_t)sums, low_a, low_b), high_a, high_b);
#else
    const auto low = [](Shorts x) { return (Ints)((Words)x << 16) >> 16; };
    return sums + low(a) * low(b) + ((Ints)a >> 16) * ((Ints)b >> 16);
#endif
}

}  // namespace
}  // namespace pbgen
