// One-bit weights and 8-bit inputs by tables in registers: as in lookup.cpp, but an entry has 16 bits, and a register
// holds the tables of ten inputs. A lane of 32 bits is an output channel: its lower half looks in the first table, its
// upper half in the second, and one instruction multiplies both with their signs and adds both to a sum of 32 bits.
//
// Weights: [words of three tables][vectors][16] of 32 bits. Rotated right by 5 t bits, a word has the indices of table
// t in bits 0 to 3 and 16 to 19, and the signs in bits 15 and 31. Bits 14 and 30 are unused. Sources: [tables][32]
// int16.
//
// This file is compiled twice, with and without VNNI.
#ifdef __x86_64__
#include "products.h"

#ifdef __AVX512VNNI__
namespace pbgen::avx512vnni {
using namespace pbgen::avx512;
#else
namespace pbgen::avx512 {
#endif
namespace {

constexpr size_t half_inputs = 5, table_inputs = 10, table_entries = 32, word_tables = 3;
constexpr size_t block = max_vectors * lanes;

using WordsOfThree = Words<table_inputs, word_tables>;

// The index and the sign of five weights, the first in bit 0, where the rotated word has them in its lower half.
uint32_t make_half(uint32_t weights) {
    const uint32_t others = weights >> 1, same = weights & 1 ? others : ~others & 15;
    return same | (~weights & 1) << 15;
}

uint32_t make_halves(uint32_t weights) { return make_half(weights & 31) | make_half(weights >> half_inputs) << 16; }

size_t source_bytes(size_t inputs) { return WordsOfThree::tables(inputs) * sizeof(__m512i); }

__m512i quantize(const float* values, size_t count, const Quantization& quantization) {
    const __m512 x = _mm512_maskz_loadu_ps(first_lanes(count), values);
    const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(x, _mm512_set1_ps(quantization.inverse)));
    const __m512i low = _mm512_set1_epi32(quantization.negative ? -127 : 0);
    const __m512i high = _mm512_set1_epi32(quantization.negative ? 127 : 255);
    return _mm512_max_epi32(low, _mm512_min_epi32(high, q));
}

// The ten inputs of both tables as 16-bit numbers, in lanes 0 to 9.
void prepare(const float* values, size_t inputs, const Quantization& quantization, void* source) {
    const __m512i entry = _mm512_set_epi16(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10,
                                           9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __m512i minus[half_inputs], input[half_inputs];  // all ones where the input is subtracted; which lane it is in
    UNROLL for (int i = 0; i < int(half_inputs); ++i) {
        const __mmask32 add = i == 0 ? ~0u : _mm512_test_epi16_mask(entry, _mm512_set1_epi16(short(1 << i >> 1)));
        minus[i] = _mm512_movm_epi16(static_cast<__mmask32>(~add));
        input[i] = _mm512_inserti64x4(_mm512_set1_epi16(short(i + half_inputs)),
                                      _mm256_set1_epi16(short(i)), 0);
    }
    __m512i* out = static_cast<__m512i*>(source);
    for (size_t first = 0; first < inputs; first += table_inputs) {
        const size_t rest = inputs - first;
        const __m512i q = quantize(values + first, rest < table_inputs ? rest : table_inputs, quantization);
        const __m512i x = _mm512_castsi256_si512(_mm512_cvtepi32_epi16(q));
        __m512i sum = _mm512_setzero_si512();
        UNROLL for (int i = 0; i < int(half_inputs); ++i) {
            const __m512i value = _mm512_permutexvar_epi16(input[i], x);
            // -x is ~x + 1
            sum = _mm512_add_epi16(sum, _mm512_sub_epi16(_mm512_xor_si512(value, minus[i]), minus[i]));
        }
        _mm512_store_si512(out++, sum);
    }
}

// sums += the two products of 16-bit numbers in each lane
inline __m512i multiply_add(__m512i sums, __m512i a, __m512i b) {
#ifdef __AVX512VNNI__
    return _mm512_dpwssd_epi32(sums, a, b);
#else
    return _mm512_add_epi32(sums, _mm512_madd_epi16(a, b));
#endif
}

template <int pixels, int vectors>
struct Lookup {
    static void run(const void* weights, size_t inputs, const int16_t* const* sources, float* const* out) {
        __m512i sums[pixels][vectors];
        UNROLL for (int p = 0; p < pixels; ++p)
            UNROLL for (int v = 0; v < vectors; ++v) sums[p][v] = _mm512_load_si512(out[p] + v * lanes);
        const __m512i* word = static_cast<const __m512i*>(weights);
        for (size_t depth = WordsOfThree::tables(inputs), at = 0; depth; word += vectors) {
            __m512i words[vectors];
            UNROLL for (int v = 0; v < vectors; ++v) words[v] = _mm512_load_si512(word + v);
            size_t here = depth < word_tables ? depth : word_tables;
            depth -= here;
            // Unrolled where it counts; elsewhere it would only be larger.
            if (vectors == max_vectors && here == word_tables)
                UNROLL for (size_t t = 0; t < word_tables; ++t, at += table_entries)
                    add_table(words, sources, at, sums);
            else
                for (; here; --here, at += table_entries) add_table(words, sources, at, sums);
        }
        UNROLL for (int p = 0; p < pixels; ++p)
            UNROLL for (int v = 0; v < vectors; ++v) _mm512_store_si512(out[p] + v * lanes, sums[p][v]);
    }

    static inline void add_table(__m512i (&words)[vectors], const int16_t* const* source, size_t at,
                                 __m512i (&sums)[pixels][vectors]) {
        const __m512i index_bits = _mm512_set1_epi32(0x000f000f), second_table = _mm512_set1_epi32(0x00100000);
        constexpr int a_and_b_or_c = 0xea;
        UNROLL for (int v = 0; v < vectors; ++v) {
            const __m512i index = _mm512_ternarylogic_epi32(words[v], index_bits, second_table, a_and_b_or_c);
            const __m512i signs = _mm512_or_si512(_mm512_srai_epi16(words[v], 15), _mm512_set1_epi16(1));
            UNROLL for (int p = 0; p < pixels; ++p) {
                const __m512i table = _mm512_load_si512(source[p] + at);
                sums[p][v] = multiply_add(sums[p][v], signs, _mm512_permutexvar_epi16(index, table));
            }
            words[v] = _mm512_ror_epi32(words[v], WordsOfThree::table_step);
        }
    }
};

void accumulate(const void* weights, size_t inputs, size_t outputs, const void* const* sources, const uint8_t* pixels,
                size_t count, void* sums) {
    run_vectors<Lookup, int16_t>(divide_up(outputs, lanes), weights, inputs, sources, pixels, count, sums, block);
}

const float* collect(const void* sums, size_t outputs, size_t pixel, size_t count, float scale, float* rows) {
    const int32_t* from = static_cast<const int32_t*>(sums) + pixel * block;
    for (size_t p = 0; p < count; ++p)
        for (size_t o = p * block; o < p * block + outputs; o += lanes) {
            const __m512 x = _mm512_cvtepi32_ps(_mm512_load_si512(from + o));
            _mm512_store_ps(rows + o, _mm512_mul_ps(x, _mm512_set1_ps(scale)));
        }
    return rows;
}

}  // namespace

const Product integer_lookup = {
    "tables in registers, int8", block, sum_bytes<max_vectors>, WordsOfThree::weight_bytes, WordsOfThree::arrange<make_halves>, source_bytes, prepare, accumulate, collect, true,
};

}
#endif
