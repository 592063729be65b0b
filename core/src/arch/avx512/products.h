// What the files of this folder share. Everything inline here is unknown outside the file that includes it.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "../kernels.h"

namespace pbgen::avx512 {

constexpr size_t lanes = 16;
constexpr size_t max_vectors = 4;  // of a pixel's sums
constexpr size_t taps_together = 12 << 10;  // bytes of weights: a part of the first cache

// What the sums of a tile take, each pixel having so many vectors.
template <size_t vectors>
size_t sum_bytes(size_t, size_t pixels) {
    return pixels * vectors * lanes * sizeof(float);
}

extern const Product lookup, byte_lookup, broadcast, short_broadcast, byte_broadcast;
extern const DotProducts float_dots, short_dots, summed_short_dots;

void prepare_shorts(const float* values, size_t count, const Quantization& quantization, void* source);
void arrange_shorts(const float* values, size_t count, void* weights);

const Product* channelwise();
void finish(const float* in, size_t in_step, size_t channels, const Epilogue& epilogue, float* out, const Grid& grid,
            Extremes* extremes);
// The same of integers that count `in_scale` each.
void finish_integers(const int32_t* in, size_t in_step, float in_scale, size_t channels, const Epilogue& epilogue, float* out,
                     const Grid& grid, Extremes* extremes);
void to_planes(const float* pixels, size_t count, size_t channels, float* planes, size_t step);
Extremes extremes(const float* values, size_t count);
void calculate(Instruction instruction, const Operand* operands, size_t count, float* result);
float fold(Fold kind, const float* values, size_t count);
void fold_rows(Fold kind, const float* values, size_t rows, ptrdiff_t step, size_t columns, float* totals);
void mix(const float* const* rows, const float* weights, size_t count, size_t columns, float* result);

namespace {

constexpr size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

constexpr size_t row_bytes(size_t inputs) { return divide_up(inputs, 8); }

// At least 57 bits of a row of weights from `first` on; zeros beyond its end.
inline uint64_t read_bits(const uint8_t* row, size_t inputs, size_t first) {
    const size_t byte = first / 8, left = row_bytes(inputs) - byte;
    uint64_t bits = 0;
    if (left >= sizeof bits)
        std::memcpy(&bits, row + byte, sizeof bits);  // one load
    else
        std::memcpy(&bits, row + byte, left);
    return bits >> first % 8;
}

// Unrolled early, so that arrays of registers stay in registers.
#define UNROLL _Pragma("GCC unroll 16")

// Where sums are handed on that should stay in registers.
#define INLINE inline __attribute__((always_inline))

// Makes the compiler compute this here, among others of the kind in the order in which they are written. Left to itself
// it begins so many things at once that it runs out of registers.
template <class Vector>
inline void in_order(Vector& value) {
    asm volatile("" : "+v"(value));
}

inline __mmask16 first_lanes(size_t count) {
    return count >= lanes ? __mmask16(0xffff) : static_cast<__mmask16>((1u << count) - 1);
}

// A tile's sums in the order of these products: each pixel's, `width` numbers of 4 bytes, one after another. Calls
// Kernel<pixels, vectors>::run(work, sources, sums) for a few pixels at a time, in equal parts: 16 to 20 registers of sums
// are enough to hide an addition's latency, and leave registers for the rest.
template <template <int, int> class Kernel, int vectors, class Source>
struct Pixels {
    static constexpr size_t most = vectors == 4 ? 5 : vectors == 3 ? 7 : 8;

    template <class Work>
    static void run(const Work& work, const void* const* sources, const uint8_t* pixels, size_t count, void* sums,
                    size_t width) {
        for (size_t parts = divide_up(count, most), size; parts; --parts, count -= size) {
            size = divide_up(count, parts);
            step<1>(size, work, sources, pixels, sums, width);
            sources += size;
            pixels += size;
        }
    }

    template <size_t some, class Work>
    static void step(size_t size, const Work& work, const void* const* sources, const uint8_t* pixels, void* sums,
                     size_t width) {
        if constexpr (some < most)
            if (size != some) return step<some + 1>(size, work, sources, pixels, sums, width);
        const Source* from[some];
        float* to[some];
        UNROLL for (size_t p = 0; p < some; ++p) {
            from[p] = static_cast<const Source*>(sources[p]);
            to[p] = static_cast<float*>(sums) + pixels[p] * width;
        }
        Kernel<some, vectors>::run(work, from, to);
    }
};

template <template <int, int> class Kernel, class Source, class Work>
void run_vectors(size_t vectors, const Work& work, const void* const* sources, const uint8_t* pixels, size_t count,
                 void* sums, size_t width) {
    switch (vectors) {
        case 4: return Pixels<Kernel, 4, Source>::run(work, sources, pixels, count, sums, width);
        case 3: return Pixels<Kernel, 3, Source>::run(work, sources, pixels, count, sums, width);
        case 2: return Pixels<Kernel, 2, Source>::run(work, sources, pixels, count, sums, width);
        case 1: return Pixels<Kernel, 1, Source>::run(work, sources, pixels, count, sums, width);
    }
}

// The inputs of some pixels for another tap.
template <int pixels, class Source>
inline void shift_sources(const Source* const* sources, const TapWeights& tap, const Source** shifted) {
    UNROLL for (int p = 0; p < pixels; ++p) shifted[p] = reinterpret_cast<const Source*>(
        reinterpret_cast<const char*>(sources[p]) + tap.shift);
}

// Numbers of 4 bytes, of whatever kind.
template <int pixels, int vectors, class Vector>
inline void load(Vector (&sums)[pixels][vectors], float* const* from) {
    UNROLL for (int p = 0; p < pixels; ++p)
        UNROLL for (int v = 0; v < vectors; ++v) sums[p][v] = reinterpret_cast<const Vector*>(from[p])[v];
}

template <int pixels, int vectors, class Vector>
inline void clear(Vector (&sums)[pixels][vectors]) {
    UNROLL for (int p = 0; p < pixels; ++p)
        UNROLL for (int v = 0; v < vectors; ++v) sums[p][v] = Vector{};
}

template <int pixels, int vectors, class Vector>
inline void store(const Vector (&sums)[pixels][vectors], float* const* to) {
    UNROLL for (int p = 0; p < pixels; ++p)
        UNROLL for (int v = 0; v < vectors; ++v) reinterpret_cast<Vector*>(to[p])[v] = sums[p][v];
}

}  // namespace
}  // namespace pbgen::avx512
