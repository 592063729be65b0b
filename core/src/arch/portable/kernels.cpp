// Vectors of 16 bytes, with what every processor has that the compiler was told of: SSE2 on x86-64, and elsewhere
// whatever the compiler makes of them. It runs everywhere, and the others are tested against it.
#include "../tables.h"
#include "../vector/kernels.h"

namespace pbgen {
namespace {

bool supported() { return true; }

}  // namespace

const Kernels portable_kernels = {
    "portable", supported, choose, choose_integer, choose_shared, channelwise, dots, finish, to_planes, extremes,
    calculate<Ends>, fold, fold_rows, moments, mix, &portable_outer_products,
};

}  // namespace pbgen
