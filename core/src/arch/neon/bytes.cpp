// NEON's dot products of 8-bit integers (from ARMv8.2 on), of signed inputs with signed weights: one instruction does 16
// multiply-adds.
#ifdef __aarch64__
#include "bytes.h"

#include <arm_neon.h>

#include "../vector/bytes.h"

namespace pbgen::neon {
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

}  // namespace

const Product byte_broadcast = Bytes<ByteUnits, -128>::product;

}  // namespace pbgen::neon
#endif
