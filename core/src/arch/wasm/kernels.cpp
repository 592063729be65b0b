// Vectors of 16 bytes. Compiled twice: with relaxed SIMD, too.
#include "../tables.h"
#include "../vector/kernels.h"

namespace pbgen {
namespace {

bool supported() { return true; }

}  // namespace

const Kernels wasm_kernels = {
#ifdef __wasm_relaxed_simd__
    "wasm-relaxed",
#else
    "wasm",
#endif
    supported, choose, choose_integer, choose_shared, channelwise, dots, finish, to_planes, extremes,
    calculate<Ends>, fold, fold_rows, moments, mix, &portable_outer_products,
};

}  // namespace pbgen
