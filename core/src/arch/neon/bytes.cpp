// Weights and inputs of 8 bits, by dot products of four at a time: of signed inputs with signed weights.
#ifdef __aarch64__
#include <arm_neon.h>

#include "../each_tap.h"
#include "../vector/broadcast.h"
#include "../vector/dots.h"
#include "../vector/round.h"
#include "../zero_point.h"

namespace pbgen {
namespace {

struct ByteUnits {
    using Number = int8_t;
    using Vector = int8x16_t;
    using Sum = Ints;

    static inline int8x16_t splat_unit(const float* unit) { return (int8x16_t)(load<int32_t>(unit) - Ints{}); }
    static inline Ints add(Ints sums, int8x16_t weights, int8x16_t x) {
        return (Ints)vdotq_s32((int32x4_t)sums, weights, x);
    }
};

using Dots = Broadcast<ByteUnits>;
constexpr int zero_point = -128;

using Signed = Moved<Dots, zero_point>;

void prepare(const float* values, size_t inputs, const Quantization& quantization, void* source) {
    const int zero = quantization.negative ? 0 : zero_point;
    auto* bytes = static_cast<int8_t*>(source);
    const auto add = [&](Ints q, size_t at, size_t count) {
        for (size_t i = 0; i < count; ++i) bytes[at + i] = static_cast<int8_t>(q[i] + zero);
    };
    size_t i = 0;
    for (; i + lanes <= inputs; i += lanes) add(quantize(load<Floats>(values + i), quantization), i, lanes);
    if (i < inputs) add(quantize(load_first(values + i, inputs - i), quantization), i, lanes);
    Signed::is_moved(source, inputs) = zero;
}

}  // namespace

namespace {

// As many, but side by side.
struct SignedBytes {
    using Number = int8_t;
    using Vector = Ints;
    using Sum = int32_t;
    static constexpr size_t numbers = 16;

    static int8x16_t load(const int8_t* from) { return vld1q_s8(from); }
    static int8x16_t load_first(const int8_t* from, size_t count) {
        int8x16_t vector = vdupq_n_s8(0);
        __builtin_memcpy(&vector, from, count);
        return vector;
    }
    static Ints add(Ints sum, int8x16_t inputs, int8x16_t weights) {
        return (Ints)vdotq_s32((int32x4_t)sum, inputs, weights);
    }
    static int moved(const Quantization& quantization) { return quantization.negative ? 0 : zero_point; }
};

void arrange_rows(const float* values, size_t count, void* weights) {
    for (size_t i = 0; i < count; ++i) static_cast<int8_t*>(weights)[i] = static_cast<int8_t>(values[i]);
}

void prepare_rows(const float* values, size_t count, const Quantization& quantization, void* source) {
    const int zero = SignedBytes::moved(quantization);
    auto* bytes = static_cast<int8_t*>(source);
    const auto put = [&](Ints q, size_t at, size_t some) {
        for (size_t lane = 0; lane < some; ++lane) bytes[at + lane] = static_cast<int8_t>(q[lane] + zero);
    };
    size_t i = 0;
    for (; i + lanes <= count; i += lanes) put(quantize(load<Floats>(values + i), quantization), i, lanes);
    if (i < count) put(quantize(load_first(values + i, count - i), quantization), i, count - i);
}

}  // namespace

extern const DotProducts neon_byte_dots;

const DotProducts neon_byte_dots = {
    "dot products of rows", sizeof(int8_t), prepare_rows, arrange_rows, RowDots<SignedBytes>::run, true,
};

extern const Product neon_byte_broadcast;

const Product neon_byte_broadcast = {
    "float weights as int8, dot products",
    Dots::block,
    Dots::sum_bytes,
    Signed::weight_bytes,
    Signed::arrange,
    Signed::source_bytes,
    prepare,
    each_tap<Signed::accumulate>,
    Dots::collect,
    true,
};

}  // namespace pbgen
#endif
