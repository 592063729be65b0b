#include "weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "transpose.h"

namespace pbgen {
namespace {

// Taps that are read at a time: as many as a word has wherever they begin.
constexpr size_t field_bits = 32, field_taps = field_bits - 7;

// Those from bit `at` on, and some more.
uint32_t bits_from(const uint8_t* bits, uint64_t at) {
    uint32_t word;
    std::memcpy(&word, bits + at / 8, sizeof word);
    if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) word = __builtin_bswap32(word);
    return word >> at % 8;
}

// An output channel's signs: those of an input's taps side by side from bit `first` on, an input every `step` bits.
struct Signs {
    const uint8_t* bits;
    uint64_t bytes, first, step;
};

// Rows of signs, one for each tap, as `lie` says. By itself, and called often, because engines of WebAssembly translate a
// function well between two calls of it only.
__attribute__((noinline)) void copy_rows(const Signs& signs, size_t inputs, size_t taps, uint8_t* const* rows,
                                         const SignRows& lie) {
    const size_t at_once = 2 * lie.inputs;
    std::vector<uint8_t> last;  // bytes of the last inputs, with zeros behind
    for (size_t begin = 0; begin < taps; begin += field_taps) {
        const size_t some = std::min(taps - begin, field_taps);
        const uint8_t* bits = signs.bits;
        uint64_t at = signs.first + begin;
        size_t offset = 0;
        for (size_t i = 0; i < inputs; i += at_once) {
            if ((at + at_once * signs.step) / 8 + sizeof(uint32_t) > signs.bytes && bits == signs.bits) {
                const auto rest = static_cast<size_t>(signs.bytes - at / 8);
                last.assign(rest + sizeof(uint32_t), 0);
                std::memcpy(last.data(), bits + at / 8, rest);
                bits = last.data(), at %= 8;
            }
            uint32_t fields[16] = {};  // of as many inputs as make a byte, and of the next ones
            const size_t count = std::min(at_once, inputs - i);
            for (size_t k = 0; k < count; ++k, at += signs.step)
                fields[k < lie.inputs ? k : 8 + k - lie.inputs] = bits_from(bits, at);
            const bool two = count > lie.inputs;
            transpose(fields, some, [&](size_t t, uint8_t first, uint8_t second) {
                uint8_t* row = rows[begin + t] + offset;
                row[0] = first;
                if (two) row[lie.byte_step] = second;
            });
            offset += 2 * lie.byte_step;
        }
    }
}

// How far apart taps have so many bytes each: were it a power of 2, all taps would share a few places of the first cache.
size_t apart(size_t bytes) {
    return bytes < cache_line ? bytes : ((bytes + cache_line - 1) / cache_line | 1) * cache_line;
}

size_t planes_of(const Tensor& tensor) {
    if (tensor.dtype != DType::u8) return 0;
    return tensor.shape.size() == 1 ? 1 : static_cast<size_t>(tensor.shape[0]);
}

// Output channels of a block: their planes fill the product's, as far as whole vectors do.
size_t block_of(const Product& product, size_t planes) {
    constexpr size_t lanes = 16;
    return planes == 1 ? product.block : product.block / planes / lanes * lanes;
}

}  // namespace

CanonicalWeights::CanonicalWeights(const Tensor& tensor, size_t all_groups, size_t group_outputs, size_t group_inputs,
                                   size_t kernel_taps)
    : groups(all_groups),
      outputs(group_outputs),
      inputs(group_inputs),
      taps(kernel_taps),
      planes_(planes_of(tensor)),
      bits_(tensor.data) {
    if (planes_) return;
    auto floats = std::make_shared<Aligned<float>>(static_cast<size_t>(tensor.count));
    copy_floats(tensor, floats->data());
    floats_ = std::move(floats);
}

CanonicalWeights::CanonicalWeights(const float* numbers, size_t all_groups, size_t group_outputs, size_t group_inputs,
                                   size_t kernel_taps)
    : groups(all_groups), outputs(group_outputs), inputs(group_inputs), taps(kernel_taps), planes_(0) {
    auto floats = std::make_shared<Aligned<float>>(count());
    std::memcpy(floats->data(), numbers, floats->bytes());
    floats_ = std::move(floats);
}

CanonicalWeights CanonicalWeights::kept() const {
    CanonicalWeights result = *this;
    if (!planes_) return result;
    auto bits = std::make_shared<Aligned<uint8_t>>(planes_ * plane_bytes());
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

CanonicalWeights::CanonicalWeights(const uint32_t* rows, size_t row_words, size_t planes, size_t all_groups,
                                   size_t group_outputs, size_t group_inputs, size_t kernel_taps)
    : groups(all_groups), outputs(group_outputs), inputs(group_inputs), taps(kernel_taps), planes_(planes), rows_(rows),
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

CanonicalWeights CanonicalWeights::ordered(const std::vector<size_t>& order) const {
    CanonicalWeights result = *this;
    result.places_.resize(taps);
    for (size_t t = 0; t < taps; ++t) result.places_[order[t]] = t;
    return result;
}

CanonicalWeights::Place CanonicalWeights::place(size_t group, size_t output) const {
    const size_t true_outputs = outputs / output_taps_;
    return {group * true_outputs + output % true_outputs, output / true_outputs, taps * output_taps_};
}

void CanonicalWeights::copy_signs(size_t group, size_t output, size_t plane, uint8_t* to, const SignRows& rows) const {
    const Place at = place(group, output);
    std::vector<uint8_t*> row(taps);
    for (size_t t = 0; t < taps; ++t) row[t] = to + (places_.empty() ? t : places_[t]) * rows.tap_step;
    if (!rows_) {
        const uint64_t first = uint64_t{at.channel} * inputs * at.step + at.tap;
        return copy_rows({bits_ + plane * plane_bytes(), plane_bytes(), first, at.step}, inputs, taps, row.data(), rows);
    }
    const uint32_t* from = rows_ + (plane * groups * outputs * taps + at.channel * at.step + at.tap) * row_words_;
    for (size_t t = 0; t < taps; ++t, from += row_words_) {
        const auto* bytes = reinterpret_cast<const uint8_t*>(from);
        if (rows.byte_step == 1 && rows.inputs == 8)
            std::memcpy(row[t], bytes, row_bytes());  // they lie as they should: a training step has no time to lose
        else
            copy_rows({bytes, row_words_ * sizeof *from, 0, 1}, inputs, 1, row.data() + t, rows);
    }
}

void CanonicalWeights::copy_numbers(size_t group, size_t output, float* numbers, size_t stride) const {
    if (!planes_) {
        const Place at = place(group, output);
        for (size_t tap = 0; tap < taps; ++tap)
            for (size_t i = 0; i < inputs; ++i)
                numbers[tap * stride + i] = floats_->data()[(at.channel * inputs + i) * at.step + at.tap + tap];
        return;
    }
    std::vector<uint8_t> rows(taps * row_bytes());
    for (size_t plane = 0; plane < planes_; ++plane) {
        copy_signs(group, output, plane, rows.data(), {row_bytes(), 1});
        const auto factor = static_cast<float>(1 << plane);
        for (size_t tap = 0; tap < taps; ++tap)
            for (size_t i = 0; i < inputs; ++i) {
                const float number = rows[tap * row_bytes() + i / 8] >> i % 8 & 1 ? factor : -factor;
                numbers[tap * stride + i] = plane ? numbers[tap * stride + i] + number : number;
            }
    }
}

Weights::Weights(const CanonicalWeights& canonical, const Product& chosen, Threads& threads)
    : product(chosen),
      groups(canonical.groups),
      outputs(canonical.outputs),
      inputs(canonical.inputs),
      taps(canonical.taps),
      planes(product.takes_signs ? canonical.planes() : 1),
      channelwise(canonical.channelwise()),
      block_(block_of(product, planes)),
      blocks_((outputs + block_ - 1) / block_),
      full_block_(product.weight_bytes(inputs, planes * block_)),
      last_block_(product.weight_bytes(inputs, block_channels(blocks() - 1))),
      data_(groups * group_bytes()),
      scales_(product.rounded == Rounded::inputs ? groups * outputs : 0) {
    threads.parallel_for(groups * blocks(), [&](size_t i) { arrange(canonical, i / blocks(), i % blocks()); });
}

void Weights::arrange(const CanonicalWeights& canonical, size_t group, size_t block) {
    const size_t count = block_outputs(block), channels = block_channels(block);
    if (product.shared) {
        uint8_t* to = data_.data() + offset(group, block, 0);
        for (size_t c = 0; c < channels; ++c)
            canonical.copy_signs(group, block * block_ + c % count, c / count, to + c * taps,
                                 {1, channels * taps, product.shared->inputs});
        return;
    }
    const size_t row = product.takes_signs ? canonical.row_bytes() : inputs * sizeof(float);
    const size_t stride = apart(channels * row);
    Aligned<uint8_t> rows(taps * stride);
    for (size_t o = 0; o < count; ++o) {
        const size_t output = block * block_ + o;
        for (size_t plane = 0; product.takes_signs && plane < planes; ++plane)
            canonical.copy_signs(group, output, plane, rows.data() + (plane * count + o) * row, {stride, 1});
        if (product.takes_signs) continue;
        auto* numbers = reinterpret_cast<float*>(rows.data() + o * row);
        canonical.copy_numbers(group, output, numbers, stride / sizeof(float));
        if (!scales_.size()) continue;
        scales_.data()[group * outputs + output] = round_weights(numbers, taps, inputs, stride / sizeof(float), 127);
    }
    for (size_t t = 0; t < taps; ++t)
        product.arrange(rows.data() + t * stride, inputs, channels, data_.data() + offset(group, block, t));
}

size_t Weights::offset(size_t group, size_t block, size_t tap) const {
    const size_t tap_bytes = block + 1 < blocks() ? full_block_ : last_block_;
    return group * static_cast<size_t>(group_bytes()) + block * taps * full_block_ + tap * tap_bytes;
}

}  // namespace pbgen
