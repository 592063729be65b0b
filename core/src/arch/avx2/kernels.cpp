// AVX2 and FMA: vectors of 32 bytes.
#ifdef __x86_64__
#include "../processor.h"
#include "../tables.h"
#include "../vector/kernels.h"

namespace pbgen {
const Kernels avx2_kernels = {
    "avx2", has_avx2, choose, choose_integer, choose_shared, channelwise, dots, finish, to_planes, extremes,
    calculate, fold, fold_rows, mix, &avx2_outer_products,
};

}  // namespace pbgen
#endif
