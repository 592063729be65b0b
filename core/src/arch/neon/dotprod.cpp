// NEON with dot products of 8-bit integers (from ARMv8.2 on): one instruction does 16 multiply-adds.
//
// Lanes are output channels. A vector of weights is that of 4 output channels and 4 inputs, each 1 or 0; q being the
// inputs, the sum of +-q is twice the sum of those whose weight is 1, less the sum of all.
//
// Weights: 16 bytes for 4 output channels and 32 inputs, the inputs varying faster. Byte b belongs to channel b / 4 and
// to input b % 4 of eight groups of 4 inputs; bit k is that of group k. What is missing is 0.
// Sums: [tile_pixels][block] of int32.
#ifdef __aarch64__
#include <arm_neon.h>
#if defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <sys/auxv.h>
#endif

#include "../each_tap.h"
#include "../tables.h"
#include "../vector/round.h"

namespace pbgen {
namespace {

bool supported() {
#if defined(__APPLE__)
    int has = 0;
    size_t size = sizeof has;
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, nullptr, 0) == 0 && has;
#elif defined(__linux__)
    constexpr unsigned long asimddp = 1 << 20;  // HWCAP_ASIMDDP, which old headers lack
    return getauxval(AT_HWCAP) & asimddp;
#else
    return false;
#endif
}

constexpr size_t block = tile_bytes / tile_pixels / sizeof(int32_t);
constexpr size_t quad = 4;         // output channels of a vector, and inputs
constexpr size_t unit_groups = 8;  // groups of inputs of 16 bytes of weights
constexpr size_t unit = unit_groups * quad;

// What a pixel's inputs are made into: this, and the integers, zeros up to a whole unit.
struct alignas(16) Source {
    int32_t sum;
    bool negative;

    uint8_t* inputs() { return reinterpret_cast<uint8_t*>(this + 1); }
    const uint8_t* inputs() const { return reinterpret_cast<const uint8_t*>(this + 1); }
};

size_t sum_bytes(size_t, size_t pixels) { return pixels * block * sizeof(int32_t); }

size_t weight_bytes(size_t inputs, size_t outputs) { return divide_up(outputs, quad) * divide_up(inputs, unit) * 16; }

void arrange(const void* weights, size_t inputs, size_t outputs, void* arranged) {
    const auto* from = static_cast<const uint8_t*>(weights);
    auto* to = static_cast<uint8_t*>(arranged);
    const auto bit = [&](size_t output, size_t input) {
        if (output >= outputs || input >= inputs) return 0;
        return from[output * divide_up(inputs, 8) + input / 8] >> input % 8 & 1;
    };
    for (size_t first_output = 0; first_output < outputs; first_output += quad)
        for (size_t first_input = 0; first_input < inputs; first_input += unit)
            for (size_t b = 0; b < 16; ++b) {
                int byte = 0;
                for (size_t group = 0; group < unit_groups; ++group)
                    byte |= bit(first_output + b / quad, first_input + group * quad + b % quad) << group;
                *to++ = static_cast<uint8_t>(byte);
            }
}

size_t source_bytes(size_t inputs) {
    constexpr size_t line = 64;
    return divide_up(sizeof(Source) + divide_up(inputs, unit) * unit, line) * line;
}

void prepare(const float* values, size_t inputs, const Quantization& quantization, void* to) {
    auto* source = static_cast<Source*>(to);
    uint8_t* integers = source->inputs();
    int32_t sum = 0;
    const auto add = [&](Ints q, size_t at, size_t count) {
        for (size_t i = 0; i < count; ++i) {
            sum += q[i];
            integers[at + i] = static_cast<uint8_t>(q[i]);
        }
    };
    size_t i = 0;
    for (; i + lanes <= inputs; i += lanes) add(quantize(load<Floats>(values + i), quantization), i, lanes);
    if (i < inputs) add(quantize(load_first(values + i, inputs - i), quantization), i, inputs - i);
    for (i = inputs; i < divide_up(inputs, unit) * unit; ++i) integers[i] = 0;
    source->sum = sum;
    source->negative = quantization.negative;
}

template <bool negative, int lane>
inline int32x4_t dot(int32x4_t sum, uint8x16_t weights, uint8x16_t inputs) {
    if constexpr (negative)
        return vdotq_laneq_s32(sum, vreinterpretq_s8_u8(weights), vreinterpretq_s8_u8(inputs), lane);
    else
        return vreinterpretq_s32_u32(vdotq_laneq_u32(vreinterpretq_u32_s32(sum), weights, inputs, lane));
}

// Inputs whose weights are unpacked at a time, for up to four vectors of output channels.
constexpr size_t piece = 16 * unit;
constexpr size_t max_vectors = 4;

// [groups of 4 inputs][vectors]
using Unpacked = uint8x16_t[piece / quad * max_vectors];

template <size_t vectors>
inline void unpack(const uint8_t* weights, size_t stride, size_t units, uint8x16_t* to) {
    const uint8x16_t one = vdupq_n_u8(1);
    for (; units; --units, weights += 16, to += unit_groups * vectors)
        UNROLL for (size_t v = 0; v < vectors; ++v) {
            uint8x16_t bits = vld1q_u8(weights + v * stride);
            UNROLL for (size_t group = 0; group < unit_groups; ++group, bits = vshrq_n_u8(bits, 1))
                to[group * vectors + v] = vandq_u8(bits, one);
        }
}

// Adds to the sums of some pixels and vectors: twice the dot product of inputs and weights, less the inputs' own sum if
// `begin` is 0. `count`: a multiple of 16.
template <bool negative, size_t pixels, size_t vectors>
inline void add_dots(const uint8x16_t* weights, size_t begin, size_t count, const void* const* sources,
                     const uint8_t* at, int32_t* sums) {
    int32x4_t dots[pixels][vectors] = {};
    const uint8_t* inputs[pixels];
    UNROLL for (size_t p = 0; p < pixels; ++p) inputs[p] = static_cast<const Source*>(sources[p])->inputs() + begin;
    for (size_t i = 0; i < count; i += 4 * quad, weights += 4 * vectors) {
        uint8x16_t x[pixels];
        UNROLL for (size_t p = 0; p < pixels; ++p) x[p] = vld1q_u8(inputs[p] + i);
        UNROLL for (size_t v = 0; v < vectors; ++v)
            UNROLL for (size_t p = 0; p < pixels; ++p) {
                dots[p][v] = dot<negative, 0>(dots[p][v], weights[v], x[p]);
                dots[p][v] = dot<negative, 1>(dots[p][v], weights[vectors + v], x[p]);
                dots[p][v] = dot<negative, 2>(dots[p][v], weights[2 * vectors + v], x[p]);
                dots[p][v] = dot<negative, 3>(dots[p][v], weights[3 * vectors + v], x[p]);
            }
    }
    UNROLL for (size_t p = 0; p < pixels; ++p) {
        const int32x4_t sum = vdupq_n_s32(begin ? 0 : static_cast<const Source*>(sources[p])->sum);
        int32_t* to = sums + at[p] * block;
        UNROLL for (size_t v = 0; v < vectors; ++v) {
            const int32x4_t old = vld1q_s32(to + v * quad);
            vst1q_s32(to + v * quad, vaddq_s32(old, vsubq_s32(vshlq_n_s32(dots[p][v], 1), sum)));
        }
    }
}

// The same for any number of pixels, all with negative inputs or all without.
template <bool negative, size_t vectors>
void add_pixels(const uint8x16_t* weights, size_t begin, size_t count, const void* const* sources, const uint8_t* at,
                size_t pixels, int32_t* sums) {
    for (; pixels >= 4; pixels -= 4, sources += 4, at += 4)
        add_dots<negative, 4, vectors>(weights, begin, count, sources, at, sums);
    switch (pixels) {
        case 3: return add_dots<negative, 3, vectors>(weights, begin, count, sources, at, sums);
        case 2: return add_dots<negative, 2, vectors>(weights, begin, count, sources, at, sums);
        case 1: return add_dots<negative, 1, vectors>(weights, begin, count, sources, at, sums);
    }
}

bool negative(const void* source) { return static_cast<const Source*>(source)->negative; }

template <size_t vectors>
void add_vectors(const uint8_t* weights, size_t inputs, const void* const* sources, const uint8_t* pixels, size_t count,
                 int32_t* sums) {
    Unpacked unpacked;
    const size_t all = divide_up(inputs, unit) * unit;
    for (size_t begin = 0; begin < all; begin += piece) {
        const size_t size = begin + piece < all ? piece : all - begin;
        unpack<vectors>(weights + begin / unit * 16, all / unit * 16, size / unit, unpacked);
        // Each image has its own quantization.
        for (size_t p = 0, run; p < count; p += run) {
            for (run = 1; p + run < count && negative(sources[p]) == negative(sources[p + run]);) ++run;
            const auto add = negative(sources[p]) ? add_pixels<true, vectors> : add_pixels<false, vectors>;
            add(unpacked, begin, size, sources + p, pixels + p, run, sums);
        }
    }
}

void accumulate(const void* weights, size_t inputs, size_t outputs, const void* const* sources, const uint8_t* pixels,
                size_t count, void* sums) {
    const auto* from = static_cast<const uint8_t*>(weights);
    auto* to = static_cast<int32_t*>(sums);
    const size_t vector_bits = weight_bytes(inputs, quad);
    for (size_t vectors = divide_up(outputs, quad), some; vectors; vectors -= some) {
        some = vectors < max_vectors ? vectors : max_vectors;
        switch (some) {
            case 4: add_vectors<4>(from, inputs, sources, pixels, count, to); break;
            case 3: add_vectors<3>(from, inputs, sources, pixels, count, to); break;
            case 2: add_vectors<2>(from, inputs, sources, pixels, count, to); break;
            case 1: add_vectors<1>(from, inputs, sources, pixels, count, to); break;
        }
        from += some * vector_bits;
        to += some * quad;
    }
}

const float* collect(const void* sums, size_t outputs, size_t pixel, size_t count, float scale, float* rows) {
    const int32_t* from = static_cast<const int32_t*>(sums) + pixel * block;
    for (size_t p = 0; p < count; ++p)
        for (size_t o = p * block; o < p * block + outputs; ++o) rows[o] = static_cast<float>(from[o]) * scale;
    return rows;
}

const Product dot_product = {
    "dot products, int8",
    block,
    sum_bytes,
    weight_bytes,
    arrange,
    source_bytes,
    prepare,
    each_tap<accumulate>,
    collect,
    true,
};

}  // namespace

extern const Product neon_byte_broadcast;

namespace {

const Product* choose(const LayerSize& size) { return neon_kernels.choose(size); }

// Tables do more multiply-adds with an instruction, but have to be built; padding takes memory. Not measured: reckoned
// from the loads, additions and dot products that Cortex-A76 and Apple's processors do in a cycle.
const Product* choose_integer(const LayerSize& size) {
    if (!size.one_bit) return &neon_byte_broadcast;
    constexpr size_t most_outputs = 64;
    const bool small = weight_bytes(size.inputs, size.outputs) <= size.inputs * size.outputs;
    return small && size.outputs <= most_outputs ? &dot_product : neon_kernels.choose_integer(size);
}

const Product* channelwise(bool one_bit) { return neon_kernels.channelwise(one_bit); }

const DotProducts& dots(bool integers) { return neon_kernels.dots(integers); }

void finish(const float* in, size_t in_step, size_t count, size_t channels, const Epilogue& epilogue, float* out,
            size_t out_step, Extremes* extremes) {
    neon_kernels.finish(in, in_step, count, channels, epilogue, out, out_step, extremes);
}

void to_planes(const float* pixels, size_t count, size_t channels, float* planes, size_t step) {
    neon_kernels.to_planes(pixels, count, channels, planes, step);
}

Extremes extremes(const float* values, size_t count) { return neon_kernels.extremes(values, count); }

}  // namespace

const Kernels neon_dotprod_kernels = {"neon-dotprod", supported, choose, choose_integer, channelwise, dots, finish, to_planes, extremes};

}  // namespace pbgen
#endif
