// Products whose weights are numbers.
#ifdef __x86_64__
#include <cstring>

#include "../each_pixel.h"
#include "../each_tap.h"
#include "broadcast.h"

namespace pbgen::avx512 {
namespace {

struct FloatUnits {
    using Number = float;
    using Vector = __m512;

    static inline __m512 add(__m512 sums, __m512 weights, const char* unit) {
        return _mm512_fmadd_ps(weights, _mm512_set1_ps(*reinterpret_cast<const float*>(unit)), sums);
    }
};

using FloatBroadcast = Broadcast<FloatUnits>;

// Integers of 8 bits as such of 16, for processors that multiply no smaller ones without loss.
struct ShortUnits {
    using Number = int16_t;
    using Vector = __m512i;

    static inline __m512i add(__m512i sums, __m512i weights, const char* unit) {
        int32_t inputs;
        memcpy(&inputs, unit, sizeof inputs);
        return _mm512_add_epi32(sums, _mm512_madd_epi16(weights, _mm512_set1_epi32(inputs)));
    }
};

using ShortBroadcast = Broadcast<ShortUnits>;

size_t source_bytes(size_t inputs) { return divide_up(inputs * sizeof(int16_t), sizeof(__m512i)) * sizeof(__m512i); }

void prepare(const float* values, size_t inputs, const Quantization& quantization, void* source) {
    auto* to = static_cast<int16_t*>(source);
    for (size_t i = 0; i < inputs; i += lanes)
        _mm256_store_si256(reinterpret_cast<__m256i*>(to + i),
                           _mm512_cvtepi32_epi16(quantize(values + i, inputs - i, quantization)));
}

}  // namespace

const Product broadcast = {
    .name = "float32 weights, broadcast",
    .block = FloatBroadcast::block,
    .sum_bytes = sum_bytes<max_vectors>,
    .weight_bytes = FloatBroadcast::weight_bytes,
    .arrange = FloatBroadcast::arrange,
    .accumulate = each_tap<FloatBroadcast::accumulate>,
    .collect = FloatBroadcast::collect,
};

const Product short_broadcast = {
    .name = "float weights as int8, broadcast",
    .block = ShortBroadcast::block,
    .sum_bytes = sum_bytes<max_vectors>,
    .weight_bytes = ShortBroadcast::weight_bytes,
    .arrange = ShortBroadcast::arrange,
    .source_bytes = source_bytes,
    .prepare = each_pixel<prepare>,
    .accumulate = each_tap<ShortBroadcast::accumulate>,
    .collect = ShortBroadcast::collect,
    .rounded = Rounded::inputs,
};

}  // namespace pbgen::avx512
#endif
