// Weights in memory, arranged for the product that reads them. Those of k bits are planes of signs, sum of 2^p s_p over
// planes p, and stay k bits, but for padding; numbers become integers of 8 bits where the inputs do.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "aligned.h"
#include "arch/kernels.h"
#include "container.h"
#include "threads.h"

namespace pbgen {

// Where rows of signs lie: `tap_step` bytes from one tap's to the next's, `byte_step` from one byte of a row to the next;
// and how many inputs are the lowest bits of a byte.
struct SignRows {
    size_t tap_step, byte_step, inputs = 8;
};

// The weights of a layer by group, output and input channel within the group, and tap.
class CanonicalWeights {
public:
    // `tensor` is [groups][outputs][inputs][taps], a float a weight, or planes of it, a bit a weight.
    CanonicalWeights(const Tensor& tensor, size_t groups, size_t outputs, size_t inputs, size_t taps);

    // The same of numbers, which are copied.
    CanonicalWeights(const float* numbers, size_t groups, size_t outputs, size_t inputs, size_t taps);

    // Signs as rows of bits over the inputs, [planes][groups][outputs][taps], each of `row_words` words, whose bytes lie in
    // the order of their bits.
    CanonicalWeights(const uint32_t* rows, size_t row_words, size_t planes, size_t groups, size_t outputs, size_t inputs,
                     size_t taps);

    // The same weights as those of a layer of one tap, whose output channels are [taps][outputs].
    CanonicalWeights taps_as_outputs() const;

    // Where each channel is a group of its own: the same weights as those of one group of one input, with all channels
    // as outputs.
    CanonicalWeights channels_as_outputs() const;

    // The same weights with other taps first: tap t is what tap order[t] was.
    CanonicalWeights ordered(const std::vector<size_t>& order) const;

    // Bytes of a row of signs: a plane of one output channel and tap, as Product::arrange takes it.
    size_t row_bytes() const { return (inputs + 7) / 8; }

    // Writes a plane's rows of all taps of one output channel.
    void copy_signs(size_t group, size_t output, size_t plane, uint8_t* to, const SignRows& rows) const;

    // The weights of all taps of one output channel as numbers, `stride` from one tap's to the next's.
    void copy_numbers(size_t group, size_t output, float* numbers, size_t stride) const;

    // Weights that do not hang on the tensor's memory; and their dimensions alone.
    CanonicalWeights kept() const;
    CanonicalWeights forgotten() const;

    bool channelwise() const { return channelwise_; }
    size_t planes() const { return planes_; }  // of signs, 0 where weights are numbers
    size_t kept_bytes() const;
    LayerSize size() const { return {planes_, inputs, outputs, taps}; }

    size_t groups, outputs, inputs, taps;

private:
    uint64_t count() const { return uint64_t{groups} * outputs * inputs * taps; }
    // From one plane of the tensor to the next.
    uint64_t plane_bytes() const { return (count() + 7) / 8; }
    // Where the weights of an output channel are: that of the tensor, its first tap, and how many taps the tensor has.
    struct Place {
        size_t channel, tap, step;
    };
    Place place(size_t group, size_t output) const;

    size_t planes_ = 1;
    const uint8_t* bits_ = nullptr;
    std::shared_ptr<const Aligned<uint8_t>> kept_bits_;
    std::shared_ptr<const Aligned<float>> floats_;
    const uint32_t* rows_ = nullptr;
    size_t row_words_ = 0;
    size_t output_taps_ = 1;  // how many taps became output channels
    bool channelwise_ = false;
    std::vector<size_t> places_;  // of taps, if they are in another order
};

// Makes the weights of an output channel, `count` for each tap and those of taps `stride` numbers apart, integers from
// -levels to levels. Returns their scale. What is not a number becomes one.
float round_weights(float* weights, size_t taps, size_t count, size_t stride, float levels);

// Stored as [groups][blocks][taps], but where taps share tables, with their bytes by turns: [groups][blocks][bytes][taps]. To a product that takes signs, the planes of a block's output channels are channels
// side by side, [planes][outputs]: so they share its tables.
class Weights {
public:
    Weights(const CanonicalWeights& canonical, const Product& product, Threads& threads);

    const Product& product;
    const size_t groups, outputs, inputs, taps;  // outputs and inputs: channels of one group
    const size_t planes;                         // that are channels of the product
    const bool channelwise;

    // Whether these are the weights of `canonical`, of the same tensor, arranged for `other`.
    bool holds(const CanonicalWeights& canonical, const Product& other) const {
        return &product == &other && taps == canonical.taps;
    }

    size_t blocks() const { return blocks_; }
    // Output channels of a block, but of the last, which may be fewer; and the product's for them.
    size_t block() const { return block_; }
    size_t block_outputs(size_t block) const { return std::min(block_, outputs - block * block_); }
    size_t block_channels(size_t block) const { return planes * block_outputs(block); }
    const uint8_t* tap(size_t group, size_t block, size_t tap) const { return data_.data() + offset(group, block, tap); }
    size_t bytes() const { return data_.bytes() + scales_.bytes(); }

    // What all channels' sums are to be multiplied by, or nullptr.
    const float* scales() const { return scales_.size() ? scales_.data() : nullptr; }

private:
    uint64_t group_bytes() const { return uint64_t{taps} * (uint64_t{blocks() - 1} * full_block_ + last_block_); }
    size_t offset(size_t group, size_t block, size_t tap) const;
    void arrange(const CanonicalWeights& canonical, size_t group, size_t block);

    size_t block_, blocks_;
    size_t full_block_, last_block_;  // bytes of a tap
    Aligned<uint8_t> data_;
    Aligned<float> scales_;  // of weights that were rounded
};

}  // namespace pbgen
