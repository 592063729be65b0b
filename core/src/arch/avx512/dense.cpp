// Products whose weights are numbers, or are made into numbers as they are read.
#ifdef __x86_64__
#include "../each_tap.h"
#include "products.h"

namespace pbgen::avx512 {
namespace {

// One tap of a block.
struct Dense {
    const void* weights;
    size_t inputs;
};

// Lanes are output channels. Weights: [inputs][vectors][16].
namespace broadcasting {

// Six, because a folded layer's outputs, taps times channels, are often 48 or 75.
constexpr size_t vectors = 6, block = vectors * lanes;

size_t weight_bytes(size_t inputs, size_t outputs) { return inputs * divide_up(outputs, lanes) * sizeof(__m512); }

void arrange(const void* weights, size_t inputs, size_t outputs, void* arranged) {
    const auto* from = static_cast<const float*>(weights);
    auto* to = static_cast<float*>(arranged);
    for (size_t input = 0; input < inputs; ++input)
        for (size_t output = 0; output < divide_up(outputs, lanes) * lanes; ++output)
            *to++ = output < outputs ? from[output * inputs + input] : 0;
}

template <int pixels, int vectors>
struct Broadcast {
    static void run(const Dense& work, const float* const* sources, float* const* out) {
        __m512 sums[pixels][vectors];
        load<pixels, vectors>(sums, out);
        const float* at = static_cast<const float*>(work.weights);
        for (size_t input = 0; input < work.inputs; ++input, at += vectors * lanes)
            UNROLL for (int v = 0; v < vectors; ++v) {
                const __m512 weight = _mm512_load_ps(at + v * lanes);
                UNROLL for (int p = 0; p < pixels; ++p) sums[p][v] =
                    _mm512_fmadd_ps(weight, _mm512_set1_ps(sources[p][input]), sums[p][v]);
            }
        store<pixels, vectors>(sums, out);
    }
};

void accumulate(const void* weights, size_t inputs, size_t outputs, const void* const* sources, const uint8_t* pixels,
                size_t count, void* sums) {
    run_vectors<Broadcast, float, vectors>(divide_up(outputs, lanes), Dense{weights, inputs}, sources, pixels, count,
                                           sums, block);
}

const float* collect(const void* sums, size_t, size_t pixel, size_t, float, float*) {
    return static_cast<const float*>(sums) + pixel * block;
}

}  // namespace broadcasting

// Lanes are partial sums of one output channel: a vector of sums for each.
namespace dotting {

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
    broadcasting::block,
    sum_bytes<broadcasting::vectors>,
    broadcasting::weight_bytes,
    broadcasting::arrange,
    nullptr,
    nullptr,
    each_tap<broadcasting::accumulate>,
    broadcasting::collect,
    false,
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
