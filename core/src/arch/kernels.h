// What an instruction set brings: inner loops over raw pointers. The memory layouts are the same for all.
//
// A layer's output is computed a block of channels at a time. A block is up to four vectors of 16 lanes a pixel:
// "sums". A kernel adds one tap of the layer to the sums of `count` pixels: sums[p] += weights . sources[p].
#pragma once

#include <cstddef>
#include <cstdint>

namespace pbgen {

constexpr size_t lanes = 16;
constexpr size_t max_vectors = 4;

// One-bit weights. Five weights w0..w4 of one output channel make an index of 4 bits and a sign: their sum of inputs is
//     w0 x0 + ... + w4 x4  =  w0 (x0 + s1 x1 + ... + s4 x4),   s_i = w0 w_i = +-1,
// and the bracket is one of 16 numbers: a table, built once a pixel, that fits one AVX-512 register. A 32-bit word
// holds six such groups of one output channel: rotated right by 5 g bits, it has group g's index in bits 0 to 3 and
// its sign in bit 31, set where w0 is -1. Index bit i - 1 is set where s_i is +1. Bits 29 and 30 are unused.
constexpr size_t table_inputs = 5;
constexpr size_t table_entries = 16;
constexpr size_t word_tables = 6;

enum class Activation : uint8_t { none, relu, leaky_relu, tanh, sigmoid };

struct Epilogue {
    const float* scale = nullptr;  // nullptr stands for ones
    const float* shift = nullptr;  // nullptr stands for zeros
    Activation activation = Activation::none;
    float slope = 0;
};

struct Kernels {
    const char* name;
    bool (*supported)();

    // The tables of one pixel: ceil(channels / 5) x 16 numbers, missing inputs being zero.
    void (*build_tables)(const float* input, size_t channels, float* tables);

    // Lanes are output channels. `weights`: [ceil(depth / 6)][vectors][16] words; `depth` counts tables.
    void (*lookup)(const uint32_t* weights, size_t depth, size_t vectors, const float* const* sources,
                   float* const* sums, size_t count);

    // Lanes are output channels. `weights`: [depth][vectors][16]; `depth` counts input channels.
    void (*broadcast)(const float* weights, size_t depth, size_t vectors, const float* const* sources,
                      float* const* sums, size_t count);

    // A vector is one output channel, its lanes are partial sums. `weights`: [vectors][depth].
    void (*dot)(const float* weights, size_t depth, size_t vectors, const float* const* sources, float* const* sums,
                size_t count);

    // out[c] = activation(scale[c] * in[c] + shift[c])
    void (*finish)(const float* in, size_t channels, const Epilogue& epilogue, float* out);

    // The same after dot: in[v] is the total of vector v's lanes, for each of `count` pixels. `sums`: [count][4][16].
    void (*finish_dots)(const float* sums, size_t count, size_t vectors, const Epilogue& epilogue, float* const* out);
};

// The best kernels for this processor and operating system, or those that PBGEN_ARCH names. Throws Error.
const Kernels& choose_kernels();

}  // namespace pbgen
