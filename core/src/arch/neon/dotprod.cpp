// NEON with dot products of 8-bit integers (from ARMv8.2 on): one instruction does 16 multiply-adds of float weights.
#ifdef __aarch64__
#include "../processor.h"
#include "../tables.h"

namespace pbgen {
extern const Product neon_byte_broadcast;

namespace {

const Product* choose(const LayerSize& size) { return neon_kernels.choose(size); }

const Product* choose_integer(const LayerSize& size) {
    return size.planes ? neon_kernels.choose_integer(size) : &neon_byte_broadcast;
}

const Product* choose_shared(const LayerSize& size, bool integers) {
    return neon_kernels.choose_shared(size, integers);
}

const Product* channelwise() { return neon_kernels.channelwise(); }

const DotProducts& dots(bool integers) { return neon_kernels.dots(integers); }

void finish(const float* in, size_t in_step, size_t channels, const Epilogue& epilogue, float* out, const Grid& grid,
            Extremes* extremes) {
    neon_kernels.finish(in, in_step, channels, epilogue, out, grid, extremes);
}

void to_planes(const float* pixels, size_t count, size_t channels, float* planes, size_t step) {
    neon_kernels.to_planes(pixels, count, channels, planes, step);
}

Extremes extremes(const float* values, size_t count) { return neon_kernels.extremes(values, count); }

void calculate(Instruction instruction, const Operand* operands, size_t count, float* result) {
    neon_kernels.calculate(instruction, operands, count, result);
}

float fold(Fold kind, const float* values, size_t count) { return neon_kernels.fold(kind, values, count); }

void fold_rows(Fold kind, const float* values, size_t rows, ptrdiff_t step, size_t columns, float* totals) {
    neon_kernels.fold_rows(kind, values, rows, step, columns, totals);
}

void moments(const float* values, size_t rows, ptrdiff_t step, size_t columns, float* near, const float* origin,
             double* sums, double* squares) {
    neon_kernels.moments(values, rows, step, columns, near, origin, sums, squares);
}

void mix(const float* const* rows, const float* weights, size_t count, size_t columns, float* result) {
    neon_kernels.mix(rows, weights, count, columns, result);
}

}  // namespace

const Kernels neon_dotprod_kernels = {
    "neon-dotprod", has_dotprod, choose, choose_integer, choose_shared, channelwise, dots, finish, to_planes, extremes,
    calculate, fold, fold_rows, moments, mix, &neon_outer_products,
};

}  // namespace pbgen
#endif
