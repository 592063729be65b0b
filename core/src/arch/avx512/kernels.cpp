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

// Registers of weights times inputs for one pixel, tap and block, if lanes are output channels.
size_t across(size_t inputs, size_t outputs) { return avx512::divide_up(outputs, avx512::lanes) * inputs; }

// The same if lanes are inputs.
size_t along(size_t inputs, size_t outputs) { return avx512::divide_up(inputs, avx512::lanes) * outputs; }

// Tables must pay for being built. They must pay in memory, too, where that counts: words and vectors are filled up with
// zeros, and for a few inputs a word a weight is small.
bool tables_pay(const LayerSize& size, const Product& product) {
    constexpr size_t fewest_outputs = 6, few_inputs = 30, most_padding = 8;
    const size_t bits = product.weight_bytes(size.inputs, size.outputs) * 8;
    return size.outputs >= fewest_outputs &&
           (size.inputs <= few_inputs || bits <= most_padding * size.inputs * size.outputs);
}

const Product* choose(const LayerSize& size) {
    if (size.one_bit) return tables_pay(size, avx512::lookup) ? &avx512::lookup : &avx512::one_bit_dot;
    const bool dot = size.outputs < avx512::lanes && along(size.inputs, size.outputs) < across(size.inputs, size.outputs);
    return dot ? &avx512::dot : &avx512::broadcast;
}

template <bool vnni>
const Product* choose_integer(const LayerSize& size) {
    if (size.one_bit) return tables_pay(size, avx512::integer_lookup) ? &avx512::integer_lookup : choose(size);
    return vnni ? &avx512::byte_broadcast : &avx512::short_broadcast;
}

}  // namespace

const Kernels avx512_kernels = {
    "avx512", supported<false>, choose, choose_integer<false>, avx512::channelwise, avx512::finish, avx512::add_runs,
    avx512::range,
};

const Kernels avx512_vnni_kernels = {
    "avx512-vnni", supported<true>, choose, choose_integer<true>, avx512::channelwise, avx512::finish, avx512::add_runs,
    avx512::range,
};

}  // namespace pbgen
#endif
