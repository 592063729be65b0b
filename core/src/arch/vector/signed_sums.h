// The tables of one-bit weights: four inputs of a pixel have 16 signed sums. Lanes are pixels.
#pragma once

#include "gather.h"
#include "round.h"

namespace pbgen {
namespace {

constexpr size_t table_inputs = 4;
constexpr size_t table_entries = 16;

// Entry e of the table of x: the sum of those inputs whose bit is set in e, less the others, rounded by so many bits. For
// `vectors` vectors of pixels at once, of the `stride` that an entry has: two stores to a cache line cost as much as one.
template <class Tables, size_t vectors, class Entry>
inline void fill_table(const Entry (&x)[vectors][table_inputs], Entry* table, size_t stride) {
    Entry low[vectors][4], high[vectors][4];
    UNROLL for (size_t v = 0; v < vectors; ++v) {
        const Entry sum = x[v][0] + x[v][1], difference = x[v][1] - x[v][0];
        low[v][0] = -sum, low[v][1] = -difference, low[v][2] = difference, low[v][3] = sum;
        if constexpr (Tables::dropped_bits > 0) UNROLL for (Entry& part : low[v]) part += 1 << (Tables::dropped_bits - 1);
        const Entry high_sum = x[v][2] + x[v][3], high_difference = x[v][3] - x[v][2];
        high[v][0] = -high_sum, high[v][1] = -high_difference, high[v][2] = high_difference, high[v][3] = high_sum;
    }
    UNROLL for (size_t entry = 0; entry < table_entries; ++entry)
        UNROLL for (size_t v = 0; v < vectors; ++v) {
            Entry sum = low[v][entry % 4] + high[v][entry / 4];
            if constexpr (Tables::dropped_bits > 0) sum >>= Tables::dropped_bits;
            table[entry * stride + v] = sum;
        }
}

// Sums of float32 numbers.
struct FloatTables {
    using Entry = Floats;
    using Number = float;
    using Sums = Floats;
    static constexpr size_t pixels = lanes;  // of a vector of entries
    static constexpr size_t table_words = table_inputs;
    static constexpr size_t max_tables = max_row_bytes / table_words / 4;
    static constexpr int dropped_bits = 0;

    // How many words hold so many inputs.
    static size_t words(size_t inputs) { return inputs; }

    // The inputs of one table, for vector `vector` of the tile. `words`: [table_words][stride pixels].
    static inline void inputs(const int32_t* words, size_t stride, size_t vector, Entry (&x)[table_inputs]) {
        UNROLL for (size_t i = 0; i < table_inputs; ++i) x[i] = load<Entry>(words + i * stride + vector * pixels);
    }

    static inline Entry begin(const Sums* sums) { return *sums; }
    static inline void end(Entry sum, Sums* sums) { *sums = sum; }
};

// Sums of integers, rounded to 8 bits and added up in 16, widened before they can overflow. Two vectors of pixels share a vector of entries, taking
// turns.
struct IntegerTables {
    using Entry = Shorts;
    using Number = int32_t;
    using Sums = Ints;
    static constexpr size_t pixels = 2 * lanes;
    static constexpr size_t table_words = table_inputs / 2;
    static constexpr size_t max_tables = INT16_MAX / largest_entry;
    static constexpr int dropped_bits = sum_digits;

    // Which of two neighbouring integers is the low half of their word.
    static constexpr size_t low_half = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;

    // Sources are padded with zeros.
    static size_t words(size_t inputs) { return divide_up(inputs, 8) * 4; }

    static inline void inputs(const int32_t* words, size_t stride, size_t vector, Entry (&x)[table_inputs]) {
        UNROLL for (size_t i = 0; i < table_words; ++i) {
            const auto a = load<Words>(words + i * stride + vector * pixels);
            const auto b = load<Words>(words + i * stride + vector * pixels + lanes);
            x[2 * i + low_half] = (Entry)((a & 0xffff) | b << 16);
            x[2 * i + 1 - low_half] = (Entry)(a >> 16 | (b & 0xffff0000));
        }
    }

    static inline Entry begin(const Sums*) { return Entry{}; }
    static inline void end(Entry sum, Sums* sums) {
        sums[0] += (Ints)((Words)sum << 16) >> 16;
        sums[1] += (Ints)sum >> 16;
    }
};

// A pixel's inputs as integers of 16 bits.
size_t integer_source_bytes(size_t inputs) { return divide_up(2 * inputs, 64) * 64; }

void integer_prepare(const float* values, size_t inputs, const Quantization& quantization, void* source) {
    auto* integers = static_cast<int16_t*>(source);
    size_t i = 0;
    for (; i + lanes <= inputs; i += lanes) {
        const Ints q = quantize(load<Floats>(values + i), quantization);
        UNROLL for (size_t lane = 0; lane < lanes; ++lane) integers[i + lane] = static_cast<int16_t>(q[lane]);
    }
    if (i < inputs) {
        const Ints q = quantize(load_first(values + i, inputs - i), quantization);
        for (size_t lane = 0; i < inputs; ++i, ++lane) integers[i] = static_cast<int16_t>(q[lane]);
    }
    for (; i < integer_source_bytes(inputs) / 2; ++i) integers[i] = 0;
}

}  // namespace
}  // namespace pbgen
