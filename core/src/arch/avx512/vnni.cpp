// Weights and inputs of 8 bits, by dot products of four at a time: of unsigned inputs with signed weights; and of 16 bits, of two.
#ifdef __x86_64__
#include <cstring>

#include "../each_pixel.h"
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
    const int zero = quantization.low < 0 ? zero_point : 0;
    for (size_t i = 0; i < inputs; i += lanes) {
        const __m512i q = _mm512_add_epi32(quantize(values + i, inputs - i, quantization), _mm512_set1_epi32(zero));
        _mm_store_si128(reinterpret_cast<__m128i*>(static_cast<char*>(source) + i), _mm512_cvtepi32_epi8(q));
    }
    Unsigned::is_moved(source, inputs) = zero;
}

// Two products and their sum in one instruction.
struct SummedShorts : Shorts {
    static Vector add(Vector sum, Vector inputs, Vector weights) { return _mm512_dpwssd_epi32(sum, inputs, weights); }
};

}  // namespace

const DotProducts summed_short_dots = {sizeof(int16_t), prepare_shorts, arrange_shorts, RowDots<SummedShorts>::run, true};

const Product byte_broadcast = {
    .name = "float weights as int8, dot products",
    .block = Dots::block,
    .sum_bytes = sum_bytes<max_vectors>,
    .weight_bytes = Unsigned::weight_bytes,
    .arrange = Unsigned::arrange,
    .source_bytes = Unsigned::source_bytes,
    .prepare = each_pixel<prepare>,
    .accumulate = each_tap<Unsigned::accumulate>,
    .collect = Dots::collect,
    .rounded = Rounded::inputs,
};

}  // namespace pbgen::avx512
#endif
