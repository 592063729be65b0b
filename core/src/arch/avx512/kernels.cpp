// AVX-512: which processors have it, and which product suits which layer.
#ifdef __x86_64__
#include <cpuid.h>

#include "../tables.h"
#include "products.h"

namespace pbgen {
namespace {

// The processor must have the instructions, and the operating system must save the registers. `vnni`: dot products, too.
bool detect(bool vnni) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA)) return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const unsigned needed = bit_AVX2 | bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if ((b & needed) != needed || (vnni && !(c & bit_AVX512VNNI))) return false;
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    // SSE, AVX, mask and both halves of the 512-bit registers
    return (low & 0xe6) == 0xe6;
}

// Asking takes a virtual machine tens of microseconds.
template <bool vnni>
bool supported() {
    static const bool answer = detect(vnni);
    return answer;
}

const Product* choose(const LayerSize& size) { return size.one_bit ? &avx512::lookup : &avx512::broadcast; }

template <bool vnni>
const Product* choose_integer(const LayerSize& size) {
    if (size.one_bit) return &avx512::integer_lookup;
    return vnni ? &avx512::byte_broadcast : &avx512::short_broadcast;
}

template <bool vnni>
const DotProducts& dots(bool integers) {
    if (!integers) return avx512::float_dots;
    return vnni ? avx512::summed_short_dots : avx512::short_dots;
}

}  // namespace

const Kernels avx512_kernels = {
    "avx512", supported<false>, choose, choose_integer<false>, avx512::channelwise, dots<false>,
    avx512::finish, avx512::to_planes, avx512::extremes,
};

const Kernels avx512_vnni_kernels = {
    "avx512-vnni", supported<true>, choose, choose_integer<true>, avx512::channelwise, dots<true>,
    avx512::finish, avx512::to_planes, avx512::extremes,
};

}  // namespace pbgen
#endif
