// AVX2 and FMA: vectors of 32 bytes.
#ifdef __x86_64__
#include "../processor.h"
#include "../tables.h"
#include "../vector/kernels.h"
#include "lookup.h"
#include "vnni.h"

namespace pbgen {
namespace {

// Tables in memory serve many output channels, and pixels that fill vectors. By measurement (docs/kernels.md).
bool is_for_registers(const LayerSize& size, size_t most_outputs) {
    constexpr size_t few_positions = 16;
    return size.planes * size.outputs <= most_outputs || (size.positions && size.positions <= few_positions);
}

const Product* choose_float(const LayerSize& size) {
    return size.planes && is_for_registers(size, 64) ? &avx2::lookup : choose(size);
}

const Product* choose_shared_or_none(const LayerSize& size, bool integers) {
    return !integers && is_for_registers(size, 32) ? nullptr : choose_shared(size, integers);
}

#ifdef PBGEN_AVX_VNNI
const Product* choose_bytes(const LayerSize& size) { return size.planes ? choose_integer(size) : &avx2::byte_broadcast; }
#endif

}  // namespace

const Kernels avx2_kernels = {
    "avx2", has_avx2, choose_float, choose_integer, choose_shared_or_none, channelwise, dots, finish, to_planes, extremes,
    calculate<Ends>, fold, fold_rows, moments, mix, &avx2_outer_products,
};

#ifdef PBGEN_AVX_VNNI
const Kernels avx2_vnni_kernels = {
    "avx2-vnni", has_avx2_vnni, choose_float, choose_bytes, choose_shared_or_none, channelwise, dots, finish, to_planes,
    extremes, calculate<Ends>, fold, fold_rows, moments, mix, &avx2_outer_products,
};
#endif

}  // namespace pbgen
#endif
