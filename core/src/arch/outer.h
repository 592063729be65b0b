// Sums of outer products: what the gradient to a layer's weights is made of.
#pragma once

#include <cstddef>

namespace pbgen {

// Both operands lie in panels of `depth` steps, each step `rows` or `columns` numbers side by side.
struct OuterProducts {
    size_t rows, columns;

    // sums[i * stride + j] = sum over k of a[k][i] b[k][j], for one panel of each; `add`: += instead of =.
    void (*run)(const float* a, const float* b, size_t depth, float* sums, size_t stride, bool add);

    // The panels of `count` numbers from each of `depth` places (nullptr: zeros), the last one filled up with zeros.
    void (*pack_rows)(const float* const* from, size_t depth, size_t count, float* panels);
    void (*pack_columns)(const float* const* from, size_t depth, size_t count, float* panels);
};

extern const OuterProducts portable_outer_products;
extern const OuterProducts avx2_outer_products;
extern const OuterProducts avx512_outer_products;
extern const OuterProducts neon_outer_products;

}  // namespace pbgen
