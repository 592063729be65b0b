#include "weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace pbgen {
namespace {

void copy_every(const float* from, size_t step, size_t count, uint8_t* row) {
    for (size_t i = 0; i < count; ++i) std::memcpy(row + i * sizeof(float), from + i * step, sizeof(float));
}

// Every `step`th bit from `at` on.
void copy_bits(const uint8_t* bits, uint64_t at, size_t step, size_t count, uint8_t* row) {
    for (size_t i = 0; i < count; i += 8) {
        unsigned byte = 0;
        for (size_t j = 0; j < 8 && i + j < count; ++j, at += step) byte |= (bits[at / 8] >> at % 8 & 1u) << j;
        *row++ = static_cast<uint8_t>(byte);
    }
}

}  // namespace

CanonicalWeights::CanonicalWeights(const Tensor& tensor, size_t all_groups, size_t group_outputs, size_t group_inputs,
                                   size_t kernel_taps)
    : groups(all_groups),
      outputs(group_outputs),
      inputs(group_inputs),
      taps(kernel_taps),
      one_bit_(tensor.dtype == DType::u8),
      bits_(tensor.data) {
    if (one_bit_) return;
    auto floats = std::make_shared<Aligned<float>>(static_cast<size_t>(tensor.count));
    copy_floats(tensor, floats->data());
    floats_ = std::move(floats);
}

CanonicalWeights::CanonicalWeights(const float* numbers, size_t all_groups, size_t group_outputs, size_t group_inputs,
                                   size_t kernel_taps)
    : groups(all_groups), outputs(group_outputs), inputs(group_inputs), taps(kernel_taps), one_bit_(false) {
    auto floats = std::make_shared<Aligned<float>>(count());
    std::memcpy(floats->data(), numbers, floats->bytes());
    floats_ = std::move(floats);
}

CanonicalWeights CanonicalWeights::kept() const {
    CanonicalWeights result = *this;
    if (!one_bit_) return result;
    auto bits = std::make_shared<Aligned<uint8_t>>((count() + 7) / 8);
    std::memcpy(bits->data(), bits_, bits->bytes());
    result.bits_ = bits->data();
    result.kept_bits_ = std::move(bits);
    return result;
}

CanonicalWeights CanonicalWeights::forgotten() const {
    CanonicalWeights result = *this;
    result.bits_ = nullptr;
    result.floats_ = nullptr;
    return result;
}

size_t CanonicalWeights::kept_bytes() const {
    return (kept_bits_ ? kept_bits_->bytes() : 0) + (floats_ ? floats_->bytes() : 0);
}

CanonicalWeights::CanonicalWeights(const uint32_t* rows, size_t row_words, size_t all_groups, size_t group_outputs,
                                   size_t group_inputs, size_t kernel_taps)
    : groups(all_groups), outputs(group_outputs), inputs(group_inputs), taps(kernel_taps), rows_(rows),
      row_words_(row_words) {}

float round_weights(float* weights, size_t taps, size_t count, size_t stride, float levels) {
    float largest = 0;
    const auto each = [&](const auto& change) {
        for (size_t tap = 0; tap < taps; ++tap)
            for (size_t i = 0; i < count; ++i) change(weights[tap * stride + i]);
    };
    each([&](float weight) { largest = std::max(largest, std::abs(weight)); });
    const float inverse = largest > 0 ? levels / largest : 0;
    each([&](float& weight) { weight = std::nearbyint(std::min(std::max(-levels, weight * inverse), levels)); });
    return largest / levels;
}

CanonicalWeights CanonicalWeights::taps_as_outputs() const {
    CanonicalWeights result = *this;
    result.output_taps_ = taps;
    result.outputs = taps * outputs;
    result.taps = 1;
    return result;
}

CanonicalWeights CanonicalWeights::channels_as_outputs() const {
    CanonicalWeights result = *this;
    result.groups = 1;
    result.outputs = groups;
    result.channelwise_ = true;
    return result;
}

void CanonicalWeights::copy(size_t group, size_t output, uint8_t* rows, size_t stride) const {
    const size_t true_outputs = outputs / output_taps_, step = taps * output_taps_;
    const size_t channel = group * true_outputs + output % true_outputs;
    const size_t output_tap = output / true_outputs;
    const uint64_t first = uint64_t{channel} * inputs * step + output_tap;
    for (size_t tap = 0; tap < taps; ++tap, rows += stride)
        if (rows_)
            std::memcpy(rows, rows_ + (channel * step + output_tap + tap) * row_words_, row_bytes());
        else if (floats_)
            copy_every(floats_->data() + static_cast<size_t>(first) + tap, step, inputs, rows);
        else
            copy_bits(bits_, first + tap, step, inputs, rows);
}

void CanonicalWeights::copy_numbers(size_t group, size_t output, float* numbers) const {
    if (!one_bit()) return copy(group, output, reinterpret_cast<uint8_t*>(numbers), row_bytes());
    std::vector<uint8_t> rows(taps * row_bytes());
    copy(group, output, rows.data(), row_bytes());
    for (size_t tap = 0; tap < taps; ++tap)
        for (size_t i = 0; i < inputs; ++i)
            *numbers++ = rows[tap * row_bytes() + i / 8] >> i % 8 & 1 ? 1.0f : -1.0f;
}

Weights::Weights(const CanonicalWeights& canonical, const Product& chosen, Threads& threads)
    : product(chosen),
      groups(canonical.groups),
      outputs(canonical.outputs),
      inputs(canonical.inputs),
      taps(canonical.taps),
      one_bit(canonical.one_bit()),
      channelwise(canonical.channelwise()),
      blocks_((outputs + product.block - 1) / product.block),
      full_block_(product.weight_bytes(inputs, product.block)),
      last_block_(product.weight_bytes(inputs, block_outputs(blocks() - 1))),
      data_(groups * group_bytes()),
      scales_(product.rounded == Rounded::inputs && !canonical.one_bit() ? groups * outputs : 0) {
    threads.parallel_for(groups * blocks(), [&](size_t i) {
        const size_t group = i / blocks(), block = i % blocks(), count = block_outputs(block);
        const size_t row = canonical.row_bytes();
        std::vector<uint8_t> rows(taps * count * row);
        for (size_t o = 0; o < count; ++o) {
            const size_t output = block * product.block + o;
            uint8_t* first = rows.data() + o * row;
            canonical.copy(group, output, first, count * row);
            if (scales_.size())
                scales_.data()[group * outputs + output] =
                    round_weights(reinterpret_cast<float*>(first), taps, inputs, count * inputs, 127);
        }
        for (size_t t = 0; t < taps; ++t)
            product.arrange(rows.data() + t * count * row, inputs, count, data_.data() + offset(group, block, t));
    });
}

size_t Weights::offset(size_t group, size_t block, size_t tap) const {
    const size_t tap_bytes = block + 1 < blocks() ? full_block_ : last_block_;
    return group * static_cast<size_t>(group_bytes()) + block * taps * full_block_ + tap * tap_bytes;
}

}  // namespace pbgen
