// Weights and inputs of 8 bits, by dot products of four at a time: of unsigned inputs with signed weights.
#ifdef __x86_64__
#include <cstring>

#include "../each_tap.h"
#include "../zero_point.h"
#include "broadcast.h"
#include "dots.h"

namespace pbgen::avx512 {
namespace {

struct ByteUnits {
    using Number = int8_t;
    using Vector = __m512i;

    static inline __m512i add(__m512i sums, __m512i weights, const char* unit) {
        int32_t inputs;
        memcpy(&inputs, unit, sizeof inputs);
        return _mm512_dpbusd_epi32(sums, _mm512_set1_epi32(inputs), weights);
    }
};

using Dots = Broadcast<ByteUnits>;
constexpr int zero_point = 128;

using Unsigned = Moved<Dots, zero_point>;

void prepare(const float* values, size_t inputs, const Quantization& quantization, void* source) {
    const int zero = quantization.negative ? zero_point : 0;
    for (size_t i = 0; i < inputs; i += lanes) {
        const __m512i q = _mm512_add_epi32(quantize(values + i, inputs - i, quantization), _mm512_set1_epi32(zero));
        _mm_store_si128(reinterpret_cast<__m128i*>(static_cast<char*>(source) + i), _mm512_cvtepi32_epi8(q));
    }
    Unsigned::is_moved(source, inputs) = zero;
}

struct Bytes : IntegerSums {
    using Number = uint8_t;
    static constexpr size_t numbers = 4 * lanes;
    static constexpr int zero_point = avx512::zero_point;

    static Vector load(const uint8_t* from) { return _mm512_loadu_si512(from); }
    static Vector load(const uint8_t* from, size_t count) {
        return _mm512_maskz_loadu_epi8(count >= numbers ? ~__mmask64{0} : (__mmask64{1} << count) - 1, from);
    }
    static Vector add(Vector sum, Vector inputs, Vector weights) { return _mm512_dpbusd_epi32(sum, inputs, weights); }
    static Vector zero_points() { return _mm512_set1_epi8(static_cast<char>(zero_point)); }
};

void arrange_bytes(const float* values, size_t count, void* weights) {
    for (size_t i = 0; i < count; ++i) static_cast<int8_t*>(weights)[i] = static_cast<int8_t>(values[i]);
}

void prepare_bytes(const float* values, size_t count, const Quantization& quantization, void* source) {
    const __m512i zero = _mm512_set1_epi32(quantization.negative ? zero_point : 0);
    for (size_t i = 0; i < count; i += lanes) {
        const __m512i q = _mm512_add_epi32(quantize(values + i, count - i, quantization), zero);
        _mm512_mask_cvtepi32_storeu_epi8(static_cast<uint8_t*>(source) + i, first_lanes(count - i), q);
    }
}

}  // namespace

const DotProducts byte_dots = {"dot products of rows", sizeof(uint8_t), prepare_bytes, arrange_bytes, RowDots<Bytes>::run, true};

const Product byte_broadcast = {
    "float weights as int8, dot products",
    Dots::block,
    sum_bytes<max_vectors>,
    Unsigned::weight_bytes,
    Unsigned::arrange,
    Unsigned::source_bytes,
    prepare,
    each_tap<Unsigned::accumulate>,
    Dots::collect,
    true,
};

}  // namespace pbgen::avx512
#endif
