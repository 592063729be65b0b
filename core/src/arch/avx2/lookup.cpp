// Signs by tables in registers, as ../avx512/lookup.cpp explains them. Four weights of an output channel make an index of
// 3 bits and a sign, and the sum of their inputs is one of 8 numbers, which fit one register, or that one's negative.
// Lanes are output channels, so it matters little how few these are, and not how few pixels lie side by side.
//
// Weights: [pairs of vectors][words of eight tables][vectors][8] of 32 bits; the last pair may be a single one. A word holds
// eight tables' weights of one output channel: shifted right by 4 t bits it has table t's index in bits 0 to 2, bit i - 1
// set where s_i is +1, and in bit 3 its sign, set where w0 is -1. Sources: [tables][8] float32.
#ifdef __x86_64__
#include "lookup.h"

#include <immintrin.h>

#include "../each_pixel.h"
#include "../pixels.h"

namespace pbgen::avx2 {
namespace {

constexpr size_t lanes = 8, max_vectors = 2, sum_registers = 10;
constexpr size_t block = 64;
constexpr size_t table_inputs = 4, table_entries = 8, word_tables = 8;
constexpr int table_bits = 4;  // of a word, by which it is shifted from one of its tables to the next
constexpr size_t taps_together = 12 << 10;  // bytes of weights: a part of the first cache

size_t tables(size_t inputs) { return divide_up(inputs, table_inputs); }

size_t sum_bytes(size_t, size_t pixels) { return pixels * block * sizeof(float); }

size_t words(size_t inputs) { return divide_up(tables(inputs), word_tables); }

size_t weight_bytes(size_t inputs, size_t outputs) { return words(inputs) * divide_up(outputs, lanes) * sizeof(__m256i); }

// Indices and signs of 32 weights, the first in bit 0.
uint32_t make_word(uint32_t weights) {
    const uint32_t negative = ~weights & 0x11111111;
    return ((weights >> 1 & 0x77777777) ^ negative * 7) | negative << 3;
}

// That of a row of bits, which may end before the word is full.
uint32_t read_word(const uint8_t* row, size_t inputs, size_t word) {
    uint32_t weights = 0;
    const size_t byte = word * sizeof weights, left = row_bytes(inputs) - byte;
    std::memcpy(&weights, row + byte, left < sizeof weights ? left : sizeof weights);
    return make_word(weights);
}

void arrange(const void* weights, size_t inputs, size_t outputs, void* arranged) {
    const auto* rows = static_cast<const uint8_t*>(weights);
    auto* to = static_cast<uint32_t*>(arranged);
    const size_t all = divide_up(outputs, lanes) * lanes;
    for (size_t first = 0, end; first < all; first = end) {
        end = first + max_vectors * lanes < all ? first + max_vectors * lanes : all;
        for (size_t word = 0; word < words(inputs); ++word)
            for (size_t output = first; output < end; ++output)
                *to++ = output < outputs ? read_word(rows + output * row_bytes(inputs), inputs, word) : 0;
    }
}

// Whole cache lines.
size_t source_bytes(size_t inputs) { return divide_up(tables(inputs), 2) * 2 * sizeof(__m256); }

INLINE void prepare(const float* values, size_t inputs, const Quantization&, void* source) {
    // Lane i holds entry i: input j's sign there is bit j - 1 of i.
    const __m256 s1 = _mm256_setr_ps(-1, 1, -1, 1, -1, 1, -1, 1);
    const __m256 s2 = _mm256_setr_ps(-1, -1, 1, 1, -1, -1, 1, 1);
    const __m256 s3 = _mm256_setr_ps(-1, -1, -1, -1, 1, 1, 1, 1);
    const auto table = [&](const float* x) {
        __m256 sum = _mm256_fmadd_ps(s1, _mm256_broadcast_ss(x + 1), _mm256_broadcast_ss(x));
        sum = _mm256_fmadd_ps(s2, _mm256_broadcast_ss(x + 2), sum);
        return _mm256_fmadd_ps(s3, _mm256_broadcast_ss(x + 3), sum);
    };
    auto* out = static_cast<float*>(source);
    size_t first = 0;
    for (; first + table_inputs <= inputs; first += table_inputs, out += table_entries)
        _mm256_store_ps(out, table(values + first));
    if (first == inputs) return;
    float rest[table_inputs] = {};
    std::memcpy(rest, values + first, (inputs - first) * sizeof(float));
    _mm256_store_ps(out, table(rest));
}

struct Work {
    const TapWeights* taps;
    size_t tap_count, tables;
    size_t first_word;  // of a tap's weights
    bool starts;        // from zeros
};

template <int pixels, int vectors>
struct Lookup {
    // By itself: among others it would have to share their registers.
    static __attribute__((noinline)) void run(const Work& work, const float* const* sources, float* const* out) {
        __m256 sums[pixels][vectors];
        if (work.starts)
            clear<pixels, vectors>(sums);
        else
            load<pixels, vectors>(sums, out);
        for (size_t t = 0; t < work.tap_count; ++t) {
            const float* shifted[pixels];
            shift_sources<pixels>(sources, work.taps[t], shifted);
            add_tap(static_cast<const __m256i*>(work.taps[t].weights) + work.first_word, work.tables, shifted, sums);
        }
        store<pixels, vectors>(sums, out);
    }

    static INLINE void add_tap(const __m256i* word, size_t tables, const float* const* sources,
                               __m256 (&sums)[pixels][vectors]) {
        for (size_t at = 0; tables; word += vectors) {
            __m256i words[vectors];
            UNROLL for (int v = 0; v < vectors; ++v) words[v] = _mm256_load_si256(word + v);
            size_t here = tables < word_tables ? tables : word_tables;
            tables -= here;
            // Unrolled where it counts; elsewhere it would only be larger.
            if (vectors == max_vectors && here == word_tables)
                UNROLL for (size_t t = 0; t < word_tables; ++t, at += table_entries) add_table(words, sources, at, sums);
            else
                for (; here; --here, at += table_entries) add_table(words, sources, at, sums);
        }
    }

    // One table for each pixel: the words' low bits are the index; then the words move on.
    static INLINE void add_table(__m256i (&words)[vectors], const float* const* source, size_t at,
                                 __m256 (&sums)[pixels][vectors]) {
        const __m256i sign_bit = _mm256_set1_epi32(INT32_MIN), one = _mm256_castps_si256(_mm256_set1_ps(1));
        __m256 signs[vectors];
        UNROLL for (int v = 0; v < vectors; ++v) {
            const __m256i sign = _mm256_and_si256(_mm256_slli_epi32(words[v], 32 - table_bits), sign_bit);
            signs[v] = _mm256_castsi256_ps(_mm256_or_si256(sign, one));
        }
        UNROLL for (int p = 0; p < pixels; ++p) {
            const __m256 table = _mm256_load_ps(source[p] + at);
            UNROLL for (int v = 0; v < vectors; ++v) {
                sums[p][v] = _mm256_fmadd_ps(signs[v], _mm256_permutevar8x32_ps(table, words[v]), sums[p][v]);
                in_order(sums[p][v]);
            }
        }
        UNROLL for (int v = 0; v < vectors; ++v) words[v] = _mm256_srli_epi32(words[v], table_bits);
    }
};

template <bool starts>
void accumulate(const TapWeights* taps, size_t tap_count, size_t inputs, size_t outputs, const void* const* sources,
                const uint8_t* pixels, size_t count, void* sums) {
    const size_t all = divide_up(outputs, lanes);
    for (size_t vector = 0; vector < all; vector += max_vectors) {
        const Work work = {taps, tap_count, tables(inputs), vector * words(inputs), starts};
        run_vectors<Lookup, max_vectors, sum_registers, float>(all - vector, work, sources, pixels, count,
                                                               static_cast<float*>(sums) + vector * lanes, block);
    }
}

const float* collect(const void* sums, size_t outputs, size_t planes, size_t pixel, size_t count, float, float* rows) {
    const float* from = static_cast<const float*>(sums) + pixel * block;
    if (planes == 1) return from;
    for (size_t p = 0; p < count; ++p, from += block)
        for (size_t o = 0; o < outputs; ++o) {
            float sum = 0;
            for (size_t plane = planes; plane-- > 0;) sum = sum + sum + from[plane * outputs + o];
            rows[p * block + o] = sum;
        }
    return rows;
}

}  // namespace

const Product lookup = {
    .name = "tables in registers",
    .block = block,
    .sum_bytes = sum_bytes,
    .weight_bytes = weight_bytes,
    .arrange = arrange,
    .source_bytes = source_bytes,
    .prepare = each_pixel<prepare>,
    .accumulate = accumulate<false>,
    .collect = collect,
    .rounded = Rounded::nothing,
    .takes_signs = true,
    .together = taps_together,
    .start = accumulate<true>,
};

}  // namespace pbgen::avx2
#endif
