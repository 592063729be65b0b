// NEON, which every 64-bit ARM processor has: vectors of 16 bytes.
#ifdef __aarch64__
#include "../tables.h"
#include "../vector/kernels.h"

namespace pbgen {
namespace {

bool supported() { return true; }

}  // namespace

const Kernels neon_kernels = {
    "neon", supported, choose, choose_integer, choose_shared, channelwise, dots, finish, to_planes, extremes,
    calculate, fold, fold_rows, moments, mix, &neon_outer_products,
};

}  // namespace pbgen
#endif
