// Weights in memory, arranged for the kernels. One-bit weights stay one bit, but for padding.
#pragma once

#include <cstddef>
#include <cstdint>

#include "aligned.h"
#include "container.h"
#include "graph.h"
#include "threads.h"

namespace pbgen {

// How a layer's sums are computed.
enum class Method : uint8_t {
    lookup,     // one-bit weights, tables of signed sums; lanes are output channels
    unpacked,   // one-bit weights where tables would waste memory: unpacked piece by piece, then as dot
    broadcast,  // float weights; lanes are output channels
    dot,        // float weights, few output channels; lanes are partial sums of one output channel
};

// The weights of one tap and one vector are `unit` numbers in a row. They are stored as
// [groups][blocks][taps][vectors of the block][unit], but that lookup and broadcast mix the vectors of a block.
struct Weights {
    Method method;
    size_t groups, outputs, inputs, taps;  // outputs and inputs: channels of one group
    size_t depth;                          // steps of the kernel: tables (lookup) or input channels
    size_t vector_outputs;                 // output channels of a vector: 16 or 1
    size_t vectors;                        // of one group
    size_t unit;
    Aligned<uint32_t> words;  // lookup
    Aligned<float> floats;    // broadcast, dot
    Aligned<uint8_t> bits;    // unpacked: as in the file

    // Vectors of the block that begins with vector `first` of its group.
    size_t block_vectors(size_t first) const { return vectors - first < max_vectors ? vectors - first : max_vectors; }

    size_t offset(size_t group, size_t first, size_t tap) const {
        return ((group * vectors + first) * taps + tap * block_vectors(first)) * unit;
    }

    size_t bytes() const { return words.bytes() + floats.bytes() + bits.bytes(); }

    // For unpacked: the weights of `count` input channels from `input` on, of `block_vectors(first)` output channels.
    void unpack(size_t group, size_t first, size_t tap, size_t input, size_t count, float* out) const;
};

Weights arrange_weights(const Tensor& tensor, const Node& node, int64_t input_channels, Threads& threads);

}  // namespace pbgen
