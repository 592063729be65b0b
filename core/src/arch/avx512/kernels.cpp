// AVX-512: a vector of 16 lanes is one register, and so is a table.
#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

#include "../tables.h"

namespace pbgen {
namespace {

// The processor must have the instructions, and the operating system must save the registers.
bool detect() {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA)) return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const unsigned needed = bit_AVX2 | bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if ((b & needed) != needed) return false;
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 0xe6) == 0xe6;  // SSE, AVX, mask and both halves of the 512-bit registers
}

// Asking takes a virtual machine tens of microseconds.
bool supported() {
    static const bool answer = detect();
    return answer;
}

__mmask16 first_lanes(size_t count) {
    return count >= lanes ? __mmask16(0xffff) : static_cast<__mmask16>((1u << count) - 1);
}

void build_tables(const float* input, size_t channels, float* tables) {
    // Lane i holds entry i: input j's sign there is bit j - 1 of i.
    const auto signs = [](int bit) {
        const __m512i entry = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        return _mm512_mask_blend_ps(_mm512_test_epi32_mask(entry, _mm512_set1_epi32(1 << bit)), _mm512_set1_ps(-1),
                                    _mm512_set1_ps(1));
    };
    const __m512 s1 = signs(0), s2 = signs(1), s3 = signs(2), s4 = signs(3);
    const auto table = [&](const float* x) {
        __m512 sum = _mm512_set1_ps(x[0]);
        sum = _mm512_fmadd_ps(s1, _mm512_set1_ps(x[1]), sum);
        sum = _mm512_fmadd_ps(s2, _mm512_set1_ps(x[2]), sum);
        sum = _mm512_fmadd_ps(s3, _mm512_set1_ps(x[3]), sum);
        return _mm512_fmadd_ps(s4, _mm512_set1_ps(x[4]), sum);
    };
    size_t first = 0;
    for (; first + table_inputs <= channels; first += table_inputs, tables += table_entries)
        _mm512_store_ps(tables, table(input + first));
    if (first == channels) return;
    float rest[table_inputs] = {};
    for (size_t i = 0; first + i < channels; ++i) rest[i] = input[first + i];
    _mm512_store_ps(tables, table(rest));
}

// Unrolled early, so that arrays of registers stay in registers.
#define UNROLL _Pragma("GCC unroll 8")

template <int pixels, int vectors>
using Sums = __m512[pixels][vectors];

template <int pixels, int vectors>
inline void load(Sums<pixels, vectors>& sums, const float* const* from) {
    UNROLL for (int p = 0; p < pixels; ++p)
        UNROLL for (int v = 0; v < vectors; ++v) sums[p][v] = _mm512_load_ps(from[p] + v * lanes);
}

template <int pixels, int vectors>
inline void store(const Sums<pixels, vectors>& sums, float* const* to) {
    UNROLL for (int p = 0; p < pixels; ++p)
        UNROLL for (int v = 0; v < vectors; ++v) _mm512_store_ps(to[p] + v * lanes, sums[p][v]);
}

template <int pixels, int vectors>
struct Lookup {
    static void run(const uint32_t* weights, size_t depth, const float* const* sources, float* const* out) {
        Sums<pixels, vectors> sums;
        load<pixels, vectors>(sums, out);
        const float* source[pixels];
        UNROLL for (int p = 0; p < pixels; ++p) source[p] = sources[p];
        size_t at = 0;
        for (; depth >= word_tables; depth -= word_tables, weights += vectors * lanes) {
            __m512i words[vectors];
            UNROLL for (int v = 0; v < vectors; ++v) words[v] = _mm512_load_si512(weights + v * lanes);
            UNROLL for (size_t t = 0; t < word_tables; ++t, at += table_entries) add_table(words, source, at, sums);
        }
        if (depth) {
            __m512i words[vectors];
            UNROLL for (int v = 0; v < vectors; ++v) words[v] = _mm512_load_si512(weights + v * lanes);
            for (; depth; --depth, at += table_entries) add_table(words, source, at, sums);
        }
        store<pixels, vectors>(sums, out);
    }

    // One table for each pixel: the words' low bits are the index, their sign bit the sign; then the words move on. The
    // product with +-1 is exact; it costs nothing, because on AMD's processors a plain addition competes with the
    // permutation, and a multiply-add does not.
    static inline void add_table(__m512i (&words)[vectors], const float* const* source, size_t at,
                                 Sums<pixels, vectors>& sums) {
        const __m512i sign_bit = _mm512_set1_epi32(INT32_MIN), one = _mm512_castps_si512(_mm512_set1_ps(1));
        constexpr int a_and_b_or_c = 0xea;
        __m512 signs[vectors];
        UNROLL for (int v = 0; v < vectors; ++v) signs[v] =
            _mm512_castsi512_ps(_mm512_ternarylogic_epi32(words[v], sign_bit, one, a_and_b_or_c));
        UNROLL for (int p = 0; p < pixels; ++p) {
            const __m512 table = _mm512_load_ps(source[p] + at);
            UNROLL for (int v = 0; v < vectors; ++v) sums[p][v] =
                _mm512_fmadd_ps(signs[v], _mm512_permutexvar_ps(words[v], table), sums[p][v]);
        }
        UNROLL for (int v = 0; v < vectors; ++v) words[v] = _mm512_ror_epi32(words[v], table_inputs);
    }
};

template <int pixels, int vectors>
struct Broadcast {
    static void run(const float* weights, size_t depth, const float* const* sources, float* const* out) {
        Sums<pixels, vectors> sums;
        load<pixels, vectors>(sums, out);
        for (size_t input = 0; input < depth; ++input, weights += vectors * lanes)
            UNROLL for (int v = 0; v < vectors; ++v) {
                const __m512 weight = _mm512_load_ps(weights + v * lanes);
                UNROLL for (int p = 0; p < pixels; ++p) sums[p][v] =
                    _mm512_fmadd_ps(weight, _mm512_set1_ps(sources[p][input]), sums[p][v]);
            }
        store<pixels, vectors>(sums, out);
    }
};

template <int pixels, int vectors>
struct Dot {
    static void run(const float* weights, size_t depth, const float* const* sources, float* const* out) {
        Sums<pixels, vectors> sums;
        load<pixels, vectors>(sums, out);
        size_t input = 0;
        for (; input + lanes <= depth; input += lanes) add_inputs(weights + input, depth, sources, input, 0xffff, sums);
        if (input < depth) add_inputs(weights + input, depth, sources, input, first_lanes(depth - input), sums);
        store<pixels, vectors>(sums, out);
    }

    static inline void add_inputs(const float* weights, size_t depth, const float* const* sources, size_t input,
                                  __mmask16 mask, Sums<pixels, vectors>& sums) {
        __m512 weight[vectors];
        UNROLL for (int v = 0; v < vectors; ++v) weight[v] = _mm512_maskz_loadu_ps(mask, weights + v * depth);
        UNROLL for (int p = 0; p < pixels; ++p) {
            const __m512 source = _mm512_maskz_loadu_ps(mask, sources[p] + input);
            UNROLL for (int v = 0; v < vectors; ++v) sums[p][v] = _mm512_fmadd_ps(weight[v], source, sums[p][v]);
        }
    }
};

// 16 to 24 sums are enough to hide an addition's latency, and leave registers for the rest.
template <template <int, int> class Kernel, int vectors, class Weight>
void run_pixels(const Weight* weights, size_t depth, const float* const* sources, float* const* sums, size_t count) {
    constexpr size_t most = vectors == 4 ? 4 : 8;
    for (; count >= most; count -= most, sources += most, sums += most)
        Kernel<most, vectors>::run(weights, depth, sources, sums);
    if (count >= 4) {
        Kernel<4, vectors>::run(weights, depth, sources, sums);
        count -= 4, sources += 4, sums += 4;
    }
    switch (count) {
        case 3: return Kernel<3, vectors>::run(weights, depth, sources, sums);
        case 2: return Kernel<2, vectors>::run(weights, depth, sources, sums);
        case 1: return Kernel<1, vectors>::run(weights, depth, sources, sums);
    }
}

template <template <int, int> class Kernel, class Weight>
void run_vectors(const Weight* weights, size_t depth, size_t vectors, const float* const* sources, float* const* sums,
                 size_t count) {
    switch (vectors) {
        case 4: return run_pixels<Kernel, 4>(weights, depth, sources, sums, count);
        case 3: return run_pixels<Kernel, 3>(weights, depth, sources, sums, count);
        case 2: return run_pixels<Kernel, 2>(weights, depth, sources, sums, count);
        case 1: return run_pixels<Kernel, 1>(weights, depth, sources, sums, count);
    }
}

// exp(x) for x <= 0, to 2 units in the last place: 2^n times a polynomial of the rest (Cephes). Below -87, 0 or nearly.
__m512 exp_negative(__m512 x) {
    // max() with x as the second operand hands on a NaN.
    x = _mm512_max_ps(_mm512_set1_ps(-87), x);
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f)), 0);
    __m512 rest = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    rest = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), rest);
    __m512 sum = _mm512_set1_ps(1.9875691500e-4f);
    constexpr float coefficients[] = {
        1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 0.5f, 1, 1,
    };
    for (float coefficient : coefficients)
        sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(coefficient));
    return _mm512_scalef_ps(sum, n);
}

// x + x^3 times a polynomial of x^2, to 2 units in the last place for |x| < 0.625 (Cephes).
__m512 tanh_near_zero(__m512 x) {
    const __m512 square = _mm512_mul_ps(x, x);
    __m512 sum = _mm512_set1_ps(-5.70498872745e-3f);
    constexpr float coefficients[] = {2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f, -3.33332819422e-1f};
    for (float coefficient : coefficients) sum = _mm512_fmadd_ps(sum, square, _mm512_set1_ps(coefficient));
    return _mm512_fmadd_ps(_mm512_mul_ps(sum, square), x, x);
}

// With e = exp(-2 |x|): tanh(|x|) = (1 - e) / (1 + e). Near 0 the difference would have few digits left.
__m512 tanh(__m512 x) {
    const __m512 sign_bit = _mm512_set1_ps(-0.0f), magnitude = _mm512_abs_ps(x);
    const __m512 e = exp_negative(_mm512_mul_ps(magnitude, _mm512_set1_ps(-2)));
    const __m512 one = _mm512_set1_ps(1);
    const __m512 far = _mm512_or_ps(_mm512_div_ps(_mm512_sub_ps(one, e), _mm512_add_ps(one, e)),
                                    _mm512_and_ps(x, sign_bit));
    const __mmask16 near = _mm512_cmp_ps_mask(magnitude, _mm512_set1_ps(0.625f), _CMP_LT_OQ);
    return _mm512_mask_blend_ps(near, far, tanh_near_zero(x));
}

// With e = exp(-|x|): 1 / (1 + e) for x >= 0, e / (1 + e) below.
__m512 sigmoid(__m512 x) {
    const __m512 zero = _mm512_setzero_ps(), one = _mm512_set1_ps(1);
    const __m512 e = exp_negative(_mm512_sub_ps(zero, _mm512_abs_ps(x)));
    const __mmask16 negative = _mm512_cmp_ps_mask(x, zero, _CMP_LT_OQ);
    return _mm512_div_ps(_mm512_mask_blend_ps(negative, one, e), _mm512_add_ps(one, e));
}

__m512 activate(__m512 x, const Epilogue& epilogue) {
    const __m512 zero = _mm512_setzero_ps();
    switch (epilogue.activation) {
        case Activation::none: return x;
        case Activation::relu: return _mm512_max_ps(zero, x);
        case Activation::leaky_relu:
            return _mm512_mask_mul_ps(x, _mm512_cmp_ps_mask(x, zero, _CMP_LT_OQ), x, _mm512_set1_ps(epilogue.slope));
        case Activation::tanh: return tanh(x);
        case Activation::sigmoid: return sigmoid(x);
    }
    return x;
}

void finish(const float* in, size_t channels, const Epilogue& epilogue, float* out) {
    for (size_t c = 0; c < channels; c += lanes) {
        const __mmask16 mask = first_lanes(channels - c);
        __m512 x = _mm512_maskz_loadu_ps(mask, in + c);
        if (epilogue.scale) x = _mm512_mul_ps(x, _mm512_maskz_loadu_ps(mask, epilogue.scale + c));
        if (epilogue.shift) x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(mask, epilogue.shift + c));
        _mm512_mask_storeu_ps(out + c, mask, activate(x, epilogue));
    }
}

// Lane i is the sum of all lanes of rows[i]: a transposition and an addition in one, halving the registers four times.
__m512 total_of_each(const float* const (&rows)[lanes]) {
    __m512 x[lanes];
    // The order in which the steps below bring the rows back into order.
    for (size_t i = 0; i < lanes; ++i) x[i] = _mm512_load_ps(rows[i % 4 * 4 + i / 4]);
    for (int i = 0; i < 8; ++i)
        x[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0x88),
                             _mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0xdd));
    for (int i = 0; i < 4; ++i)
        x[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0x88),
                             _mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0xdd));
    for (int i = 0; i < 2; ++i)
        x[i] = _mm512_add_ps(_mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]), _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]));
    return _mm512_add_ps(_mm512_shuffle_ps(x[0], x[1], 0x44), _mm512_shuffle_ps(x[0], x[1], 0xee));
}

// Lanes are pixels here, because there are few channels.
void finish_dots(const float* sums, size_t count, size_t vectors, const Epilogue& epilogue, float* const* out) {
    for (size_t first = 0; first < count; first += lanes) {
        const size_t pixels = count - first < lanes ? count - first : lanes;
        for (size_t v = 0; v < vectors; ++v) {
            const float* rows[lanes];
            for (size_t p = 0; p < lanes; ++p) {
                const size_t pixel = first + (p < pixels ? p : 0);
                rows[p] = sums + (pixel * max_vectors + v) * lanes;
            }
            __m512 x = total_of_each(rows);
            if (epilogue.scale) x = _mm512_mul_ps(x, _mm512_set1_ps(epilogue.scale[v]));
            if (epilogue.shift) x = _mm512_add_ps(x, _mm512_set1_ps(epilogue.shift[v]));
            alignas(64) float values[lanes];
            _mm512_store_ps(values, activate(x, epilogue));
            for (size_t p = 0; p < pixels; ++p) out[first + p][v] = values[p];
        }
    }
}

}  // namespace

const Kernels avx512_kernels = {
    "avx512", supported,  build_tables, run_vectors<Lookup>, run_vectors<Broadcast>, run_vectors<Dot>,
    finish,   finish_dots,
};

}  // namespace pbgen
#endif
