// The operators without weights, on strided arrays. What they read and write never overlaps.
//
// Shapes were checked when they were bound (bind.cpp); these functions trust them. Each makes one image; nothing is allocated but
// where it says so. What is computed does not depend on the number of threads, to the bit.
#pragma once

#include "arch/kernels.h"
#include "extremes.h"
#include "image.h"
#include "program.h"
#include "strided.h"
#include "threads.h"

namespace pbgen {

// out = in, of the same shape.
void copy(const Reads& in, const Writes& out, Threads& threads);

// out = program(inputs), each of which has out's shape, with strides of 0 where it is broadcast. `extremes`, if not nullptr, are
// told what is made, the channels, a multiple of 4, being innermost.
void map(const Program& program, const Reads* inputs, const Writes& out, const Kernels& kernels, Threads& threads,
         SharedExtremes* extremes = nullptr);

enum class Reduction : uint8_t { sum, mean, max, min };

// Reduces program(inputs), each input having `shape`, over those dimensions that are 1 in out's shape and not in `shape`.
void reduce(Reduction kind, const Program& program, const Reads* inputs, const Shape& shape, const Writes& out,
            const Kernels& kernels, Threads& threads);

// Of each channel, which lie side by side.
void moments(const float* pixels, const Image& image, const Layout& layout, float* means, float* variances,
             const Kernels& kernels, Threads& threads);

// out[i] = start + i step.
void range(float start, float step, const Writes& out);

enum class Padding : uint8_t { constant, reflect, replicate, circular };

void pad(const Reads& in, const int64_t* before, Padding mode, float value, const Writes& out, Threads& threads);

// Whether every index lies in the values' dimension `axis`; if not, nothing is written.
bool take(const Reads& values, size_t axis, const Reads& indices, const Writes& out, Threads& threads);

enum class Resampling : uint8_t { nearest, nearest_exact, linear, cubic };

// Along one axis.
void resample(const Reads& in, size_t axis, Resampling mode, float step, bool align_corners, const Writes& out,
              const Kernels& kernels, Threads& threads);

struct Window {
    int64_t kernel = 1, stride = 1, padding = 0, dilation = 1;
};

// A window for each of the last `count` dimensions. `padded`: whether the mean's divisor counts the padding.
void pool(const Reads& in, bool mean, const Window* windows, size_t count, bool padded, const Writes& out,
          const Kernels& kernels, Threads& threads);

// Along axes [first, first + count).
void adaptive_pool(const Reads& in, bool mean, size_t first, size_t count, const Writes& out, const Kernels& kernels,
                   Threads& threads);

// Matrices in the last two dimensions; the others are out's, with strides of 0 where they are broadcast. `scratch` has
// matmul_scratch(...) bytes, on a cache line.
size_t matmul_scratch(const Shape& a, const Shape& b, const Kernels& kernels, size_t threads);
void matmul(const Reads& a, const Reads& b, const Writes& out, uint8_t* scratch, const Kernels& kernels,
            Threads& threads);

}  // namespace pbgen
