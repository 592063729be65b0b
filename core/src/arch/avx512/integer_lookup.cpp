// One-bit weights and 8-bit inputs by tables in registers: as in lookup.cpp, but with entries of 16 bits, so that lanes
// are 32 output channels, and six weights w0..w5 of one output channel an index of 6 bits: their sum of inputs is
//     w0 (x0 + s1 x1 + ... + s5 x5),   s_i = w0 w_i = +-1,
// where the bracket is one of 32 numbers, which fill a register. Their negatives fill a second one, and one permutation
// chooses among both. Its results are added up in 16 bits, as many as cannot overflow, and then in 32. No sum of a pixel
// is larger than its inputs' magnitudes together: most often that is little, and all of them are added up in 16 bits.
//
// Weights: [words of two tables][vectors][32] of 16 bits. Table t of a word has its index in bits 6 t to 6 t + 5: bit
// i - 1 is set where s_i is +1, bit 5 where w0 is -1. Bits 12 to 15 are unused. The channels of a vector lie in the
// order 0, 16, 1, 17 and so on, which puts them right where the sums are widened. Sources: [tables][32] int16, and the
// sum of the magnitudes as an int32.
#ifdef __x86_64__
#include <cstring>

#include "round.h"

namespace pbgen::avx512 {
namespace {

constexpr size_t table_inputs = 6, index_bits = 6, table_entries = 32, word_tables = 2;
constexpr size_t vector_channels = 2 * lanes, block = max_vectors * vector_channels;

// As many tables as sums of 16 bits can always take: 20 * 6 * 255 = 30600. And as many as are added up before the next
// pixels have their turn, though the sums could take more: their weights should stay in the first cache.
constexpr size_t sure_tables = 20, most_tables = 88;

constexpr int zero_point = 128;  // of inputs that may be negative, where they are unsigned bytes

size_t tables(size_t inputs) { return divide_up(inputs, table_inputs); }
size_t vectors(size_t outputs) { return divide_up(outputs, vector_channels); }
size_t source_bytes(size_t inputs) { return (tables(inputs) + 1) * sizeof(__m512i); }

// Numbers from one pixel's sums to the next's.
size_t width(size_t outputs) { return vectors(outputs) * vector_channels; }

size_t sum_bytes(size_t outputs, size_t pixels) { return pixels * width(outputs) * sizeof(int32_t); }

size_t weight_bytes(size_t inputs, size_t outputs) {
    return divide_up(tables(inputs), word_tables) * vectors(outputs) * sizeof(__m512i);
}

// Six weights, the first in bit 0.
unsigned index_of(unsigned weights) {
    const unsigned others = weights >> 1, same = weights & 1 ? others : ~others & 31;
    return same | (~weights & 1) << 5;
}

void arrange(const void* weights, size_t inputs, size_t outputs, void* arranged) {
    const auto* rows = static_cast<const uint8_t*>(weights);
    auto* word = static_cast<uint16_t*>(arranged);
    for (size_t table = 0; table < tables(inputs); table += word_tables)
        for (size_t lane = 0; lane < width(outputs); ++lane, ++word) {
            const size_t output = lane / vector_channels * vector_channels + lane % 2 * lanes + lane % vector_channels / 2;
            unsigned bits = 0;
            for (size_t t = 0; output < outputs && t < word_tables && table + t < tables(inputs); ++t)
                bits |= index_of(read_bits(rows + output * row_bytes(inputs), inputs, (table + t) * table_inputs,
                                           table_inputs))
                        << t * index_bits;
            *word = static_cast<uint16_t>(bits);
        }
}

// 16 inputs as unsigned bytes; adds their magnitudes to those before.
__m128i quantize_bytes(const float* values, size_t count, const Quantization& quantization, __m512i& magnitudes) {
    const __m512i q = quantize(values, count, quantization);
    magnitudes = _mm512_add_epi32(magnitudes, _mm512_abs_epi32(q));
    return _mm512_cvtepi32_epi8(_mm512_add_epi32(q, _mm512_set1_epi32(quantization.negative ? zero_point : 0)));
}

// The signs of the inputs in each entry of a table, two inputs side by side: [inputs / 2][entries][2].
struct Signs {
    alignas(64) int8_t of[table_inputs / 2][table_entries][2] = {};

    constexpr Signs() {
        for (size_t input = 0; input < table_inputs; ++input)
            for (size_t entry = 0; entry < table_entries; ++entry)
                of[input / 2][entry][input % 2] = input == 0 || (entry >> (input - 1) & 1) ? 1 : -1;
    }
};

constexpr Signs signs_of_entries;

void prepare(const float* values, size_t inputs, const Quantization& quantization, void* source) {
    __m512i signs[table_inputs / 2];
    UNROLL for (size_t i = 0; i < table_inputs / 2; ++i) signs[i] = _mm512_load_si512(signs_of_entries.of[i]);
    // What the zero points of all inputs come to.
    __m512i offset = _mm512_setzero_si512();
    if (quantization.negative)
        for (const __m512i& two : signs)
            offset = _mm512_sub_epi16(offset, _mm512_maddubs_epi16(_mm512_set1_epi8(char(zero_point)), two));
    __m512i* out = static_cast<__m512i*>(source);
    __m512i magnitudes = _mm512_setzero_si512();
    constexpr size_t part = 6 * lanes;  // whole vectors and whole tables
    for (size_t first = 0; first < inputs; first += part) {
        alignas(16) uint8_t bytes[part];
        const size_t here = inputs - first < part ? inputs - first : part;
        for (size_t i = 0; i < part; i += lanes)
            _mm_store_si128(reinterpret_cast<__m128i*>(bytes + i),
                            quantize_bytes(values + first + i, i < here ? here - i : 0, quantization, magnitudes));
        for (size_t i = 0; i < here; i += table_inputs) {
            __m512i sum = offset;
            UNROLL for (int j = 0; j < 3; ++j) {
                short two;
                memcpy(&two, bytes + i + 2 * j, sizeof two);
                sum = _mm512_add_epi16(sum, _mm512_maddubs_epi16(_mm512_set1_epi16(two), signs[j]));
            }
            _mm512_store_si512(out++, sum);
        }
    }
    *reinterpret_cast<int32_t*>(out) = _mm512_reduce_add_epi32(magnitudes);
}

// Some tables of each tap, from `first` on.
struct Work {
    const TapWeights* taps;
    size_t tap_count, first, tables;
};

struct Table {
    __m512i sums, negative;

    // Loaded once: the compiler would load it again for each use.
    explicit Table(const void* source) : sums(_mm512_load_si512(source)) {
        in_order(sums);
        negative = _mm512_sub_epi16(_mm512_setzero_si512(), sums);
    }
};

template <int pixels, int vectors>
struct Lookup {
    static void run(const Work& work, const int16_t* const* sources, float* const* out) {
        __m512i sums[pixels][vectors];
        UNROLL for (int p = 0; p < pixels; ++p)
            UNROLL for (int v = 0; v < vectors; ++v) sums[p][v] = _mm512_setzero_si512();
        each_tap_row<pixels, vectors>(
            work.taps, work.tap_count, sources,
            [&](const auto& row) __attribute__((always_inline)) { add_row(row, work.first, work.tables, sums); },
            [&](const TapWeights& tap) __attribute__((always_inline)) {
                const int16_t* shifted[pixels];
                shift_sources<pixels>(sources, tap, shifted);
                const __m512i* word = static_cast<const __m512i*>(tap.weights) + work.first / word_tables * vectors;
                add_tap(word, work.first * table_entries, work.tables, shifted, sums);
            });
        const __m512i even = _mm512_set1_epi32(1);
        UNROLL for (int p = 0; p < pixels; ++p)
            UNROLL for (int v = 0; v < vectors; ++v) {
                float* to = out[p] + v * vector_channels;
                widen(to, _mm512_madd_epi16(sums[p][v], even));
                widen(to + lanes, _mm512_srai_epi32(sums[p][v], 16));
            }
    }

    static INLINE void add_tap(const __m512i* word, size_t at, size_t tables, const int16_t* const* sources,
                               __m512i (&sums)[pixels][vectors]) {
        for (; tables; word += vectors) {
            __m512i words[vectors];
            UNROLL for (int v = 0; v < vectors; ++v) words[v] = _mm512_load_si512(word + v);
            add_table(words, sources, at, sums);
            at += table_entries;
            if (--tables == 0) break;
            UNROLL for (int v = 0; v < vectors; ++v) words[v] = _mm512_srli_epi16(words[v], index_bits);
            add_table(words, sources, at, sums);
            at += table_entries;
            --tables;
        }
    }

    static INLINE void add_table(const __m512i (&words)[vectors], const int16_t* const* source, size_t at,
                                 __m512i (&sums)[pixels][vectors]) {
        UNROLL for (int p = 0; p < pixels; ++p) add_sums(words, Table(source[p] + at), sums[p]);
    }

    template <int taps>
    static INLINE void add_row(TapRow<taps> row, size_t first, size_t tables, __m512i (&sums)[pixels][vectors]) {
        row.source += first * sizeof(__m512i);
        size_t word = first / word_tables * vectors;
        for (; tables; word += vectors) {
            __m512i words[taps][vectors];
            UNROLL for (int t = 0; t < taps; ++t)
                UNROLL for (int v = 0; v < vectors; ++v) words[t][v] = _mm512_load_si512(row.weights[t] + word + v);
            add_row_table(words, row, sums);
            if (--tables == 0) break;
            UNROLL for (int t = 0; t < taps; ++t)
                UNROLL for (int v = 0; v < vectors; ++v) words[t][v] = _mm512_srli_epi16(words[t][v], index_bits);
            add_row_table(words, row, sums);
            --tables;
        }
    }

    template <int taps>
    static INLINE void add_row_table(const __m512i (&words)[taps][vectors], TapRow<taps>& row,
                                     __m512i (&sums)[pixels][vectors]) {
        const char* source = row.source;
        UNROLL for (int x = 0; x < pixels + taps - 1; ++x, source += row.step) {
            const Table table(source);
            UNROLL for (int t = 0; t < taps; ++t)
                if (x >= t && x < t + pixels) add_sums(words[t], table, sums[x - t]);
        }
        row.source += sizeof(__m512i);
    }

    static INLINE void add_sums(const __m512i (&words)[vectors], const Table& table, __m512i (&sums)[vectors]) {
        UNROLL for (int v = 0; v < vectors; ++v) {
            sums[v] = _mm512_add_epi16(sums[v], _mm512_permutex2var_epi16(table.sums, words[v], table.negative));
            in_order(sums[v]);
        }
    }

    static inline void widen(float* sum, __m512i more) {
        _mm512_store_si512(sum, _mm512_add_epi32(_mm512_load_si512(sum), more));
    }
};

// The most that the magnitudes of all taps' inputs come to, for one of these pixels.
int64_t largest_sum(const TapWeights* taps, size_t tap_count, size_t inputs, const void* const* sources, size_t count) {
    int64_t largest = 0;
    for (size_t p = 0; p < count; ++p) {
        int64_t sum = 0;
        for (const TapWeights* tap = taps; tap != taps + tap_count; ++tap)
            sum += *reinterpret_cast<const int32_t*>(static_cast<const char*>(sources[p]) + tap->shift +
                                                     tables(inputs) * sizeof(__m512i));
        if (sum > largest) largest = sum;
    }
    return largest;
}

// As many tables at a time as sums of 16 bits can take, in equal parts of whole words.
void accumulate(const TapWeights* taps, size_t tap_count, size_t inputs, size_t outputs, const void* const* sources,
                const uint8_t* pixels, size_t count, void* sums) {
    const bool together = largest_sum(taps, tap_count, inputs, sources, count) <= INT16_MAX;
    const size_t calls = together ? 1 : tap_count, most = together ? most_tables : sure_tables;
    for (size_t call = 0; call < calls; ++call) {
        Work work = {taps + call, tap_count / calls, 0, 0};
        for (size_t parts = divide_up(tables(inputs), most); parts; --parts, work.first += work.tables) {
            const size_t left = tables(inputs) - work.first;
            work.tables = parts == 1 ? left : divide_up(left / parts, word_tables) * word_tables;
            run_vectors<Lookup, int16_t>(vectors(outputs), work, sources, pixels, count, sums, width(outputs));
        }
    }
}

const float* collect(const void* sums, size_t outputs, size_t pixel, size_t count, float scale, float* rows) {
    const int32_t* from = static_cast<const int32_t*>(sums) + pixel * width(outputs);
    return scale_sums(from, width(outputs), outputs, count, scale, rows, block);
}

}  // namespace

const Product integer_lookup = {
    "tables in registers, int8", block, sum_bytes, weight_bytes, arrange, source_bytes, prepare, accumulate, collect,
    true, taps_together,
};

}  // namespace pbgen::avx512
#endif
