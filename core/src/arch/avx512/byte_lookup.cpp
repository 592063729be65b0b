// Signs and sums of 8 bits, by tables in registers. The 16 signed sums of four inputs are bytes, so a register
// holds the tables of 16 inputs. One permutation of bytes gives 16 output channels four sums each, which lie side by side,
// and a dot product with ones adds them to an integer of 32 bits: 256 multiply-adds for two instructions.
//
// Weights: [pairs of tables][vectors][16] of 32 bits. Byte g of an output channel's word has two indices, the first in the
// low half: the weights of inputs 4 g to 4 g + 3 of a table. Sources: [tables][4 groups][16 entries] bytes.
#ifdef __x86_64__
#include "../each_pixel.h"
#include "round.h"

namespace pbgen::avx512 {
namespace {

constexpr size_t group_inputs = 4, groups = 4, table_inputs = groups * group_inputs, table_bytes = 64;
constexpr size_t block = max_vectors * lanes;

// Numbers from one pixel's sums to the next's.
size_t width(size_t outputs) { return divide_up(outputs, lanes) * lanes; }

size_t sum_bytes(size_t outputs, size_t pixels) { return pixels * width(outputs) * sizeof(int32_t); }

size_t tables(size_t inputs) { return divide_up(inputs, table_inputs); }

size_t source_bytes(size_t inputs) { return tables(inputs) * table_bytes; }

size_t weight_bytes(size_t inputs, size_t outputs) {
    return divide_up(tables(inputs), 2) * divide_up(outputs, lanes) * sizeof(__m512i);
}

void arrange(const void* weights, size_t inputs, size_t outputs, void* arranged) {
    const auto* rows = static_cast<const uint8_t*>(weights);
    auto* byte = static_cast<uint8_t*>(arranged);
    for (size_t first = 0; first < inputs; first += 2 * table_inputs)
        for (size_t output = 0; output < divide_up(outputs, lanes) * lanes; ++output) {
            const uint64_t bits = output < outputs ? read_bits(rows + output * row_bytes(inputs), inputs, first) : 0;
            const uint64_t low = bits & 0xffff, high = bits >> table_inputs & 0xffff;
            for (size_t g = 0; g < groups; ++g) {
                const auto index = [&](uint64_t table) { return table >> g * group_inputs & 15; };
                *byte++ = static_cast<uint8_t>(index(low) | index(high) << 4);
            }
        }
}

// For a quarter of a register, that of a group: which of the first or the last two inputs' four signed sums its entries are.
struct Order {
    alignas(64) uint8_t of[table_bytes] = {};

    // The sums are integers of 32 bits; entries of 16.
    constexpr explicit Order(size_t first_entry) {
        for (size_t byte = 0; byte < table_bytes; ++byte) {
            const size_t entry = first_entry + byte % 16 / 2;
            of[byte] = static_cast<uint8_t>(entry / 4 * 4 + byte % 2);
        }
    }
};

constexpr Order first_entries(0), last_entries(8);

// Of two registers, quarter by quarter, the high bytes of integers of 16 bits.
struct HighBytes {
    alignas(64) uint8_t of[table_bytes] = {};

    constexpr HighBytes() {
        for (size_t byte = 0; byte < table_bytes; ++byte)
            of[byte] = static_cast<uint8_t>(byte / 16 * 16 + byte % 8 * 2 + 1 + (byte % 16 < 8 ? 0 : table_bytes));
    }
};

constexpr HighBytes high_bytes;

// The tables of 16 inputs. Each quarter of a register works for one group, as instructions go. Sums are twice as large as they
// should be: so what is left of a sum is its high byte.
INLINE __m512i make_table(__m512i inputs) {
    static_assert(sum_digits == 7, "a byte is left out");
    // Of two inputs, the second in the high half: -, -; -, +; +, -; +, +.
    const __m512i signs = _mm512_set4_epi32(0x00020002, 0x0002fffe, static_cast<int>(0xfffe0002u),
                                            static_cast<int>(0xfffefffeu));
    const __m512i half = _mm512_set1_epi32(1 << sum_digits);
    const __m512i shorts = _mm512_packs_epi32(inputs, inputs);
    const __m512i low = _mm512_dpwssd_epi32(half, signs, _mm512_shuffle_epi32(shorts, _MM_PERM_AAAA));
    const __m512i high = _mm512_madd_epi16(signs, _mm512_shuffle_epi32(shorts, _MM_PERM_BBBB));
    const __m512i lows = _mm512_packs_epi32(low, low);
    const auto entries = [&](const Order& order) {
        const __m512i highs = _mm512_shuffle_epi8(high, _mm512_load_si512(order.of));
        return _mm512_adds_epi16(lows, highs);
    };
    return _mm512_permutex2var_epi8(entries(first_entries), _mm512_load_si512(high_bytes.of), entries(last_entries));
}

INLINE void prepare(const float* values, size_t inputs, const Quantization& quantization, void* source) {
    auto* table = static_cast<__m512i*>(source);
    for (size_t i = 0; i < inputs; i += table_inputs)
        _mm512_store_si512(table++, make_table(quantize(values + i, inputs - i, quantization)));
}

struct Work {
    const TapWeights* taps;
    size_t tap_count, tables;
    bool starts;  // from zeros
};

template <int pixels, int vectors>
struct Lookup {
    static void run(const Work& work, const char* const* sources, float* const* out) {
        __m512i sums[pixels][vectors];
        if (work.starts)
            clear(sums);
        else
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
            UNROLL for (int v = 0; v < vectors; ++v) word[v] = _mm512_srli_epi32(word[v], 4);
            add_table(word, sources, at, sums);
            at += table_bytes;
        }
    }

    static INLINE void add_table(const __m512i (&words)[vectors], const char* const* sources, size_t at,
                                 __m512i (&sums)[pixels][vectors]) {
        constexpr int a_and_b_or_c = 0xea;
        const __m512i entry = _mm512_set1_epi8(0x0f), group = _mm512_set1_epi32(0x30201000), ones = _mm512_set1_epi8(1);
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

template <bool starts>
void accumulate(const TapWeights* taps, size_t tap_count, size_t inputs, size_t outputs, const void* const* sources,
                const uint8_t* pixels, size_t count, void* sums) {
    const Work work = {taps, tap_count, tables(inputs), starts};
    run_vectors<Lookup, max_vectors, sum_registers, char>(divide_up(outputs, lanes), work, sources, pixels, count, sums,
                                                          width(outputs));
}

const float* collect(const void* sums, size_t outputs, size_t planes, size_t pixel, size_t count, float scale,
                     float* rows) {
    const size_t step = width(planes * outputs);
    return scale_sums(static_cast<const int32_t*>(sums) + pixel * step, step, outputs, planes, count, scale, rows, block);
}

void finish_sums(const void* sums, size_t outputs, size_t pixel, float scale, const Epilogue& epilogue, float* out,
                 const Grid& grid, Extremes* extremes) {
    const size_t step = width(outputs);
    finish_integers(static_cast<const int32_t*>(sums) + pixel * step, step, scale, outputs, epilogue, out, grid, extremes);
}

}  // namespace

const Product byte_lookup = {
    .name = "tables in registers, int8",
    .block = block,
    .sum_bytes = sum_bytes,
    .weight_bytes = weight_bytes,
    .arrange = arrange,
    .source_bytes = source_bytes,
    .prepare = each_pixel<prepare>,
    .accumulate = accumulate<false>,
    .collect = collect,
    .rounded = Rounded::sums,
    .takes_signs = true,
    .together = taps_together,
    .start = accumulate<true>,
    .finish = finish_sums,
};

}  // namespace pbgen::avx512
#endif
