// Products whose weights are numbers, or are made into numbers as they are read.
#ifdef __x86_64__
#include <cstring>

#include "../each_tap.h"
#include "broadcast.h"

namespace pbgen::avx512 {
namespace {

struct FloatUnits {
    using Number = float;
    using Vector = __m512;

    static inline __m512 add(__m512 sums, __m512 weights, const char* unit) {
        return _mm512_fmadd_ps(weights, _mm512_set1_ps(*reinterpret_cast<const float*>(unit)), sums);
    }
};

using FloatBroadcast = Broadcast<FloatUnits>;

// Integers of 8 bits as such of 16, for processors that multiply no smaller ones without loss.
struct ShortUnits {
    using Number = int16_t;
    using Vector = __m512i;

    static inline __m512i add(__m512i sums, __m512i weights, const char* unit) {
        int32_t inputs;
        memcpy(&inputs, unit, sizeof inputs);
        return _mm512_add_epi32(sums, _mm512_madd_epi16(weights, _mm512_set1_epi32(inputs)));
    }
};

using ShortBroadcast = Broadcast<ShortUnits>;

size_t source_bytes(size_t inputs) { return divide_up(inputs * sizeof(int16_t), sizeof(__m512i)) * sizeof(__m512i); }

void prepare(const float* values, size_t inputs, const Quantization& quantization, void* source) {
    auto* to = static_cast<int16_t*>(source);
    for (size_t i = 0; i < inputs; i += lanes)
        _mm256_store_si256(reinterpret_cast<__m256i*>(to + i),
                           _mm512_cvtepi32_epi16(quantize(values + i, inputs - i, quantization)));
}

// Lanes are partial sums of one output channel: a vector of sums for each.
namespace dotting {

// One tap of a block.
struct Dense {
    const void* weights;
    size_t inputs;
};

constexpr size_t block = max_vectors;

// A row of weights, and how to read 16 of them, those of `mask`, from input `input` on.
struct Numbers {
    static size_t bytes(size_t inputs) { return inputs * sizeof(float); }
    static __m512 get(const char* row, size_t input, __mmask16 mask) {
        return _mm512_maskz_loadu_ps(mask, reinterpret_cast<const float*>(row) + input);
    }
};

struct Bits {
    static size_t bytes(size_t inputs) { return row_bytes(inputs); }
    static __m512 get(const char* row, size_t input, __mmask16 mask) {
        unsigned plus = static_cast<unsigned char>(row[input / 8]);
        if (mask > 0xff) plus |= static_cast<unsigned>(static_cast<unsigned char>(row[input / 8 + 1])) << 8;
        return _mm512_mask_blend_ps(static_cast<__mmask16>(plus), _mm512_set1_ps(-1), _mm512_set1_ps(1));
    }
};

template <class Weights>
size_t weight_bytes(size_t inputs, size_t outputs) {
    return outputs * Weights::bytes(inputs);
}

template <class Weights>
void arrange(const void* weights, size_t inputs, size_t outputs, void* arranged) {
    const auto* from = static_cast<const uint8_t*>(weights);
    for (size_t i = 0; i < weight_bytes<Weights>(inputs, outputs); ++i) static_cast<uint8_t*>(arranged)[i] = from[i];
}

template <class Weights>
struct With {
    template <int pixels, int vectors>
    struct Dot {
        static void run(const Dense& work, const float* const* sources, float* const* out) {
            __m512 sums[pixels][vectors];
            load<pixels, vectors>(sums, out);
            const char* from = static_cast<const char*>(work.weights);
            size_t input = 0, inputs = work.inputs;
            for (; input + lanes <= inputs; input += lanes) add_inputs(from, inputs, sources, input, 0xffff, sums);
            if (input < inputs) add_inputs(from, inputs, sources, input, first_lanes(inputs - input), sums);
            store<pixels, vectors>(sums, out);
        }

        static inline void add_inputs(const char* weights, size_t inputs, const float* const* sources, size_t input,
                                      __mmask16 mask, __m512 (&sums)[pixels][vectors]) {
            __m512 weight[vectors];
            UNROLL for (int v = 0; v < vectors; ++v) weight[v] =
                Weights::get(weights + v * Weights::bytes(inputs), input, mask);
            UNROLL for (int p = 0; p < pixels; ++p) {
                const __m512 source = _mm512_maskz_loadu_ps(mask, sources[p] + input);
                UNROLL for (int v = 0; v < vectors; ++v) sums[p][v] = _mm512_fmadd_ps(weight[v], source, sums[p][v]);
            }
        }
    };
};

template <class Weights>
void accumulate(const void* weights, size_t inputs, size_t outputs, const void* const* sources, const uint8_t* pixels,
                size_t count, void* sums) {
    run_vectors<With<Weights>::template Dot, float>(outputs, Dense{weights, inputs}, sources, pixels, count,
                                                    sums, max_vectors * lanes);
}

const float* collect(const void* sums, size_t outputs, size_t pixel, size_t count, float, float* rows) {
    const float* from = static_cast<const float*>(sums) + pixel * block * lanes;
    for (size_t p = 0; p < count; ++p, from += block * lanes)
        for (size_t v = 0; v < outputs; ++v)
            rows[p * block + v] = _mm512_reduce_add_ps(_mm512_load_ps(from + v * lanes));
    return rows;
}

}  // namespace dotting
}  // namespace

const Product broadcast = {
    "float32 weights, broadcast",
    FloatBroadcast::block,
    sum_bytes<FloatBroadcast::most_vectors>,
    FloatBroadcast::weight_bytes,
    FloatBroadcast::arrange,
    nullptr,
    nullptr,
    each_tap<FloatBroadcast::accumulate>,
    FloatBroadcast::collect,
    false,
};

const Product short_broadcast = {
    "float weights as int8, broadcast",
    ShortBroadcast::block,
    sum_bytes<ShortBroadcast::most_vectors>,
    ShortBroadcast::weight_bytes,
    ShortBroadcast::arrange,
    source_bytes,
    prepare,
    each_tap<ShortBroadcast::accumulate>,
    ShortBroadcast::collect,
    true,
};

const Product dot = {
    "float32 weights, dot products",
    dotting::block,
    sum_bytes<dotting::block>,
    dotting::weight_bytes<dotting::Numbers>,
    dotting::arrange<dotting::Numbers>,
    nullptr,
    nullptr,
    each_tap<dotting::accumulate<dotting::Numbers>>,
    dotting::collect,
    false,
};

const Product one_bit_dot = {
    "one-bit weights, dot products",
    dotting::block,
    sum_bytes<dotting::block>,
    dotting::weight_bytes<dotting::Bits>,
    dotting::arrange<dotting::Bits>,
    nullptr,
    nullptr,
    each_tap<dotting::accumulate<dotting::Bits>>,
    dotting::collect,
    false,
};

}  // namespace pbgen::avx512
#endif
