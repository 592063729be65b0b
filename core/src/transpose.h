// Rows of bits become columns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace pbgen {

// Calls use(t, first, second) for each t < count: bit k of `first` is bit t of rows[k], bit k of `second` that of
// rows[8 + k].
template <class Use>
inline void transpose(const uint32_t (&rows)[16], size_t count, Use use) {
#ifdef __wasm_simd128__
    // One instruction gathers the highest bits of 16 bytes; so bytes of all rows lie side by side, and are doubled from one
    // bit to the next. (With SSE2 it takes longer than what follows.)
    typedef uint8_t Bytes __attribute__((vector_size(16)));
    Bytes four[4];
    std::memcpy(four, rows, sizeof four);
    const auto low = [](Bytes a, Bytes b) {  // all rows' first bytes, then their second ones
        return __builtin_shufflevector(a, b, 0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
    };
    const auto high = [](Bytes a, Bytes b) {  // the third and the fourth
        return __builtin_shufflevector(a, b, 2, 6, 10, 14, 18, 22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31);
    };
    const auto halves = [](Bytes a, Bytes b) {
        return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
    };
    const auto ends = [](Bytes a, Bytes b) {
        return __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    };
    const Bytes a = low(four[0], four[1]), b = low(four[2], four[3]), c = high(four[0], four[1]), d = high(four[2], four[3]);
    const Bytes all[4] = {halves(a, b), ends(a, b), halves(c, d), ends(c, d)};
    for (size_t begin = 0; begin < count; begin += 8) {
        Bytes rest = all[begin / 8];
        for (size_t t = begin + 8; t-- > begin; rest += rest) {
            const uint32_t column = __builtin_wasm_bitmask_i8x16(rest);
            if (t < count) use(t, static_cast<uint8_t>(column), static_cast<uint8_t>(column >> 8));
        }
    }
#else
    // Eight rows to each half of a word: halves, quarters and single bits of bytes are swapped (Warren, Hacker's Delight, 7-3).
    uint64_t words[8];
    for (size_t k = 0; k < 8; ++k) words[k] = rows[k] | uint64_t{rows[k + 8]} << 32;
    const auto swap = [&](size_t distance, uint64_t chosen) {
        for (size_t k = 0; k < 8; ++k) {
            if (k & distance) continue;
            const uint64_t differing = (words[k] >> distance ^ words[k + distance]) & chosen;
            words[k + distance] ^= differing;
            words[k] ^= differing << distance;
        }
    };
    swap(4, 0x0f0f0f0f0f0f0f0f);
    swap(2, 0x3333333333333333);
    swap(1, 0x5555555555555555);
    for (size_t begin = 0; begin < count; begin += 8)
        for (size_t k = 0; k < 8; ++k) {
            const uint64_t word = words[k] >> begin;
            if (begin + k < count) use(begin + k, static_cast<uint8_t>(word), static_cast<uint8_t>(word >> 32));
        }
#endif
}

}  // namespace pbgen
