// What is done number by number: the source of all instruction sets, with vectors of 64 bytes.
#ifdef __x86_64__
#define VECTOR_BYTES 64
#include "../vector/elementwise.h"

#include "../vector/fold.h"
#include "ends.h"

namespace pbgen::avx512 {

void calculate(const Chain& chain, size_t count, float* result, Extremes* extremes) {
    pbgen::calculate<Ends>(chain, count, result, extremes);
}

float fold(Fold kind, const float* values, size_t count) { return pbgen::fold(kind, values, count); }

void fold_rows(Fold kind, const float* values, size_t rows, ptrdiff_t step, size_t columns, float* totals) {
    pbgen::fold_rows(kind, values, rows, step, columns, totals);
}

void moments(const float* values, size_t rows, ptrdiff_t step, size_t columns, float* near, const float* origin,
             double* sums, double* squares) {
    pbgen::moments(values, rows, step, columns, near, origin, sums, squares);
}

void mix(const float* const* rows, const float* weights, size_t count, size_t columns, float* result) {
    pbgen::mix(rows, weights, count, columns, result);
}

}  // namespace pbgen::avx512
#endif
