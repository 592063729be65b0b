#include "processor.h"

#include <atomic>

#ifdef __x86_64__
#include <cpuid.h>
#endif
#if defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>

#include <cstddef>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

// Asking takes a virtual machine tens of microseconds, so the answers are kept.
namespace pbgen {

#ifdef __x86_64__
namespace {

// The operating system must save the registers: SSE, AVX, and for AVX-512 masks and both halves of the 512-bit ones.
bool saves(unsigned registers) {
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & registers) == registers;
}

bool has(unsigned needed, unsigned byte_bits, unsigned registers) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA)) return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    return (b & needed) == needed && (c & byte_bits) == byte_bits && saves(registers);
}

// Intel and AMD tell of their caches alike, each under a number of its own: one a call, none after the last. In bytes; 0 where
// none is told of.
uint64_t find_third_cache() {
    unsigned a, b, c, d;
    for (unsigned i = 0; __get_cpuid_count(is_intel() ? 4 : 0x8000001d, i, &a, &b, &c, &d) && (a & 31); ++i) {
        const auto field = [&](int from, int bits) { return uint64_t{(b >> from) & ((1u << bits) - 1)} + 1; };
        if ((a >> 5 & 7) == 3) return field(22, 10) * field(12, 10) * field(0, 12) * (uint64_t{c} + 1);
    }
    return 0;
}

constexpr unsigned avx512_bits = bit_AVX2 | bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;

}  // namespace

bool is_intel() {
    static const bool answer = [] {
        unsigned a, b, c, d;
        return __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx && d == signature_INTEL_edx;
    }();
    return answer;
}

bool outgrows_caches(uint64_t bytes) {
    constexpr uint64_t least = uint64_t{1} << 20;  // of which no processor need be asked
    if (bytes <= least) return false;
    static const uint64_t cache = find_third_cache();
    return cache > 0 && bytes > cache / 4 * 3;
}

bool has_avx2() {
    static const bool answer = has(bit_AVX2, 0, 0x6);
    return answer;
}

bool has_avx2_vnni() {
    static const bool answer = [] {
        unsigned a, b, c, d;
        constexpr unsigned avx_vnni = 1 << 4;  // which old headers lack
        return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & avx_vnni);
    }();
    return answer;
}

bool has_avx512() {
    static const bool answer = has(avx512_bits, 0, 0xe6);
    return answer;
}

bool has_avx512_vbmi() {
    static const bool answer = has(avx512_bits, bit_AVX512VNNI | bit_AVX512VBMI, 0xe6);
    return answer;
}
#else
bool outgrows_caches(uint64_t) { return false; }
#endif

void await_streams() { std::atomic_thread_fence(std::memory_order_seq_cst); }

#ifdef __aarch64__
bool has_dotprod() {
#if defined(__APPLE__)
    int answer = 0;
    std::size_t size = sizeof answer;
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &answer, &size, nullptr, 0) == 0 && answer;
#elif defined(__linux__)
    constexpr unsigned long asimddp = 1ul << 20;  // HWCAP_ASIMDDP, which old headers lack
    return getauxval(AT_HWCAP) & asimddp;
#else
    return false;
#endif
}
#endif

}  // namespace pbgen
