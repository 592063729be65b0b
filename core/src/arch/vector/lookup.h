// One-bit weights. Four inputs of a pixel have 16 signed sums: a table. Four weight bits of an output channel are an
// index into it, so one addition does four multiply-adds. Lanes are pixels; all output channels share the tables, which
// lie in the first cache.
#pragma once

#include "gather.h"
#include "round.h"

namespace pbgen {
namespace {

constexpr size_t table_inputs = 4;
constexpr size_t table_entries = 16;

// About half of a first cache; the rest is for the sums that pass by.
constexpr size_t table_bytes = 16 << 10;

// Weights: [ceil(tables / 2)][outputs] bytes, the first of two tables in the low half. Bit i is input i of a table, set
// where the weight is +1.
size_t lookup_weight_bytes(size_t inputs, size_t outputs) { return divide_up(inputs, 2 * table_inputs) * outputs; }

void lookup_arrange(const void* weights, size_t inputs, size_t outputs, void* arranged) {
    const auto* from = static_cast<const uint8_t*>(weights);
    auto* to = static_cast<uint8_t*>(arranged);
    const size_t row_bytes = divide_up(inputs, 8);
    for (size_t byte = 0; byte < row_bytes; ++byte)
        for (size_t output = 0; output < outputs; ++output) *to++ = from[output * row_bytes + byte];
}

// Entry e of the table of x: the sum of those inputs whose bit is set in e, less the others. For `vectors` vectors of
// pixels at once, of the `stride` that an entry has: two stores to a cache line cost as much as one.
template <size_t vectors, class Entry>
inline void fill_table(const Entry (&x)[vectors][table_inputs], Entry* table, size_t stride) {
    Entry low[vectors][4], high[vectors][4];
    UNROLL for (size_t v = 0; v < vectors; ++v) {
        const Entry sum = x[v][0] + x[v][1], difference = x[v][1] - x[v][0];
        low[v][0] = -sum, low[v][1] = -difference, low[v][2] = difference, low[v][3] = sum;
        const Entry high_sum = x[v][2] + x[v][3], high_difference = x[v][3] - x[v][2];
        high[v][0] = -high_sum, high[v][1] = -high_difference, high[v][2] = high_difference, high[v][3] = high_sum;
    }
    UNROLL for (size_t entry = 0; entry < table_entries; ++entry)
        UNROLL for (size_t v = 0; v < vectors; ++v) table[entry * stride + v] = low[v][entry % 4] + high[v][entry / 4];
}

// Sums of float32 numbers.
struct FloatTables {
    using Entry = Floats;
    using Sums = Floats;
    static constexpr size_t pixels = lanes;  // of a vector of entries
    static constexpr size_t table_words = table_inputs;
    static constexpr size_t max_tables = max_row_bytes / table_words / 4;

    // How many words hold so many inputs.
    static size_t words(size_t inputs) { return inputs; }

    // The inputs of one table, for vector `vector` of the tile. `words`: [table_words][stride pixels].
    static inline void inputs(const int32_t* words, size_t stride, size_t vector, Entry (&x)[table_inputs]) {
        UNROLL for (size_t i = 0; i < table_inputs; ++i) x[i] = load<Entry>(words + i * stride + vector * pixels);
    }

    static inline Entry begin(const Sums* sums) { return *sums; }
    static inline void end(Entry sum, Sums* sums) { *sums = sum; }
};

// Sums of 16-bit integers, widened before they can overflow. Two vectors of pixels share a vector of entries, taking
// turns.
struct IntegerTables {
    using Entry = Shorts;
    using Sums = Ints;
    static constexpr size_t pixels = 2 * lanes;
    static constexpr size_t table_words = table_inputs / 2;
    static constexpr size_t max_tables = INT16_MAX / (table_inputs * 255);

    // Sources are padded with zeros.
    static size_t words(size_t inputs) { return divide_up(inputs, 8) * 4; }

    static inline void inputs(const int32_t* words, size_t stride, size_t vector, Entry (&x)[table_inputs]) {
        UNROLL for (size_t i = 0; i < table_words; ++i) {
            const auto a = load<Words>(words + i * stride + vector * pixels);
            const auto b = load<Words>(words + i * stride + vector * pixels + lanes);
            x[2 * i] = (Entry)((a & 0xffff) | b << 16);
            x[2 * i + 1] = (Entry)(a >> 16 | (b & 0xffff0000));
        }
    }

    static inline Entry begin(const Sums*) { return Entry{}; }
    static inline void end(Entry sum, Sums* sums) {
        sums[0] += (Ints)sum << 16 >> 16;
        sums[1] += (Ints)sum >> 16;
    }
};

template <class Tables, size_t vectors>
using Table = typename Tables::Entry[table_entries][vectors];

// Adds what the tables say to the sums of `outputs` channels.
template <class Tables, size_t vectors, size_t outputs>
inline void look_up(const uint8_t* weights, size_t stride, const Table<Tables, vectors>* table, size_t tables,
                    typename Tables::Sums* sums) {
    constexpr size_t output_sums = tile_pixels / lanes, vector_sums = Tables::pixels / lanes;
    typename Tables::Entry sum[outputs][vectors];
    UNROLL for (size_t o = 0; o < outputs; ++o)
        UNROLL for (size_t v = 0; v < vectors; ++v)
            sum[o][v] = Tables::begin(sums + o * output_sums + v * vector_sums);
    for (; tables >= 2; tables -= 2, table += 2, weights += stride)
        UNROLL for (size_t o = 0; o < outputs; ++o) {
            const unsigned indices = weights[o];
            const auto &low = table[0][indices & 15], &high = table[1][indices >> 4];
            UNROLL for (size_t v = 0; v < vectors; ++v) sum[o][v] += low[v];
            UNROLL for (size_t v = 0; v < vectors; ++v) sum[o][v] += high[v];
        }
    if (tables)
        UNROLL for (size_t o = 0; o < outputs; ++o)
            UNROLL for (size_t v = 0; v < vectors; ++v) sum[o][v] += table[0][weights[o] & 15][v];
    UNROLL for (size_t o = 0; o < outputs; ++o)
        UNROLL for (size_t v = 0; v < vectors; ++v)
            Tables::end(sum[o][v], sums + o * output_sums + v * vector_sums);
}

template <class Tables, size_t vectors>
struct LookUp {
    static constexpr size_t pixels = vectors * Tables::pixels;
    static constexpr size_t cached = table_bytes / sizeof(Table<Tables, vectors>);
    static constexpr size_t max_tables = (cached < Tables::max_tables ? cached : Tables::max_tables) / 2 * 2;
    // Enough sums at a time to hide an addition's latency.
    static constexpr size_t outputs_at_once = vectors < 4 ? 8 / vectors : 1;

    static void run(const uint8_t* weights, size_t inputs, size_t outputs, const Rows& rows, void* tile) {
        alignas(64) Table<Tables, vectors> table[max_tables];
        auto* sums = static_cast<typename Tables::Sums*>(tile) + rows.first() / lanes;
        for (size_t first = 0; first < inputs; first += max_tables * table_inputs) {
            const size_t rest = inputs - first, all = max_tables * table_inputs, count = rest < all ? rest : all;
            fill(rows, first, count, table);
            const size_t tables = divide_up(count, table_inputs);
            size_t o = 0;
            for (; o + outputs_at_once <= outputs; o += outputs_at_once)
                look_up<Tables, vectors, outputs_at_once>(weights + o, outputs, table, tables,
                                                          sums + o * (tile_pixels / lanes));
            for (; o < outputs; ++o)
                look_up<Tables, vectors, 1>(weights + o, outputs, table, tables, sums + o * (tile_pixels / lanes));
            weights += tables / 2 * outputs;
        }
    }

    static void fill(const Rows& rows, size_t first, size_t count, Table<Tables, vectors>* table) {
        alignas(64) int32_t words[max_tables * Tables::table_words * pixels];
        rows.gather(Tables::words(first), Tables::words(count), words);
        for (size_t t = 0; t * table_inputs < count; ++t) {
            const int32_t* from = words + t * Tables::table_words * pixels;
            for (size_t v = 0; v + 2 <= vectors; v += 2) fill_some<2>(from, v, &table[t][0][v]);
            if (vectors % 2) fill_some<1>(from, vectors - 1, &table[t][0][vectors - 1]);
        }
    }

    template <size_t some>
    static inline void fill_some(const int32_t* words, size_t vector, typename Tables::Entry* table) {
        typename Tables::Entry x[some][table_inputs];
        UNROLL for (size_t v = 0; v < some; ++v) Tables::inputs(words, pixels, vector + v, x[v]);
        fill_table(x, table, vectors);
    }
};

template <class Tables>
void lookup_accumulate(const void* weights, size_t inputs, size_t outputs, const void* const* sources,
                       const uint8_t* pixels, size_t count, void* sums) {
    const Rows rows(sources, pixels, count, Tables::pixels);
    const auto* bytes = static_cast<const uint8_t*>(weights);
    constexpr size_t most = tile_pixels / Tables::pixels;
    const size_t vectors = rows.pixels() / Tables::pixels;
    if constexpr (most >= 8) switch (vectors) {
        case 8: return LookUp<Tables, 8>::run(bytes, inputs, outputs, rows, sums);
        case 7: return LookUp<Tables, 7>::run(bytes, inputs, outputs, rows, sums);
        case 6: return LookUp<Tables, 6>::run(bytes, inputs, outputs, rows, sums);
        case 5: return LookUp<Tables, 5>::run(bytes, inputs, outputs, rows, sums);
    }
    if constexpr (most >= 4) switch (vectors) {
        case 4: return LookUp<Tables, 4>::run(bytes, inputs, outputs, rows, sums);
        case 3: return LookUp<Tables, 3>::run(bytes, inputs, outputs, rows, sums);
    }
    if (vectors == 2) return LookUp<Tables, 2>::run(bytes, inputs, outputs, rows, sums);
    LookUp<Tables, 1>::run(bytes, inputs, outputs, rows, sums);
}

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

// Sums: [outputs][tile_pixels].
template <class Number>
const float* lookup_collect(const void* sums, size_t outputs, size_t pixel, float scale, float* row) {
    const Number* from = static_cast<const Number*>(sums) + pixel;
    for (size_t o = 0; o < outputs; ++o) row[o] = static_cast<float>(from[o * tile_pixels]) * scale;
    return row;
}

}  // namespace
}  // namespace pbgen
