// AVX2 and FMA: vectors of 32 bytes.
#ifdef __x86_64__
#include <cpuid.h>

#include "../tables.h"
#include "../vector/kernels.h"

namespace pbgen {
namespace {

// The processor must have the instructions, and the operating system must save the registers.
bool detect() {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA)) return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2)) return false;
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 6) == 6;  // SSE and AVX
}

// Asking takes a virtual machine tens of microseconds.
bool supported() {
    static const bool answer = detect();
    return answer;
}

}  // namespace

const Kernels avx2_kernels = {
    "avx2", supported, choose, choose_integer, choose_shared, channelwise, dots, finish, to_planes, extremes,
    calculate, fold, fold_rows, mix, &avx2_outer_products,
};

}  // namespace pbgen
#endif
