// Signs by tables in registers. Five weights w0..w4 of one output channel make an index of 4 bits and a sign:
// their sum of inputs is
//     w0 x0 + ... + w4 x4  =  w0 (x0 + s1 x1 + ... + s4 x4),   s_i = w0 w_i = +-1,
// and the bracket is one of 16 numbers: a table, built once a pixel, that fits one register. Lanes are output channels.
//
// There are two ways to put the sign on, for different units of the processor, and of four vectors of output channels two
// take each, of two one: the sum is multiplied by +-1 while it is added up, or chosen from two tables, the second with
// signs turned.
//
// Weights: [words of six tables][vectors][16] of 32 bits. A word holds six tables' weights of one output channel:
// rotated right by 5 t bits it has table t's index in bits 0 to 3, bit i - 1 set where s_i is +1, and its sign, set where
// w0 is -1, in bit 31, or in bit 4 where it chooses the table. Two bits are unused. Sources: [tables][16] float32.
#ifdef __x86_64__
#include "../each_pixel.h"
#include "products.h"

namespace pbgen::avx512 {
namespace {

constexpr size_t table_inputs = 5, table_entries = 16, word_tables = 6;
constexpr size_t block = max_vectors * lanes;
constexpr size_t table_bits = 5;  // of a word, by which it is rotated from one of its tables to the next

size_t tables(size_t inputs) { return divide_up(inputs, table_inputs); }

size_t weight_bytes(size_t inputs, size_t outputs) {
    return divide_up(tables(inputs), word_tables) * divide_up(outputs, lanes) * sizeof(__m512i);
}

// Whether the sign chooses the table for this vector of output channels: for about half of them.
constexpr bool two_tables(size_t vector, size_t vectors) { return vector >= (vectors == 2 ? 1 : 2); }

// Index and sign of five weights, the first in bit 0.
uint32_t index_and_sign(uint32_t weights, bool two_tables) {
    const uint32_t negative = ~weights & 1, same = (weights >> 1 ^ -negative) & 15;
    return same | negative << (two_tables ? table_bits - 1 : 31);
}

// Those of table `table` and on of a row of bits, which may end before the word is full.
uint32_t make_word(const uint8_t* row, size_t inputs, size_t table, bool two_tables) {
    uint32_t word = 0;
    auto weights = static_cast<uint32_t>(read_bits(row, inputs, table * table_inputs));
    for (size_t t = 0; t < word_tables && table + t < tables(inputs); ++t, weights >>= table_inputs) {
        const uint32_t bits = index_and_sign(weights, two_tables);
        const size_t shift = t * table_bits;
        word |= bits << shift | bits >> (32 - shift) % 32;
    }
    return word;
}

void arrange(const void* weights, size_t inputs, size_t outputs, void* arranged) {
    const auto* rows = static_cast<const uint8_t*>(weights);
    auto* word = static_cast<uint32_t*>(arranged);
    const size_t vectors = divide_up(outputs, lanes);
    for (size_t table = 0; table < tables(inputs); table += word_tables)
        for (size_t output = 0; output < vectors * lanes; ++output) {
            const uint8_t* row = rows + output * row_bytes(inputs);
            *word++ = output < outputs ? make_word(row, inputs, table, two_tables(output / lanes, vectors)) : 0;
        }
}

size_t source_bytes(size_t inputs) { return tables(inputs) * sizeof(__m512); }

INLINE void prepare(const float* values, size_t inputs, const Quantization&, void* source) {
    // Lane i holds entry i: input j's sign there is bit j - 1 of i.
    const auto signs = [](int bit) {
        const __m512i entry = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        return _mm512_mask_blend_ps(_mm512_test_epi32_mask(entry, _mm512_set1_epi32(1 << bit)), _mm512_set1_ps(-1),
                                    _mm512_set1_ps(1));
    };
    const __m512 s1 = signs(0), s2 = signs(1), s3 = signs(2), s4 = signs(3);
    const auto table = [&](const float* x) {
        __m512 sum = _mm512_set1_ps(x[0]);
        sum = _mm512_fmadd_ps(s1, _mm512_set1_ps(x[1]), sum);
        sum = _mm512_fmadd_ps(s2, _mm512_set1_ps(x[2]), sum);
        sum = _mm512_fmadd_ps(s3, _mm512_set1_ps(x[3]), sum);
        return _mm512_fmadd_ps(s4, _mm512_set1_ps(x[4]), sum);
    };
    float* out = static_cast<float*>(source);
    size_t first = 0;
    for (; first + table_inputs <= inputs; first += table_inputs, out += table_entries)
        _mm512_store_ps(out, table(values + first));
    if (first == inputs) return;
    const __m512 rest = _mm512_maskz_loadu_ps(first_lanes(inputs - first), values + first);
    const auto input = [&](int i) { return _mm512_permutexvar_ps(_mm512_set1_epi32(i), rest); };
    __m512 sum = _mm512_fmadd_ps(s1, input(1), input(0));
    sum = _mm512_fmadd_ps(s2, input(2), sum);
    sum = _mm512_fmadd_ps(s3, input(3), sum);
    _mm512_store_ps(out, _mm512_fmadd_ps(s4, input(4), sum));
}

// Neighbouring taps of neighbouring pixels meet mostly the same sources: pixel p meets that of pixel 0 plus (p + t) steps.
template <int taps>
struct TapRow {
    const __m512i* weights[taps];
    const char* source;
    ptrdiff_t step;

    // From taps in either direction.
    TapRow(const TapWeights* tap, const void* first_source, ptrdiff_t pixel_step)
        : source(static_cast<const char*>(first_source)), step(pixel_step) {
        const bool falling = tap[1].shift < tap[0].shift;
        UNROLL for (int t = 0; t < taps; ++t) weights[t] =
            static_cast<const __m512i*>(tap[falling ? taps - 1 - t : t].weights);
        source += tap[falling ? taps - 1 : 0].shift;
    }
};

// From one pixel's source to the next's where all are equally far apart, else 0.
template <int pixels, class Source>
inline ptrdiff_t step_of(const Source* const* sources) {
    const auto distance = [&](int p) {
        return reinterpret_cast<const char*>(sources[p]) - reinterpret_cast<const char*>(sources[p - 1]);
    };
    for (int p = 2; p < pixels; ++p)
        if (distance(p) != distance(1)) return 0;
    return distance(1);
}

// How many taps from `tap` on are a step apart, up to 3: as many words as there are registers for.
inline size_t row_taps(const TapWeights* tap, const TapWeights* end, ptrdiff_t step) {
    const auto distance = [&](size_t t) { return tap[t].shift - tap[t - 1].shift; };
    if (step == 0 || end - tap < 2 || (distance(1) != step && distance(1) != -step)) return 1;
    return end - tap < 3 || distance(2) != distance(1) ? 2 : 3;
}

// Calls add_row(row) for rows of taps if the pixels are neighbours, and add_tap(tap) for other taps. Rows are for few output
// channels: with many, a table that is loaded serves enough of them.
template <int pixels, int vectors, class Source, class AddRow, class AddTap>
INLINE void each_tap_row(const TapWeights* tap, size_t tap_count, const Source* const* sources, const AddRow& add_row,
                         const AddTap& add_tap) {
    const TapWeights* end = tap + tap_count;
    if constexpr (vectors <= 2 && pixels >= 6) {
        const ptrdiff_t step = tap_count > 1 ? step_of<pixels>(sources) : 0;
        for (size_t count; (count = row_taps(tap, end, step)) > 1; tap += count)
            count == 3 ? add_row(TapRow<3>(tap, sources[0], step)) : add_row(TapRow<2>(tap, sources[0], step));
    }
    for (; tap != end; ++tap) add_tap(*tap);
}

struct Work {
    const TapWeights* taps;
    size_t tap_count, tables;
    bool starts;  // from zeros
};

struct Table {
    __m512 sums, negative;

    // Loaded once: the compiler would load it again for each use.
    explicit Table(const void* source) : sums(_mm512_load_ps(source)) {
        in_order(sums);
        negative = _mm512_xor_ps(sums, _mm512_set1_ps(-0.0f));
    }
};

template <int pixels, int vectors>
struct Lookup {
    static void run(const Work& work, const float* const* sources, float* const* out) {
        __m512 sums[pixels][vectors];
        if (work.starts)
            clear(sums);
        else
            load<pixels, vectors>(sums, out);
        each_tap_row<pixels, vectors>(
            work.taps, work.tap_count, sources,
            [&](const auto& row) __attribute__((always_inline)) { add_row(row, work.tables, sums); },
            [&](const TapWeights& tap) __attribute__((always_inline)) {
                const float* shifted[pixels];
                shift_sources<pixels>(sources, tap, shifted);
                add_tap(static_cast<const __m512i*>(tap.weights), work.tables, shifted, sums);
            });
        store<pixels, vectors>(sums, out);
    }

    static INLINE void add_tap(const __m512i* word, size_t tables, const float* const* sources,
                               __m512 (&sums)[pixels][vectors]) {
        for (size_t at = 0; tables; word += vectors) {
            __m512i words[vectors];
            UNROLL for (int v = 0; v < vectors; ++v) words[v] = _mm512_load_si512(word + v);
            size_t here = tables < word_tables ? tables : word_tables;
            tables -= here;
            // Unrolled where it counts; elsewhere it would only be larger.
            if (vectors == max_vectors && here == word_tables)
                UNROLL for (size_t t = 0; t < word_tables; ++t, at += table_entries)
                    add_table(words, sources, at, sums);
            else
                for (; here; --here, at += table_entries) add_table(words, sources, at, sums);
        }
    }

    // One table for each pixel: the words' low bits are the index; then the words move on.
    static INLINE void add_table(__m512i (&words)[vectors], const float* const* source, size_t at,
                                 __m512 (&sums)[pixels][vectors]) {
        __m512 signs[vectors];
        signs_of(words, signs);
        UNROLL for (int p = 0; p < pixels; ++p) add_sums(words, signs, Table(source[p] + at), sums[p]);
        move_on(words);
    }

    template <int taps>
    static INLINE void add_row(TapRow<taps> row, size_t tables, __m512 (&sums)[pixels][vectors]) {
        for (size_t word = 0; tables; word += vectors) {
            __m512i words[taps][vectors];
            UNROLL for (int t = 0; t < taps; ++t)
                UNROLL for (int v = 0; v < vectors; ++v) words[t][v] = _mm512_load_si512(row.weights[t] + word + v);
            size_t here = tables < word_tables ? tables : word_tables;
            tables -= here;
            for (; here; --here, row.source += sizeof(__m512)) {
                __m512 signs[taps][vectors];
                UNROLL for (int t = 0; t < taps; ++t) signs_of(words[t], signs[t]);
                const char* source = row.source;
                UNROLL for (int x = 0; x < pixels + taps - 1; ++x, source += row.step) {
                    const Table table(source);
                    UNROLL for (int t = 0; t < taps; ++t)
                        if (x >= t && x < t + pixels) add_sums(words[t], signs[t], table, sums[x - t]);
                }
                UNROLL for (int t = 0; t < taps; ++t) move_on(words[t]);
            }
        }
    }

    // Of the vectors whose sums are multiplied by them.
    static INLINE void signs_of(const __m512i (&words)[vectors], __m512 (&signs)[vectors]) {
        const __m512i sign_bit = _mm512_set1_epi32(INT32_MIN), one = _mm512_castps_si512(_mm512_set1_ps(1));
        constexpr int a_and_b_or_c = 0xea;
        UNROLL for (int v = 0; v < vectors; ++v)
            if (!two_tables(v, vectors))
                signs[v] = _mm512_castsi512_ps(_mm512_ternarylogic_epi32(words[v], sign_bit, one, a_and_b_or_c));
    }

    // On AMD's processors a permutation competes with an addition for some units, and with a multiply-add for others: so
    // there are both.
    static INLINE void add_sums(const __m512i (&words)[vectors], const __m512 (&signs)[vectors], const Table& table,
                                __m512 (&sums)[vectors]) {
        UNROLL for (int v = 0; v < vectors; ++v) {
            if (two_tables(v, vectors))
                sums[v] = _mm512_add_ps(sums[v], _mm512_permutex2var_ps(table.sums, words[v], table.negative));
            else
                sums[v] = _mm512_fmadd_ps(signs[v], _mm512_permutexvar_ps(words[v], table.sums), sums[v]);
            in_order(sums[v]);
        }
    }

    static INLINE void move_on(__m512i (&words)[vectors]) {
        UNROLL for (int v = 0; v < vectors; ++v) words[v] = _mm512_ror_epi32(words[v], table_bits);
    }
};

template <bool starts>
void accumulate(const TapWeights* taps, size_t tap_count, size_t inputs, size_t outputs, const void* const* sources,
                const uint8_t* pixels, size_t count, void* sums) {
    const Work work = {taps, tap_count, tables(inputs), starts};
    run_vectors<Lookup, max_vectors, sum_registers, float>(divide_up(outputs, lanes), work, sources, pixels, count, sums, block);
}

const float* collect(const void* sums, size_t outputs, size_t planes, size_t pixel, size_t count, float, float* rows) {
    const float* from = static_cast<const float*>(sums) + pixel * block;
    if (planes == 1) return from;
    for (size_t p = 0; p < count; ++p)
        for (size_t o = 0; o < outputs; o += lanes) {
            const __mmask16 mask = first_lanes(outputs - o);
            const float* plane = from + p * block + (planes - 1) * outputs + o;
            __m512 sum = _mm512_maskz_loadu_ps(mask, plane);
            for (size_t i = 1; i < planes; ++i) {
                plane -= outputs;
                sum = _mm512_fmadd_ps(sum, _mm512_set1_ps(2), _mm512_maskz_loadu_ps(mask, plane));
            }
            _mm512_store_ps(rows + p * block + o, sum);
        }
    return rows;
}

}  // namespace

const Product lookup = {
    .name = "tables in registers",
    .block = block,
    .sum_bytes = sum_bytes<max_vectors>,
    .weight_bytes = weight_bytes,
    .arrange = arrange,
    .source_bytes = source_bytes,
    .prepare = each_pixel<prepare>,
    .accumulate = accumulate<false>,
    .collect = collect,
    .takes_signs = true,
    .together = taps_together,
    .start = accumulate<true>,
};

}  // namespace pbgen::avx512
#endif
