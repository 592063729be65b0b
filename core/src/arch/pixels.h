// For products whose lanes are output channels and whose sums stay in registers: some pixels at a time, whose sums lie in
// the tile each pixel's one after another. Everything here is unknown outside the file that includes it.
#pragma once

#include <cstring>

#include "kernels.h"
#include "unroll.h"

namespace pbgen {
namespace {

constexpr size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

constexpr size_t row_bytes(size_t inputs) { return divide_up(inputs, 8); }

// Calls Kernel<pixels, vectors>::run(work, sources, sums) for a few pixels at a time, in equal parts, whose sums take at
// most `registers`: enough to hide an addition's latency, and to leave some for the rest. `width`: numbers of 4 bytes of a
// pixel's sums.
template <template <int, int> class Kernel, int vectors, size_t registers, class Source>
struct Pixels {
    static constexpr size_t most = registers / vectors < 8 ? registers / vectors : 8;

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

// Vectors of a pixel's sums: 1 to most_vectors.
template <template <int, int> class Kernel, int most_vectors, size_t registers, class Source, class Work>
void run_vectors(size_t vectors, const Work& work, const void* const* sources, const uint8_t* pixels, size_t count,
                 void* sums, size_t width) {
    if constexpr (most_vectors > 1)
        if (vectors < most_vectors)
            return run_vectors<Kernel, most_vectors - 1, registers, Source>(vectors, work, sources, pixels, count, sums, width);
    Pixels<Kernel, most_vectors, registers, Source>::run(work, sources, pixels, count, sums, width);
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
}  // namespace pbgen
