// VNNI's dot products of 8-bit integers on 256 bits, of unsigned inputs with signed weights: one instruction does 32
// multiply-adds.
#ifdef __x86_64__
#include "vnni.h"

#include <immintrin.h>

#include "../vector/bytes.h"

namespace pbgen::avx2 {
namespace {

struct ByteUnits {
    using Number = int8_t;
    using Vector = __m256i;
    using Sum = Ints;

    static inline __m256i splat_unit(const float* unit) { return _mm256_set1_epi32(load<int32_t>(unit)); }
    static inline Ints add(Ints sums, __m256i weights, __m256i x) {
        return (Ints)_mm256_dpbusd_avx_epi32((__m256i)sums, x, weights);
    }
};

}  // namespace

const Product byte_broadcast = Bytes<ByteUnits, 128>::product;

}  // namespace pbgen::avx2
#endif
