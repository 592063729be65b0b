// AVX-512: which product suits which layer.
#ifdef __x86_64__
#include "../processor.h"
#include "../tables.h"
#include "products.h"

namespace pbgen {
namespace {

const Product* choose(const LayerSize& size) { return size.planes ? &avx512::lookup : &avx512::broadcast; }

template <bool bytes>
const Product* choose_integer(const LayerSize& size) {
    // Without permutations of bytes, tables of float32 are faster than those that are rounded.
    if (size.planes) return bytes ? &avx512::byte_lookup : &avx512::lookup;
    return bytes ? &avx512::byte_broadcast : &avx512::short_broadcast;
}

// Intel's processors have one unit for permutations, and 512-bit additions share it: tables in registers do 80 multiply-adds
// in a cycle there at the best, and tables in memory, of half as long vectors, 96. By counting, not by measurement.
const Product* choose_shared(const LayerSize& size, bool integers) {
    return is_intel() && !integers ? avx2_kernels.choose_shared(size, false) : nullptr;
}

template <bool bytes>
const DotProducts& dots(bool integers) {
    if (!integers) return avx512::float_dots;
    return bytes ? avx512::summed_short_dots : avx512::short_dots;
}

}  // namespace

const Kernels avx512_kernels = {
    "avx512", has_avx512, choose, choose_integer<false>, choose_shared, avx512::channelwise, dots<false>,
    avx512::finish, avx512::to_planes, avx512::extremes,
    avx512::calculate, avx512::fold, avx512::fold_rows, avx512::moments, avx512::mix, &avx512_outer_products,
};

const Kernels avx512_vbmi_kernels = {
    "avx512-vbmi", has_avx512_vbmi, choose, choose_integer<true>, choose_shared, avx512::channelwise, dots<true>,
    avx512::finish, avx512::to_planes, avx512::extremes,
    avx512::calculate, avx512::fold, avx512::fold_rows, avx512::moments, avx512::mix, &avx512_outer_products,
};

}  // namespace pbgen
#endif
