// What this machine can do at best: multiply-adds a second of the instructions that kernels are made of, and bytes a
// second from the second cache and from memory, on one core and on all threads at once. benchmarks/roofline.py compares
// the engine's layers with it.
//
//     g++ -std=c++17 -O3 -pthread benchmarks/peaks.cpp -o peaks && ./peaks [--threads 2] [--json]
//
// Each figure is the best of some loops over data that lies in the first cache (but for the reads), tried until the
// machine had a quiet moment: a peak, not an average. One program serves every x86-64 processor, and tells of what the
// one at hand has; on others there is little more than the loops that need no special instructions.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#if defined(__aarch64__) && defined(__linux__)
#include <arm_neon.h>
#include <sys/auxv.h>
#define ARM_LINUX
#endif
#ifdef __x86_64__
#include <immintrin.h>
#define TARGET(features) __attribute__((target(features), noinline))
#else
#define TARGET(features) __attribute__((noinline))
#endif

#define UNROLL _Pragma("GCC unroll 32")

// Makes the compiler compute a register here, in the order in which such things are written: left to itself, it begins
// more at once than there are registers.
#define IN_ORDER(value) asm volatile("" : "+v"(value))

// Makes the compiler think that a register changes here.
#ifdef __x86_64__
#define HIDE(value) asm("" : "+x"(value))
#else
#define HIDE(value) asm("" : "+w"(value))
#endif

namespace {

// What one thread works on: 64 kB of random bits, of tables and of sums, and its part of a buffer to read.
struct Memory {
    alignas(64) uint8_t weights[64 << 10];
    alignas(64) uint8_t tables[64 << 10];
    alignas(64) uint8_t sums[64 << 10];
    const uint8_t* buffer = nullptr;
    size_t buffer_bytes = 0;

    Memory() : tables{}, sums{} {
        for (auto& byte : weights) byte = static_cast<uint8_t>(std::rand() >> 7);
    }
};

// Does the work `times` over and returns how many multiply-adds or bytes that was.
using Loop = double (*)(Memory& memory, size_t times);

// Multiply-adds of numbers with numbers, of `registers` sums: enough to hide the instruction's latency.
constexpr int registers = 24;

#define VECTORS(bits)                                                    \
    typedef float Floats##bits __attribute__((vector_size(bits / 8)));   \
    typedef int16_t Shorts##bits __attribute__((vector_size(bits / 8))); \
    typedef int32_t Integers##bits __attribute__((vector_size(bits / 8))); \
    typedef uint64_t Words##bits __attribute__((vector_size(bits / 8)));
VECTORS(128)
VECTORS(256)
VECTORS(512)

#define MULTIPLY_ADD(name, Floats, count, features)                                                        \
    TARGET(features) double name(Memory& memory, size_t times) {                                           \
        auto* sums = reinterpret_cast<Floats*>(memory.sums);                                               \
        const Floats a = sums[count], b = sums[count + 1];                                                 \
        Floats sum[count];                                                                                 \
        UNROLL for (int i = 0; i < count; ++i) sum[i] = sums[i];                                           \
        for (size_t t = 0; t < times; ++t) UNROLL for (int i = 0; i < count; ++i) sum[i] = sum[i] * a + b; \
        UNROLL for (int i = 0; i < count; ++i) sums[i] = sum[i];                                           \
        return double(times) * count * (sizeof(Floats) / sizeof(float));                                   \
    }

// Integers of 16 bits, products of two at a time added up; that a and b stay as they are is hidden from the compiler.
#define PAIRS(name, bits, count, multiply, features)                                        \
    TARGET(features) double name(Memory& memory, size_t times) {                            \
        auto* from = reinterpret_cast<Shorts##bits*>(memory.sums);                          \
        auto* sums = reinterpret_cast<Integers##bits*>(memory.sums);                        \
        Shorts##bits a = from[count], b = from[count + 1];                                  \
        Integers##bits sum[count];                                                          \
        UNROLL for (int i = 0; i < count; ++i) sum[i] = sums[i];                            \
        for (size_t t = 0; t < times; ++t) UNROLL for (int i = 0; i < count; ++i) {         \
            HIDE(a);                                                                        \
            sum[i] += (Integers##bits)multiply(a, b);                                       \
        }                                                                                   \
        UNROLL for (int i = 0; i < count; ++i) sums[i] = sum[i];                            \
        return double(times) * count * (sizeof(Shorts##bits) / sizeof(int16_t));            \
    }

// One-bit weights, tables in memory: four bits choose one of 16 signed sums of four inputs, `vectors` vectors of pixels
// long, and one addition adds it to the sums of an output channel; `outputs` of them at a time.
template <class Entry>
struct InMemory {
    static constexpr size_t table_bytes = 16 << 10, channels = 64;

    template <int vectors, int outputs>
    static inline __attribute__((always_inline)) double run(Memory& memory, size_t times) {
        using Table = Entry[16][vectors];
        constexpr size_t tables = table_bytes / sizeof(Table);
        for (size_t t = 0; t < times; ++t) {
            const uint8_t* weights = memory.weights;
            auto* sums = reinterpret_cast<Entry(*)[vectors]>(memory.sums);
            for (size_t channel = 0; channel < channels; channel += outputs, sums += outputs) {
                auto* table = reinterpret_cast<const Table*>(memory.tables);
                Entry sum[outputs][vectors];
                UNROLL for (int o = 0; o < outputs; ++o)
                    UNROLL for (int v = 0; v < vectors; ++v) sum[o][v] = sums[o][v];
                for (size_t pair = 0; pair < tables; pair += 2, table += 2, weights += outputs)
                    UNROLL for (int o = 0; o < outputs; ++o) {
                        const auto &low = table[0][weights[o] & 15], &high = table[1][weights[o] >> 4];
                        UNROLL for (int v = 0; v < vectors; ++v) sum[o][v] += low[v];
                        UNROLL for (int v = 0; v < vectors; ++v) sum[o][v] += high[v];
                    }
                UNROLL for (int o = 0; o < outputs; ++o)
                    UNROLL for (int v = 0; v < vectors; ++v) sums[o][v] = sum[o][v];
            }
        }
        return double(times) * channels * tables * vectors * 4 * (sizeof(Entry) / sizeof(Entry{}[0]));
    }
};

#define IN_MEMORY(name, entry, vectors, outputs, features)            \
    TARGET(features) double name(Memory& memory, size_t times) {      \
        return InMemory<entry>::run<vectors, outputs>(memory, times); \
    }

#define READ(name, Words, features)                                                             \
    TARGET(features) double name(Memory& memory, size_t times) {                                \
        Words sum[8] = {};                                                                      \
        for (size_t t = 0; t < times; ++t) {                                                    \
            const auto* from = reinterpret_cast<const Words*>(memory.buffer);                   \
            const auto* end = from + memory.buffer_bytes / sizeof(Words);                       \
            for (; from < end; from += 8) UNROLL for (int i = 0; i < 8; ++i) sum[i] ^= from[i]; \
        }                                                                                       \
        UNROLL for (int i = 0; i < 8; ++i) reinterpret_cast<Words*>(memory.sums)[i] = sum[i];   \
        return double(times) * double(memory.buffer_bytes);                                     \
    }

#ifdef __x86_64__
#define BASE "sse2"
#else
#define BASE ""
#endif

MULTIPLY_ADD(multiply_add_128, Floats128, 12, BASE)
#ifdef __x86_64__
PAIRS(pairs_128, 128, 12, __builtin_ia32_pmaddwd128, BASE)
#else
#define DOT_PAIRS(a, b) (((Integers128)a << 16 >> 16) * ((Integers128)b << 16 >> 16) + ((Integers128)a >> 16) * ((Integers128)b >> 16))
PAIRS(pairs_128, 128, 12, DOT_PAIRS, BASE)
#endif
IN_MEMORY(float_tables_128_2x4, Floats128, 2, 4, BASE)
IN_MEMORY(float_tables_128_8x1, Floats128, 8, 1, BASE)
IN_MEMORY(int_tables_128_2x4, Shorts128, 2, 4, BASE)
IN_MEMORY(int_tables_128_4x2, Shorts128, 4, 2, BASE)
READ(read_128, Words128, BASE)

bool always() { return true; }

#ifdef __x86_64__
MULTIPLY_ADD(multiply_add_256, Floats256, 12, "avx2,fma")
MULTIPLY_ADD(multiply_add_512, Floats512, registers, "avx512f")
#define pmaddwd_512(a, b) _mm512_madd_epi16((__m512i)a, (__m512i)b)
PAIRS(pairs_256, 256, 12, __builtin_ia32_pmaddwd256, "avx2")
PAIRS(pairs_512, 512, registers, pmaddwd_512, "avx512bw")
IN_MEMORY(float_tables_256_2x4, Floats256, 2, 4, "avx2")
IN_MEMORY(float_tables_256_4x1, Floats256, 4, 1, "avx2")
IN_MEMORY(float_tables_256_4x2, Floats256, 4, 2, "avx2")
IN_MEMORY(int_tables_256_1x8, Shorts256, 1, 8, "avx2")
IN_MEMORY(int_tables_256_2x4, Shorts256, 2, 4, "avx2")
READ(read_256, Words256, "avx2")
READ(read_512, Words512, "avx512f")

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"); }
bool has_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
bool has_avx_vnni() { return has_avx2() && __builtin_cpu_supports("avxvnni"); }
bool has_vbmi() { return has_vnni() && __builtin_cpu_supports("avx512vbmi"); }

// One-bit weights, tables in registers: 16 output channels' indices each choose one of 16 signed sums of five inputs,
// and one multiply-add gives it its sign and adds it; or they choose among 32, of which the second register has half,
// and it is added: 80 multiply-adds a pair of instructions. The tables of `pixels` pixels meet the weights of `vectors`
// vectors of channels, every other of which adds; a word of 32 bits holds six indices and signs.
constexpr size_t depth = 30;  // tables of a pixel: few enough for the first cache

template <int pixels, int vectors>
TARGET("avx512f") double float_lookup(Memory& memory, size_t times) {
    auto* sums = reinterpret_cast<__m512*>(memory.sums);
    const auto* tables = reinterpret_cast<const __m512i*>(memory.tables);
    const __m512i one = _mm512_set1_epi32(0x3f800000), sign_bit = _mm512_set1_epi32(int(0x80000000));
    constexpr int a_and_b_or_c = 0xea;
    __m512 sum[pixels][vectors];
    UNROLL for (int p = 0; p < pixels; ++p) UNROLL for (int v = 0; v < vectors; ++v) sum[p][v] = sums[p * vectors + v];
    for (size_t t = 0; t < times; ++t) {
        const auto* weights = reinterpret_cast<const __m512i*>(memory.weights);
        for (size_t table = 0; table < depth; table += 6, weights += vectors) {
            __m512i word[vectors];
            UNROLL for (int v = 0; v < vectors; ++v) word[v] = weights[v];
            UNROLL for (size_t i = 0; i < 6; ++i) {
                __m512 sign[vectors];
                UNROLL for (int v = 0; v < vectors; v += 2)
                    sign[v] = _mm512_castsi512_ps(_mm512_ternarylogic_epi32(word[v], sign_bit, one, a_and_b_or_c));
                UNROLL for (int p = 0; p < pixels; ++p) {
                    const __m512i found = tables[p * depth + table + i];
                    const __m512 plus = _mm512_castsi512_ps(found);
                    const __m512 minus = _mm512_castsi512_ps(_mm512_xor_si512(found, sign_bit));
                    UNROLL for (int v = 0; v < vectors; ++v) {
                        if (v % 2)
                            sum[p][v] = _mm512_add_ps(sum[p][v], _mm512_permutex2var_ps(plus, word[v], minus));
                        else
                            sum[p][v] = _mm512_fmadd_ps(_mm512_permutexvar_ps(word[v], plus), sign[v], sum[p][v]);
                        IN_ORDER(sum[p][v]);
                    }
                }
                UNROLL for (int v = 0; v < vectors; ++v) word[v] = _mm512_ror_epi32(word[v], 5);
            }
        }
    }
    UNROLL for (int p = 0; p < pixels; ++p) UNROLL for (int v = 0; v < vectors; ++v) sums[p * vectors + v] = sum[p][v];
    return double(times) * depth * pixels * vectors * 80;
}

// The same with AVX2: eight sums of four inputs, 8 output channels, 32 multiply-adds a pair of instructions. A word holds
// eight indices and signs.
template <int pixels, int vectors>
TARGET("avx2,fma") double short_lookup(Memory& memory, size_t times) {
    constexpr size_t tables_of_pixel = 32;
    auto* sums = reinterpret_cast<__m256*>(memory.sums);
    const auto* tables = reinterpret_cast<const __m256*>(memory.tables);
    const __m256i one = _mm256_set1_epi32(0x3f800000), sign_bit = _mm256_set1_epi32(int(0x80000000));
    __m256 sum[pixels][vectors];
    UNROLL for (int p = 0; p < pixels; ++p) UNROLL for (int v = 0; v < vectors; ++v) sum[p][v] = sums[p * vectors + v];
    for (size_t t = 0; t < times; ++t) {
        const auto* weights = reinterpret_cast<const __m256i*>(memory.weights);
        for (size_t table = 0; table < tables_of_pixel; table += 8, weights += vectors) {
            __m256i word[vectors];
            UNROLL for (int v = 0; v < vectors; ++v) word[v] = weights[v];
            UNROLL for (size_t i = 0; i < 8; ++i) {
                __m256 sign[vectors];
                UNROLL for (int v = 0; v < vectors; ++v)
                    sign[v] = _mm256_castsi256_ps(
                        _mm256_or_si256(_mm256_and_si256(_mm256_slli_epi32(word[v], 28), sign_bit), one));
                UNROLL for (int p = 0; p < pixels; ++p) {
                    const __m256 found = tables[p * tables_of_pixel + table + i];
                    UNROLL for (int v = 0; v < vectors; ++v) {
                        sum[p][v] = _mm256_fmadd_ps(_mm256_permutevar8x32_ps(found, word[v]), sign[v], sum[p][v]);
                        IN_ORDER(sum[p][v]);
                    }
                }
                UNROLL for (int v = 0; v < vectors; ++v) word[v] = _mm256_srli_epi32(word[v], 4);
            }
        }
    }
    UNROLL for (int p = 0; p < pixels; ++p) UNROLL for (int v = 0; v < vectors; ++v) sums[p * vectors + v] = sum[p][v];
    return double(times) * tables_of_pixel * pixels * vectors * 32;
}

// The same with sums of 8 bits: a register holds the tables of 16 inputs, one permutation finds four sums for each of 16
// output channels, and a dot product with ones adds them up: 256 multiply-adds a pair of instructions. A byte of the
// weights holds two indices.
template <int pixels, int vectors>
TARGET("avx512bw,avx512vbmi,avx512vnni") double byte_lookup(Memory& memory, size_t times) {
    auto* sums = reinterpret_cast<__m512i*>(memory.sums);
    const auto* tables = reinterpret_cast<const __m512i*>(memory.tables);
    const __m512i low = _mm512_set1_epi8(15), group = _mm512_set1_epi32(0x30201000), ones = _mm512_set1_epi8(1);
    constexpr int a_and_b_or_c = 0xea;
    __m512i sum[pixels][vectors];
    UNROLL for (int p = 0; p < pixels; ++p) UNROLL for (int v = 0; v < vectors; ++v) sum[p][v] = sums[p * vectors + v];
    for (size_t t = 0; t < times; ++t) {
        const auto* weights = reinterpret_cast<const __m512i*>(memory.weights);
        for (size_t table = 0; table < depth; table += 2, weights += vectors) {
            __m512i word[vectors];
            UNROLL for (int v = 0; v < vectors; ++v) word[v] = weights[v];
            UNROLL for (size_t i = 0; i < 2; ++i) {
                __m512i index[vectors];
                UNROLL for (int v = 0; v < vectors; ++v)
                    index[v] = _mm512_ternarylogic_epi32(word[v], low, group, a_and_b_or_c);
                UNROLL for (int p = 0; p < pixels; ++p) {
                    __m512i found = tables[p * depth + table + i];
                    IN_ORDER(found);
                    UNROLL for (int v = 0; v < vectors; ++v) {
                        sum[p][v] = _mm512_dpbusd_epi32(sum[p][v], ones, _mm512_permutexvar_epi8(index[v], found));
                        IN_ORDER(sum[p][v]);
                    }
                }
                UNROLL for (int v = 0; v < vectors; ++v) word[v] = _mm512_srli_epi32(word[v], 4);
            }
        }
    }
    UNROLL for (int p = 0; p < pixels; ++p) UNROLL for (int v = 0; v < vectors; ++v) sums[p * vectors + v] = sum[p][v];
    return double(times) * depth * pixels * vectors * 256;
}

TARGET("avx512vnni") double dot_products(Memory& memory, size_t times) {
    auto* sums = reinterpret_cast<__m512i*>(memory.sums);
    const __m512i a = sums[registers], b = sums[registers + 1];
    __m512i sum[registers];
    UNROLL for (int i = 0; i < registers; ++i) sum[i] = sums[i];
    for (size_t t = 0; t < times; ++t)
        UNROLL for (int i = 0; i < registers; ++i) sum[i] = _mm512_dpbusd_epi32(sum[i], a, b);
    UNROLL for (int i = 0; i < registers; ++i) sums[i] = sum[i];
    return double(times) * registers * 64;
}

TARGET("avx2,avxvnni") double dot_products_256(Memory& memory, size_t times) {
    auto* sums = reinterpret_cast<__m256i*>(memory.sums);
    const __m256i a = sums[registers], b = sums[registers + 1];
    __m256i sum[registers];
    UNROLL for (int i = 0; i < registers; ++i) sum[i] = sums[i];
    for (size_t t = 0; t < times; ++t)
        UNROLL for (int i = 0; i < registers; ++i) sum[i] = _mm256_dpbusd_avx_epi32(sum[i], a, b);
    UNROLL for (int i = 0; i < registers; ++i) sums[i] = sum[i];
    return double(times) * registers * 32;
}
#endif

#ifdef ARM_LINUX
bool has_dot_products() { return getauxval(AT_HWCAP) & 1 << 20; }  // HWCAP_ASIMDDP

__attribute__((target("arch=armv8.2-a+dotprod"), noinline)) double dot_products(Memory& memory, size_t times) {
    auto* sums = reinterpret_cast<int32x4_t*>(memory.sums);
    const int8x16_t a = vreinterpretq_s8_s32(sums[registers]), b = vreinterpretq_s8_s32(sums[registers + 1]);
    int32x4_t sum[registers];
    UNROLL for (int i = 0; i < registers; ++i) sum[i] = sums[i];
    for (size_t t = 0; t < times; ++t) UNROLL for (int i = 0; i < registers; ++i) sum[i] = vdotq_s32(sum[i], a, b);
    UNROLL for (int i = 0; i < registers; ++i) sums[i] = sum[i];
    return double(times) * registers * 16;
}
#endif

// `level_bytes` of a read from a cache: what a core's holds. `buffer_bytes`: what all threads together read.
struct Peak {
    const char* name;
    const char* what;
    bool (*supported)();
    std::vector<Loop> loops;
    size_t level_bytes = 0;
    size_t buffer_bytes = 0;
};

std::vector<Peak> multiply_adds() {
    return {
        {"multiply-add-128", "float32 times float32", always, {multiply_add_128}},
        {"int16-multiply-add-128", "int16 times int16, two at a time", always, {pairs_128}},
        {"float32-tables-128", "one bit, sums of 4 float32 in memory", always,
         {float_tables_128_2x4, float_tables_128_8x1}},
        {"int16-tables-128", "one bit, sums of 4 int16 in memory", always, {int_tables_128_2x4, int_tables_128_4x2}},
#ifdef __x86_64__
        {"multiply-add-256", "float32 times float32: vfmadd", has_avx2, {multiply_add_256}},
        {"int16-multiply-add-256", "int16 times int16, two at a time: vpmaddwd, vpaddd", has_avx2, {pairs_256}},
        {"float32-tables-256", "one bit, sums of 4 float32 in memory", has_avx2,
         {float_tables_256_2x4, float_tables_256_4x1, float_tables_256_4x2}},
        {"float32-registers-256", "one bit, sums of 4 float32 in registers: vpermps, vfmadd", has_avx2,
         {short_lookup<5, 2>, short_lookup<4, 2>, short_lookup<8, 1>}},
        {"int16-tables-256", "one bit, sums of 4 int16 in memory", has_avx2, {int_tables_256_1x8, int_tables_256_2x4}},
        {"int8-256", "uint8 times int8: vpdpbusd", has_avx_vnni, {dot_products_256}},
        {"multiply-add-512", "float32 times float32: vfmadd", has_avx512, {multiply_add_512}},
        {"int16-multiply-add-512", "int16 times int16, two at a time: vpmaddwd, vpaddd", has_avx512, {pairs_512}},
        {"float32-registers-512", "one bit, sums of 5 float32 in registers: vpermps, vfmadd; vpermt2ps, vaddps", has_avx512,
         {float_lookup<5, 4>, float_lookup<4, 4>, float_lookup<8, 2>}},
        {"int8-registers-512", "one bit, sums of 4 int8 in registers: vpermb, vpdpbusd", has_vbmi,
         {byte_lookup<5, 4>, byte_lookup<4, 4>, byte_lookup<7, 3>, byte_lookup<8, 2>}},
        {"int8-512", "uint8 times int8: vpdpbusd", has_vnni, {dot_products}},
#endif
#ifdef ARM_LINUX
        {"int8-128", "int8 times int8: sdot", has_dot_products, {dot_products}},
#endif
    };
}

size_t second_cache_bytes() {
#ifdef _SC_LEVEL2_CACHE_SIZE
    if (const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE); bytes > 0) return static_cast<size_t>(bytes);
#endif
    return 256 << 10;
}

std::vector<Peak> reads(size_t threads) {
    std::vector<Loop> loops = {read_128};
#ifdef __x86_64__
    if (has_avx2()) loops.push_back(read_256);
    if (has_avx512()) loops.push_back(read_512);
#endif
    // No figure for a third cache: virtual machines do not tell how much of it is theirs.
    const size_t second_cache = second_cache_bytes();
    return {{"read-l2", "from the second cache", always, loops, second_cache, second_cache / 2 * threads},
            {"read-memory", "from memory", always, loops, 0, 256 << 20}};
}

using Clock = std::chrono::steady_clock;
using Memories = std::vector<std::unique_ptr<Memory>>;

// Multiply-adds or bytes a second of all threads, from the first one's start to the last one's end.
double rate(Loop loop, const Memories& memories, size_t threads, size_t times) {
    std::atomic<size_t> waiting{threads};
    std::vector<Clock::time_point> begins(threads), ends(threads);
    std::vector<double> work(threads);
    std::vector<std::thread> running;
    for (size_t i = 0; i < threads; ++i)
        running.emplace_back([&, i] {
            for (--waiting; waiting;) {}
            begins[i] = Clock::now();
            work[i] = loop(*memories[i], times);
            ends[i] = Clock::now();
        });
    for (auto& thread : running) thread.join();
    const auto begin = *std::min_element(begins.begin(), begins.end());
    const auto end = *std::max_element(ends.begin(), ends.end());
    return std::accumulate(work.begin(), work.end(), 0.0) / std::chrono::duration<double>(end - begin).count();
}

// In G a second.
double best_rate(const Peak& peak, const Memories& memories, size_t threads) {
    constexpr double seconds = 4e-3;
    constexpr int tries = 25;
    double best = 0;
    for (const Loop loop : peak.loops) {
        const double once = loop(*memories[0], 1) / rate(loop, memories, 1, 1);
        const auto times = static_cast<size_t>(std::max(1.0, seconds / once));
        for (int i = 0; i < tries; ++i) best = std::max(best, rate(loop, memories, threads, times));
    }
    return best * 1e-9;
}

void print(const Peak& peak, double one, double all, bool json, bool first) {
    if (json)
        std::printf("%s\n  {\"name\": \"%s\", \"one_core\": %.4g, \"all_threads\": %.4g, \"level_bytes\": %zu}",
                    first ? "" : ",", peak.name, one, all, peak.level_bytes);
    else
        std::printf("%-26s %10.1f %11.1f  %s\n", peak.name, one, all, peak.what);
    std::fflush(stdout);
}

void measure(size_t threads, bool json) {
    std::vector<Peak> peaks = multiply_adds();
    for (const Peak& read : reads(threads)) peaks.push_back(read);
    const std::vector<uint8_t> buffer(peaks.back().buffer_bytes + 64, 1);
    const auto* aligned = buffer.data() + (64 - reinterpret_cast<uintptr_t>(buffer.data()) % 64);
    Memories memories;
    for (size_t i = 0; i < threads; ++i) memories.push_back(std::make_unique<Memory>());

    if (json)
        std::printf("{\"threads\": %zu, \"peaks\": [", threads);
    else
        std::printf("%-26s %10s %3zu threads\n", "G multiply-adds/s or GB/s", "one core", threads);
    for (const Peak& peak : peaks) {
        if (!peak.supported()) continue;
        for (size_t i = 0; i < threads; ++i) {
            memories[i]->buffer_bytes = peak.buffer_bytes / threads / 512 * 512;
            memories[i]->buffer = aligned + i * memories[i]->buffer_bytes;
        }
        print(peak, best_rate(peak, memories, 1), best_rate(peak, memories, threads), json, &peak == &peaks.front());
    }
    if (json) std::printf("\n]}\n");
}

}  // namespace

int main(int count, char** arguments) {
    size_t threads = 2;
    bool json = false;
    for (int i = 1; i < count; ++i) {
        const std::string argument = arguments[i];
        if (argument == "--json")
            json = true;
        else
            threads = argument == "--threads" && i + 1 < count ? std::strtoul(arguments[++i], nullptr, 10) : 0;
    }
    if (threads < 1 || threads > 1024) {
        std::fprintf(stderr, "usage: peaks [--threads 1 to 1024] [--json]\n");
        return 2;
    }
    measure(threads, json);
}
