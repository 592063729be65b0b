// Sums of outer products with the sums in registers. Each instruction set names its vector and how many fit.
#pragma once

#include "../outer.h"

#ifdef __clang__
#define UNROLL_ALL _Pragma("unroll")
#else
#define UNROLL_ALL _Pragma("GCC unroll 16")
#endif

namespace pbgen {
namespace {

template <class Vector, size_t rows, size_t vectors>
struct Outer {
    static constexpr size_t lanes = sizeof(Vector) / sizeof(float), columns = vectors * lanes;

    static void run(const float* a, const float* b, size_t depth, float* sums, size_t stride, bool add) {
        Vector sum[rows][vectors] = {};
        for (; depth; --depth, a += rows, b += columns) {
            Vector right[vectors];
            UNROLL_ALL for (size_t v = 0; v < vectors; ++v) __builtin_memcpy(&right[v], b + v * lanes, sizeof(Vector));
            UNROLL_ALL for (size_t i = 0; i < rows; ++i)
                UNROLL_ALL for (size_t v = 0; v < vectors; ++v) sum[i][v] += a[i] * right[v];
        }
        UNROLL_ALL for (size_t i = 0; i < rows; ++i)
            UNROLL_ALL for (size_t v = 0; v < vectors; ++v) {
                float* to = sums + i * stride + v * lanes;
                Vector before = {};
                if (add) __builtin_memcpy(&before, to, sizeof before);
                before += sum[i][v];
                __builtin_memcpy(to, &before, sizeof before);
            }
    }

    // A place after another, for they are read in order.
    template <size_t width>
    static void pack(const float* const* from, size_t depth, size_t count, float* panels) {
        const size_t whole = count / width * width;
        for (size_t k = 0; k < depth; ++k) {
            float* to = panels + k * width;
            const float* x = from[k];
            for (size_t first = 0; first < whole; first += width, to += depth * width)
                x ? __builtin_memcpy(to, x + first, width * sizeof(float)) : __builtin_memset(to, 0, width * sizeof(float));
            for (size_t i = 0; whole < count && i < width; ++i) to[i] = x && whole + i < count ? x[whole + i] : 0;
        }
    }

    static constexpr OuterProducts table = {rows, columns, run, pack<rows>, pack<columns>};
};

}  // namespace
}  // namespace pbgen
