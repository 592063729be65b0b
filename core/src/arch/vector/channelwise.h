// Each channel by itself: lanes are channels, and nothing is shared.
//
// Weights: [channels] float32. Sums: [tile_pixels][channelwise_block].
#pragma once

#include "../each_tap.h"
#include "vec.h"

namespace pbgen {
namespace {

constexpr size_t channelwise_block = 64;

size_t channelwise_sum_bytes(size_t, size_t pixels) { return pixels * channelwise_block * sizeof(float); }

size_t channelwise_weight_bytes(size_t, size_t outputs) { return outputs * sizeof(float); }

void channelwise_arrange(const void* weights, size_t, size_t outputs, void* arranged) {
    __builtin_memcpy(arranged, weights, outputs * sizeof(float));
}

void channelwise_accumulate(const void* weights, size_t, size_t outputs, const void* const* sources,
                            const uint8_t* pixels, size_t count, void* sums) {
    const auto* weight = static_cast<const float*>(weights);
    for (size_t p = 0; p < count; ++p) {
        const auto* x = static_cast<const float*>(sources[p]);
        float* sum = static_cast<float*>(sums) + pixels[p] * channelwise_block;
        size_t o = 0;
        for (; o + lanes <= outputs; o += lanes)
            store(sum + o, load<Floats>(sum + o) + load<Floats>(weight + o) * load<Floats>(x + o));
        for (; o < outputs; ++o) sum[o] += weight[o] * x[o];
    }
}

const float* channelwise_collect(const void* sums, size_t, size_t, size_t pixel, size_t, float, float*) {
    return static_cast<const float*>(sums) + pixel * channelwise_block;
}

const Product channelwise_product = {
    .name = "channel by channel",
    .block = channelwise_block,
    .sum_bytes = channelwise_sum_bytes,
    .weight_bytes = channelwise_weight_bytes,
    .arrange = channelwise_arrange,
    .accumulate = each_tap<channelwise_accumulate>,
    .collect = channelwise_collect,
};

}  // namespace
}  // namespace pbgen
