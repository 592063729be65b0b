// NEON, which every 64-bit ARM processor has: vectors of 16 bytes.
#ifdef __aarch64__
#include "../processor.h"
#include "../tables.h"
#include "../vector/kernels.h"
#include "bytes.h"

namespace pbgen {
namespace {

bool supported() { return true; }

const Product* choose_bytes(const LayerSize& size) { return size.planes ? choose_integer(size) : &neon::byte_broadcast; }

}  // namespace

const Kernels neon_kernels = {
    "neon", supported, choose, choose_integer, choose_shared, channelwise, dots, finish, to_planes, extremes,
    calculate<Ends>, fold, fold_rows, moments, mix, &neon_outer_products,
};

const Kernels neon_dotprod_kernels = {
    "neon-dotprod", has_dotprod, choose, choose_bytes, choose_shared, channelwise, dots, finish, to_planes, extremes,
    calculate<Ends>, fold, fold_rows, moments, mix, &neon_outer_products,
};

}  // namespace pbgen
#endif
