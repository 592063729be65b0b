// AVX-512: which processors have it, and which product suits which layer.
#ifdef __x86_64__
#include <cpuid.h>

#include "../tables.h"
#include "products.h"

namespace pbgen {
namespace {

// The processor must have the instructions, and the operating system must save the registers. `bytes`: permutations and dot
// products of bytes, too.
bool detect(bool bytes) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA)) return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const unsigned byte_bits = bit_AVX512VNNI | bit_AVX512VBMI;
    const unsigned needed = bit_AVX2 | bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if ((b & needed) != needed || (bytes && (c & byte_bits) != byte_bits)) return false;
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    // SSE, AVX, mask and both halves of the 512-bit registers
    return (low & 0xe6) == 0xe6;
}

// Asking takes a virtual machine tens of microseconds.
template <bool bytes>
bool supported() {
    static const bool answer = detect(bytes);
    return answer;
}

const Product* choose(const LayerSize& size) { return size.planes ? &avx512::lookup : &avx512::broadcast; }

template <bool bytes>
const Product* choose_integer(const LayerSize& size) {
    // Without permutations of bytes, tables of float32 are faster than those that are rounded.
    if (size.planes) return bytes ? &avx512::byte_lookup : &avx512::lookup;
    return bytes ? &avx512::byte_broadcast : &avx512::short_broadcast;
}

// Intel's processors have one unit for permutations, and 512-bit additions share it: tables in registers do 80 multiply-adds
// in a cycle there at the best, and tables in memory, of half as long vectors, 96. By counting, not by measurement.
bool has_one_permutation_unit() {
    unsigned a, b, c, d;
    return __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx && d == signature_INTEL_edx;
}

const Product* choose_shared(const LayerSize& size, bool integers) {
    static const bool shared = has_one_permutation_unit();
    return shared && !integers ? avx2_kernels.choose_shared(size, false) : nullptr;
}

template <bool bytes>
const DotProducts& dots(bool integers) {
    if (!integers) return avx512::float_dots;
    return bytes ? avx512::summed_short_dots : avx512::short_dots;
}

}  // namespace

const Kernels avx512_kernels = {
    "avx512", supported<false>, choose, choose_integer<false>, choose_shared, avx512::channelwise, dots<false>,
    avx512::finish, avx512::to_planes, avx512::extremes,
    avx512::calculate, avx512::fold, avx512::fold_rows, avx512::mix, &avx512_outer_products,
};

const Kernels avx512_vbmi_kernels = {
    "avx512-vbmi", supported<true>, choose, choose_integer<true>, choose_shared, avx512::channelwise, dots<true>,
    avx512::finish, avx512::to_planes, avx512::extremes,
    avx512::calculate, avx512::fold, avx512::fold_rows, avx512::mix, &avx512_outer_products,
};

}  // namespace pbgen
#endif
