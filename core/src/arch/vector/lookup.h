// Weights that are signs. Four inputs of a pixel have 16 signed sums: a table. Four weight bits of an output channel are an
// index into it, so one addition does four multiply-adds. Lanes are pixels; all output channels share the tables, which
// lie in the first cache.
#pragma once

#include <type_traits>

#include "signed_sums.h"

namespace pbgen {
namespace {

// About half of a first cache; the rest is for the sums that pass by.
constexpr size_t table_bytes = 24 << 10;

constexpr size_t lookup_block = tile_bytes / tile_pixels / sizeof(float);

size_t lookup_sum_bytes(size_t outputs, size_t) { return outputs * tile_pixels * sizeof(float); }

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

template <class Tables, size_t vectors>
using Table = typename Tables::Entry[table_entries][vectors];

// The compiler is kept from mixing up the entry's address with those of its vectors: WebAssembly has room for these in a
// load, and engines that translate it spend an instruction on each that is not there.
template <class Entry, size_t vectors>
inline void add_entry(const Entry (&entry)[vectors], Entry (&sum)[vectors]) {
    const Entry* from = entry;
#ifdef __wasm__
    asm("" : "+r"(from));
#endif
    UNROLL for (size_t v = 0; v < vectors; ++v) sum[v] += from[v];
}

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
            add_entry(table[0][indices & 15], sum[o]);
            add_entry(table[1][indices >> 4], sum[o]);
        }
    if (tables)
        UNROLL for (size_t o = 0; o < outputs; ++o) add_entry(table[0][weights[o] & 15], sum[o]);
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

    // By itself: engines of WebAssembly translate a function whole, however little of it is used.
    static __attribute__((noinline)) void run(const uint8_t* weights, size_t inputs, size_t outputs, const Rows& rows,
                                              void* tile) {
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
        fill_table<Tables>(x, table, vectors);
    }
};

template <class Tables, size_t vectors = tile_pixels / Tables::pixels>
void look_up_rows(const uint8_t* weights, size_t inputs, size_t outputs, const Rows& rows, void* sums) {
    if constexpr (vectors > 1)
        if (rows.pixels() < vectors * Tables::pixels)
            return look_up_rows<Tables, vectors - 1>(weights, inputs, outputs, rows, sums);
    LookUp<Tables, vectors>::run(weights, inputs, outputs, rows, sums);
}

// The same with the pixels brought together.
template <class Tables>
void look_up_together(const uint8_t* weights, size_t inputs, size_t outputs, const void* const* sources,
                      const uint8_t* pixels, size_t count, void* tile) {
    using Number = typename Tables::Number;
    const Rows rows(sources, count, Tables::pixels);
    auto* sums = static_cast<Number*>(tile);
    alignas(64) Number moved[tile_bytes / sizeof(Number)];
    for (size_t at = 0; at < outputs * tile_pixels; at += tile_pixels) {
        for (size_t i = 0; i < count; ++i) moved[at + i] = sums[at + pixels[i]];
        for (size_t i = count; i < rows.pixels(); ++i) moved[at + i] = 0;
    }
    look_up_rows<Tables>(weights, inputs, outputs, rows, moved);
    for (size_t at = 0; at < outputs * tile_pixels; at += tile_pixels)
        for (size_t i = 0; i < count; ++i) sums[at + pixels[i]] = moved[at + i];
}

template <class Tables>
void lookup_accumulate(const void* weights, size_t inputs, size_t outputs, const void* const* sources,
                       const uint8_t* pixels, size_t count, void* sums) {
    const auto* bytes = static_cast<const uint8_t*>(weights);
    const Rows rows(sources, pixels, count, Tables::pixels);
    // At the border of an image, fewer vectors may do; then that must save more additions than it takes moves.
    const size_t fewer = rows.pixels() / Tables::pixels - divide_up(count, Tables::pixels);
    if (fewer * divide_up(inputs, table_inputs) > 4 * count)
        look_up_together<Tables>(bytes, inputs, outputs, sources, pixels, count, sums);
    else
        look_up_rows<Tables>(bytes, inputs, outputs, rows, sums);
}

using FloatQuad = float __attribute__((vector_size(16)));

template <class Number>
using NumberQuad = std::conditional_t<std::is_same_v<Number, float>, FloatQuad, Quad>;

// What planes of sums, [planes][outputs][tile_pixels], come to, for `count` pixels of each output.
template <class Number>
__attribute__((noinline)) void add_planes(const Number* sums, size_t planes, size_t outputs, size_t count, Number* added) {
    const size_t plane = outputs * tile_pixels;
    const auto add = [&](auto value, size_t at) {
        using Value = decltype(value);
        const Number* highest = sums + (planes - 1) * plane + at;
        value = load<Value>(highest);
        for (size_t i = 1; i < planes; ++i) value = value + value + load<Value>(highest -= plane);
        store(added + at, value);
    };
    for (size_t o = 0; o < plane; o += tile_pixels) {
        size_t p = 0;
        for (; p + 4 <= count; p += 4) add(NumberQuad<Number>{}, o + p);
        for (; p < count; ++p) add(Number{}, o + p);
    }
}

// Sums: [planes][outputs][tile_pixels]. Squares of four pixels and four channels change places in registers.
template <class Number>
const float* lookup_collect(const void* sums, size_t outputs, size_t planes, size_t pixel, size_t count, float scale,
                            float* rows) {
    alignas(64) Number added[lookup_block / 2 * tile_pixels];
    const auto* all = static_cast<const Number*>(sums) + pixel;
    if (planes > 1) {
        add_planes(all, planes, outputs, count, added);
        all = added;
    }
    const auto one = [&](size_t p, size_t o) {
        rows[p * lookup_block + o] = static_cast<float>(all[o * tile_pixels + p]) * scale;
    };
    const auto four = [&](size_t p, size_t o) {
        return (Quad)(__builtin_convertvector(load<NumberQuad<Number>>(all + o * tile_pixels + p), FloatQuad) * scale);
    };
    size_t p = 0;
    for (; p + 4 <= count; p += 4) {
        size_t o = 0;
        for (; o + 4 <= outputs; o += 4)
            transpose(four(p, o), four(p, o + 1), four(p, o + 2), four(p, o + 3),
                      reinterpret_cast<int32_t*>(rows + p * lookup_block + o), lookup_block);
        for (; o < outputs; ++o)
            for (size_t i = 0; i < 4; ++i) one(p + i, o);
    }
    for (; p < count; ++p)
        for (size_t o = 0; o < outputs; ++o) one(p, o);
    return rows;
}

}  // namespace
}  // namespace pbgen
