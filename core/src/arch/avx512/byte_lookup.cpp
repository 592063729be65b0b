// One-bit weights and sums of 8 bits, by tables in registers. The 16 signed sums of four inputs are bytes, so a register
// holds the tables of 16 inputs. One permutation of bytes gives 16 output channels four sums each, which lie side by side,
// and a dot product with ones adds them to an integer of 32 bits: 256 multiply-adds for two instructions.
//
// Weights: [pairs of tables][vectors][16] of 32 bits. Byte g of an output channel's word is an index: bits 0, 1, 4 and 5
// are those of the weights of inputs 4 g to 4 g + 3 of the first table, bits 2, 3, 6 and 7 those of the second. Sources:
// [tables][64] bytes, entry b of group g at the place whose bits 0, 1, 4 and 5 are b, and bits 2 and 3 are g: the order
// in which vectors of integers are packed.
#ifdef __x86_64__
#include "round.h"

namespace pbgen::avx512 {
namespace {

constexpr size_t group_inputs = 4, groups = 4, table_inputs = groups * group_inputs, table_bytes = 64;
constexpr size_t block = max_vectors * lanes;

size_t tables(size_t inputs) { return divide_up(inputs, table_inputs); }

size_t source_bytes(size_t inputs) { return tables(inputs) * table_bytes; }

size_t weight_bytes(size_t inputs, size_t outputs) {
    return divide_up(tables(inputs), 2) * divide_up(outputs, lanes) * sizeof(__m512i);
}

// Four weights, the first in bit 0, as bits 0, 1, 4 and 5.
unsigned spread(unsigned weights) { return (weights & 3) | (weights & 12) << 2; }

void arrange(const void* weights, size_t inputs, size_t outputs, void* arranged) {
    const auto* rows = static_cast<const uint8_t*>(weights);
    auto* byte = static_cast<uint8_t*>(arranged);
    for (size_t first = 0; first < inputs; first += 2 * table_inputs)
        for (size_t output = 0; output < divide_up(outputs, lanes) * lanes; ++output) {
            const uint8_t* row = rows + output * row_bytes(inputs);
            const auto index = [&](size_t input) {
                return output < outputs && input < inputs ? spread(read_bits(row, inputs, input, group_inputs)) : 0;
            };
            for (size_t input = first; input < first + table_inputs; input += group_inputs)
                *byte++ = static_cast<uint8_t>(index(input) | index(input + table_inputs) << 2);
        }
}

// The signs of two inputs of a group, side by side, in each of its entries.
struct Signs {
    alignas(64) int16_t of[group_inputs / 2][lanes][2] = {};

    constexpr Signs() {
        for (size_t input = 0; input < group_inputs; ++input)
            for (size_t entry = 0; entry < lanes; ++entry) of[input / 2][entry][input % 2] = entry >> input & 1 ? 1 : -1;
    }
};

constexpr Signs signs;

// The entries of one group.
INLINE __m512i entries(const int32_t* two_inputs, __m512i first_signs, __m512i last_signs) {
    const __m512i half = _mm512_set1_epi32(1 << (sum_digits - 1));
    const __m512i sum = _mm512_dpwssd_epi32(half, first_signs, _mm512_set1_epi32(two_inputs[0]));
    return _mm512_srai_epi32(_mm512_dpwssd_epi32(sum, last_signs, _mm512_set1_epi32(two_inputs[1])), sum_digits);
}

void prepare(const float* values, size_t inputs, const Quantization& quantization, void* source) {
    const __m512i first = _mm512_load_si512(signs.of[0]), last = _mm512_load_si512(signs.of[1]);
    auto* table = static_cast<__m512i*>(source);
    for (size_t i = 0; i < inputs; i += table_inputs) {
        alignas(32) int32_t two[table_inputs / 2];
        _mm256_store_si256(reinterpret_cast<__m256i*>(two),
                           _mm512_cvtepi32_epi16(quantize(values + i, inputs - i, quantization)));
        __m512i sums[groups];
        UNROLL for (size_t g = 0; g < groups; ++g) sums[g] = entries(two + 2 * g, first, last);
        const __m512i low = _mm512_packs_epi32(sums[0], sums[1]), high = _mm512_packs_epi32(sums[2], sums[3]);
        _mm512_store_si512(table++, _mm512_packs_epi16(low, high));
    }
}

struct Work {
    const TapWeights* taps;
    size_t tap_count, tables;
};

template <int pixels, int vectors>
struct Lookup {
    static void run(const Work& work, const char* const* sources, float* const* out) {
        __m512i sums[pixels][vectors];
        load<pixels, vectors>(sums, out);
        for (const TapWeights* tap = work.taps; tap != work.taps + work.tap_count; ++tap) {
            const char* shifted[pixels];
            shift_sources<pixels>(sources, *tap, shifted);
            add_tap(static_cast<const __m512i*>(tap->weights), work.tables, shifted, sums);
        }
        store<pixels, vectors>(sums, out);
    }

    static INLINE void add_tap(const __m512i* words, size_t tables, const char* const* sources,
                               __m512i (&sums)[pixels][vectors]) {
        for (size_t at = 0; at < tables * table_bytes; words += vectors) {
            __m512i word[vectors];
            UNROLL for (int v = 0; v < vectors; ++v) word[v] = _mm512_load_si512(words + v);
            add_table(word, sources, at, sums);
            if ((at += table_bytes) == tables * table_bytes) break;
            UNROLL for (int v = 0; v < vectors; ++v) word[v] = _mm512_srli_epi32(word[v], 2);
            add_table(word, sources, at, sums);
            at += table_bytes;
        }
    }

    static INLINE void add_table(const __m512i (&words)[vectors], const char* const* sources, size_t at,
                                 __m512i (&sums)[pixels][vectors]) {
        constexpr int a_and_b_or_c = 0xea;
        const __m512i entry = _mm512_set1_epi8(0x33), group = _mm512_set1_epi32(0x0c080400), ones = _mm512_set1_epi8(1);
        __m512i index[vectors];
        UNROLL for (int v = 0; v < vectors; ++v)
            index[v] = _mm512_ternarylogic_epi32(words[v], entry, group, a_and_b_or_c);
        UNROLL for (int p = 0; p < pixels; ++p) {
            __m512i table = _mm512_load_si512(sources[p] + at);
            in_order(table);  // loaded once: the compiler would load it again for each use
            UNROLL for (int v = 0; v < vectors; ++v) {
                sums[p][v] = _mm512_dpbusd_epi32(sums[p][v], ones, _mm512_permutexvar_epi8(index[v], table));
                in_order(sums[p][v]);
            }
        }
    }
};

void accumulate(const TapWeights* taps, size_t tap_count, size_t inputs, size_t outputs, const void* const* sources,
                const uint8_t* pixels, size_t count, void* sums) {
    const Work work = {taps, tap_count, tables(inputs)};
    run_vectors<Lookup, char>(divide_up(outputs, lanes), work, sources, pixels, count, sums, block);
}

const float* collect(const void* sums, size_t outputs, size_t pixel, size_t count, float scale, float* rows) {
    return scale_sums(static_cast<const int32_t*>(sums) + pixel * block, block, outputs, count, scale, rows, block);
}

}  // namespace

const Product byte_lookup = {
    "tables in registers, int8", block, sum_bytes<max_vectors>, weight_bytes, arrange, source_bytes, prepare, accumulate,
    collect, Rounded::sums, taps_together,
};

}  // namespace pbgen::avx512
#endif
