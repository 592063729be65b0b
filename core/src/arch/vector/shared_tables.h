// Weights that are signs, and tables that all taps of a layer share. Several inputs of each of some neighbouring pixels
// have 64 or 256 signed sums: a table, whose lanes are the pixels. As many weight bits of an output channel and tap are an
// index into it, and where the tap's pixels begin among the lanes is the same for all entries: so one table, made once,
// serves all taps, and one load and one addition do 6 or 8 multiply-adds a lane.
#pragma once

#include "lookup.h"

namespace pbgen {
namespace {

using EightShorts = int16_t __attribute__((vector_size(16)));

// Its engines run out of registers where much is written out.
#ifdef __wasm__
constexpr bool for_wasm = true;
#else
constexpr bool for_wasm = false;
#endif

template <class Vector>
constexpr size_t numbers_of = sizeof(Vector) / sizeof(Vector{}[0]);

// Entry e of `half` inputs x[i][lane]: the sum of those whose bit is set in e, less the others.
template <size_t half, class Vector>
inline void half_table(const Vector (&x)[half], Vector (&sums)[1 << half]) {
    sums[0] = -x[0];
    UNROLL for (size_t i = 1; i < half; ++i) sums[0] -= x[i];
    UNROLL for (size_t i = 0; i < half; ++i)
        UNROLL for (size_t entry = 0; entry < size_t{1} << i; ++entry)
            sums[entry + (size_t{1} << i)] = sums[entry] + x[i] + x[i];
}

// Six float32 inputs of a pixel.
struct SharedFloats {
    using Number = float;
    using Total = float;
    static constexpr size_t inputs = 6;

    template <class Vector>
    static inline void round(Vector (&)[1 << inputs / 2]) {}

    // values[i * pixels + pixel] = input first + i of each of `pixels` pixels, a multiple of 4, and 0 where there is none.
    static void gather(const void* const* sources, size_t pixels, size_t first, size_t count, Number* values) {
        const auto at = [&](size_t p) { return reinterpret_cast<const char*>(static_cast<const float*>(sources[p]) + first); };
        float rest[4][inputs] = {};
        for (size_t p = 0; p < pixels; p += 4) {
            const char* from[4];
            UNROLL for (size_t i = 0; i < 4; ++i) from[i] = sources[p + i] ? at(p + i) : zero_row;
            if (count < inputs)  // a row may end behind its last number
                for (size_t i = 0; i < 4; ++i) {
                    __builtin_memcpy(rest[i], from[i], count * sizeof(float));
                    from[i] = reinterpret_cast<const char*>(rest[i]);
                }
            auto* to = reinterpret_cast<int32_t*>(values + p);
            transpose(from, 2 * sizeof(float), to + 2 * pixels, pixels);
            transpose(from, 0, to, pixels);
        }
    }
};

// Eight inputs as integers: the sums of each four are rounded to 8 bits, as always.
struct SharedShorts {
    using Number = int16_t;
    using Total = int32_t;
    static constexpr size_t inputs = 8;

    template <class Vector>
    static inline void round(Vector (&sums)[1 << inputs / 2]) {
        UNROLL for (Vector& sum : sums) sum = (sum + (1 << (sum_digits - 1))) >> sum_digits;
    }

    // Sources are padded with zeros. Words of two inputs of eight pixels are taken apart.
    static void gather(const void* const* sources, size_t pixels, size_t first, size_t, Number* values) {
        constexpr size_t some = 8;
        for (size_t p = 0; p < pixels; p += some) {
            const char* from[some];
            for (size_t i = 0; i < some; ++i) {
                const auto* source = static_cast<const int16_t*>(sources[p + i]);
                from[i] = source ? reinterpret_cast<const char*>(source + first) : zero_row;
            }
            alignas(16) int32_t words[inputs / 2][some];
            transpose(from, 0, words[0], some);
            transpose(from + 4, 0, words[0] + 4, some);
            UNROLL for (size_t i = 0; i < inputs / 2; ++i) {
                const auto a = load<EightShorts>(words[i]), b = load<EightShorts>(words[i] + 4);
                store(values + 2 * i * pixels + p, SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14));
                store(values + (2 * i + 1) * pixels + p, SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15));
            }
        }
    }
};

// A tile is `columns` positions wide, whole vectors of them or a part of one, and its tables have `pitch` lanes a row.
template <class Kind, class Vector, size_t columns_, size_t pitch_, size_t fewest, size_t most_pixels = most_table_pixels,
          size_t begin = 0>
struct Shared {
    using Number = typename Kind::Number;
    static constexpr size_t numbers = numbers_of<Vector>, entries = size_t{1} << Kind::inputs;
    static constexpr bool narrow = columns_ < numbers;
    // Lines of whole vectors: rows, or some rows side by side.
    static constexpr size_t columns = narrow ? numbers : columns_, pitch = narrow ? numbers : pitch_;
    static constexpr size_t rows = tile_pixels / columns, vectors = columns / numbers;
    static_assert(narrow ? numbers % columns_ == 0 && pitch_ == columns_ : columns_ % numbers == 0);

    static void fill(const void* const* sources, size_t pixels, size_t first, size_t count, void* to, size_t step) {
        constexpr size_t at_once = for_wasm ? 1 : 2;
        alignas(64) Number values[Kind::inputs * most_table_pixels];
        Kind::gather(sources, pixels, first, count, values);
        auto* table = static_cast<Number*>(to);
        size_t lane = 0;
        for (; lane + at_once * numbers <= pixels; lane += at_once * numbers)
            fill_some<at_once>(values + lane, pixels, table + lane, step);
        for (; lane < pixels; lane += numbers) fill_some<1>(values + lane, pixels, table + lane, step);
    }

    // Some neighbouring vectors of each entry: two stores to a cache line cost as much as one.
    template <size_t some>
    static inline void fill_some(const Number* values, size_t pixels, Number* entry, size_t step) {
        constexpr size_t half = Kind::inputs / 2;
        Vector low[some][1 << half], high[some][1 << half];
        UNROLL for (size_t v = 0; v < some; ++v) {
            Vector x[half];
            UNROLL for (size_t i = 0; i < half; ++i) x[i] = load<Vector>(values + i * pixels + v * numbers);
            half_table(x, low[v]);
            UNROLL for (size_t i = 0; i < half; ++i) x[i] = load<Vector>(values + (half + i) * pixels + v * numbers);
            half_table(x, high[v]);
            Kind::round(low[v]);
            Kind::round(high[v]);
        }
        for (size_t h = 0; h < 1 << half; ++h)
            UNROLL for (size_t l = 0; l < 1 << half; ++l, entry += step)
                UNROLL for (size_t v = 0; v < some; ++v) store(entry + v * numbers, low[v][l] + high[v][h]);
    }

    struct Work {
        SharedTaps taps;
        size_t step;
        const char* table;
        size_t bytes;

        const char* tap(size_t t) const { return table + taps.shifts[t]; }
    };

    // What a tap says whose entries begin at `from`, by an index of each output channel; perhaps but for the first or the
    // last row. `known` as for add().
    template <size_t tile_rows, size_t outputs, size_t known>
    static inline __attribute__((always_inline)) void add_tap(const char* from, const uint8_t* indices, size_t step,
                                                              size_t bytes, bool first, bool last,
                                                              Vector (*sum)[tile_rows][vectors]) {
        const char* entries[outputs];
        UNROLL for (size_t o = 0; o < outputs; ++o) {
            entries[o] = from + indices[o * step] * bytes;
            if constexpr (known > 0 || for_wasm) asm("" : "+r"(entries[o]));  // one address, and distances from there
        }
        const auto add_row = [&](size_t r) __attribute__((always_inline)) {
            UNROLL for (size_t o = 0; o < outputs; ++o)
                UNROLL for (size_t v = 0; v < vectors; ++v) {
                    sum[o][r][v] += load<Vector>(entries[o] + (r * pitch + v * numbers) * sizeof(Number));
                    if constexpr (known > 0) in_order(sum[o][r][v]);
                }
        };
        if (first) add_row(0);
        UNROLL for (size_t r = 1; r + 1 < tile_rows; ++r) add_row(r);
        if (tile_rows > 1 && last) add_row(tile_rows - 1);
    }

    // `known`: how many taps there are, whose entries begin at at[t]; or 0 if only taps.count tells.
    template <size_t tile_rows, size_t outputs, size_t known>
    static inline void add(const Work& work, const char* const* at, const uint8_t* indices, size_t step, size_t bytes,
                           Number* sums) {
        Vector sum[outputs][tile_rows][vectors];
        UNROLL for (size_t o = 0; o < outputs; ++o)
            UNROLL for (size_t r = 0; r < tile_rows; ++r)
                UNROLL for (size_t v = 0; v < vectors; ++v)
                    sum[o][r][v] = load<Vector>(sums + o * tile_pixels + r * columns + v * numbers);
        // Several outputs at a time only where they share a question.
        const auto add_each = [&](const char* from, size_t t) __attribute__((always_inline)) {
            UNROLL for (size_t o = 0; o < outputs; ++o)
                add_tap<tile_rows, 1, known>(from, indices + o * step + t, step, bytes, true, true, sum + o);
        };
        if constexpr (known == 0)
            for (size_t t = 0; t < work.taps.count; ++t) add_each(work.tap(t), t);
        else if constexpr (tile_rows < 4)
            UNROLL for (size_t t = 0; t < known; ++t) add_each(at[t], t);
        else
            UNROLL for (size_t t = 0; t < known; ++t) {
                constexpr size_t ends = known == 4 ? 2 : 3;  // taps that may lie higher or lower than others
                const bool first = t >= ends || t >= work.taps.first_outside;
                const bool last = t + ends < known || t + work.taps.last_outside < known;
                add_tap<tile_rows, outputs, known>(at[t], indices + t, step, bytes, first, last, sum);
            }
        UNROLL for (size_t o = 0; o < outputs; ++o)
            UNROLL for (size_t r = 0; r < tile_rows; ++r)
                UNROLL for (size_t v = 0; v < vectors; ++v)
                    store(sums + o * tile_pixels + r * columns + v * numbers, sum[o][r][v]);
    }

    // By itself: among others it would have to share their registers.
    template <size_t tile_rows, size_t known>
    static __attribute__((noinline)) void add_all(const Work work, const uint8_t* indices, size_t outputs, Number* sums) {
        // Enough sums at a time to hide an addition's latency, and few enough for the registers.
        constexpr size_t at_once = tile_rows * vectors <= 2 ? 4 : tile_rows * vectors <= 4 ? 2 : 1;
        const char* at[known + 1];
        UNROLL for (size_t t = 0; t < known; ++t) at[t] = work.tap(t);
        const size_t step = work.step, bytes = work.bytes;
        size_t o = 0;
        for (; o + at_once <= outputs; o += at_once, indices += at_once * step)
            add<tile_rows, at_once, known>(work, at, indices, step, bytes, sums + o * tile_pixels);
        for (; o < outputs; ++o, indices += step) add<tile_rows, 1, 0>(work, at, indices, step, bytes, sums + o * tile_pixels);
    }

    template <size_t tile_rows = rows>
    static void look_up(const SharedTaps& taps, const uint8_t* indices, size_t step, size_t some_rows, size_t outputs,
                        const void* table, size_t bytes, void* to) {
        if constexpr (tile_rows > 1)
            if (some_rows * columns_ <= tile_rows / 2 * columns)
                return look_up<tile_rows / 2>(taps, indices, step, some_rows, outputs, table, bytes, to);
        const Work work = {taps, step, static_cast<const char*>(table), bytes};
        auto* sums = static_cast<Number*>(to);
        // Few taps, written out one after another, take less time than a loop of as few rounds. Those of kernels of 3, 4 and 5,
        // in tiles that are whole, or a square image.
        constexpr size_t square = columns_ * columns_, most_square = square < tile_pixels ? square : tile_pixels;
        if constexpr (!for_wasm && columns_ > 1 && tile_rows * columns == most_square) {
            if (taps.count == 4) return add_all<tile_rows, 4>(work, indices, outputs, sums);
            if (taps.count == 6) return add_all<tile_rows, 6>(work, indices, outputs, sums);
            if (taps.count == 9) return add_all<tile_rows, 9>(work, indices, outputs, sums);
        }
        add_all<tile_rows, 0>(work, indices, outputs, sums);
    }

    static constexpr SharedTables tables = {
        Kind::inputs, entries, columns_, pitch_, sizeof(Number), numbers, fewest, most_pixels, begin, fill, look_up<>,
    };
};

// Sums of integers, each of 16 bits, are added to those of 32 and become 0.
void widen(void* from, size_t count, void* to) {
    auto* sums = static_cast<int16_t*>(from);
    auto* totals = static_cast<int32_t*>(to);
    static_assert(tile_pixels % (2 * lanes) == 0);
    for (size_t i = 0; i < count; i += 2 * lanes) {
        const auto sum = load<Shorts>(sums + i);
        const Shorts sign = sum >> 15;
        // An integer of 32 bits is its lower half and the sign, in the processor's order.
        constexpr bool big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
        const Shorts first = big_endian ? sign : sum, second = big_endian ? sum : sign;
#if VECTOR_BYTES == 32
        const auto low = (Ints)SHUFFLE(first, second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        const auto high = (Ints)SHUFFLE(first, second, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#else
        const auto low = (Ints)SHUFFLE(first, second, 0, 8, 1, 9, 2, 10, 3, 11);
        const auto high = (Ints)SHUFFLE(first, second, 4, 12, 5, 13, 6, 14, 7, 15);
#endif
        store(totals + i, load<Ints>(totals + i) + low);
        store(totals + i + lanes, load<Ints>(totals + i + lanes) + high);
        store(sums + i, Shorts{});
    }
}

// Weights: [ceil(inputs / 6)][outputs] bytes.
size_t six_weight_bytes(size_t inputs, size_t outputs) { return divide_up(inputs, SharedFloats::inputs) * outputs; }

}  // namespace
}  // namespace pbgen
