// What the files of this folder share. Everything inline here is unknown outside the file that includes it.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "../pixels.h"

namespace pbgen::avx512 {

constexpr size_t lanes = 16;
constexpr size_t max_vectors = 4;  // of a pixel's sums
constexpr size_t sum_registers = 21;
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
void calculate(const Chain& chain, size_t count, float* result, Extremes* extremes);
float fold(Fold kind, const float* values, size_t count);
void fold_rows(Fold kind, const float* values, size_t rows, ptrdiff_t step, size_t columns, float* totals);
void moments(const float* values, size_t rows, ptrdiff_t step, size_t columns, float* near, const float* origin,
             double* sums, double* squares);
void mix(const float* const* rows, const float* weights, size_t count, size_t columns, float* result);

namespace {

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

inline __mmask16 first_lanes(size_t count) {
    return count >= lanes ? __mmask16(0xffff) : static_cast<__mmask16>((1u << count) - 1);
}

}  // namespace
}  // namespace pbgen::avx512
