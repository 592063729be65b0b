// Weights and inputs of 8 bits, by dot products of four at a time: of signed inputs with signed weights.
#ifdef __aarch64__
#include <arm_neon.h>

#include "../each_pixel.h"
#include "../each_tap.h"
#include "../vector/broadcast.h"
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
    const int zero = quantization.low < 0 ? 0 : zero_point;
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

extern const Product neon_byte_broadcast;

const Product neon_byte_broadcast = {
    "float weights as int8, dot products",
    Dots::block,
    Dots::sum_bytes,
    Signed::weight_bytes,
    Signed::arrange,
    Signed::source_bytes,
    each_pixel<prepare>,
    each_tap<Signed::accumulate>,
    Dots::collect,
    Rounded::inputs,
};

}  // namespace pbgen
#endif
