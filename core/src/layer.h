// A layer with weights, as it is run: the product that its shape and the processor call for, and the way to use it.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>

#include "convolver.h"
#include "graph.h"
#include "threads.h"
#include "weights.h"

namespace pbgen {

// Scratch memory, in bytes for one image, that layers share. A thread's part of it lies at the same place for all of them:
// else they would hand it to and fro, and processors that share no cache are slow at that.
struct ScratchSize {
    size_t whole = 0, part = 0;

    void include(const ScratchSize& other) {
        whole = std::max(whole, other.whole);
        part = std::max(part, other.part);
    }
    size_t bytes(size_t threads) const;
};

// Arranges weights for a product, or knows them arranged.
using Arrange = std::function<std::shared_ptr<const Weights>(const CanonicalWeights&, const Product&)>;

class Layer {
public:
    Layer(const Node& node, const Shape& input, const CanonicalWeights& weights, bool integers, const Arrange& arrange,
          const Epilogue& epilogue, const Kernels& kernels);

    ScratchSize scratch(size_t threads) const;

    bool makes_planes() const { return convolver_->makes_planes(); }

    // `input` are images with the channels innermost. `scratch` lies on a cache line, and has size.bytes() for each image.
    // The output has no planes if it makes none.
    void run(const float* input, size_t images, uint8_t* scratch, const ScratchSize& size, const Output& output,
             Threads& threads) const;

    const std::string& name() const { return name_; }
    // For people: the product and the instruction set.
    const std::string& kernel() const { return kernel_; }
    uint64_t operations() const { return operations_; }
    size_t weight_bytes() const { return convolver_->weight_bytes(); }

private:
    struct Scratch;

    // Whether each of some threads works on a part of an image of its own.
    bool in_parts(size_t threads) const;
    size_t band_bytes(int64_t positions) const;
    int64_t band_positions() const;
    void run_parts(const float* input, const Scratch& scratch, size_t part_bytes, const Output& output,
                   Threads& threads) const;
    void run_part(const Range& positions, const float* input, size_t images, const Scratch& scratch,
                  const Output& output, Threads& threads) const;
    void run_band(const Range& band, const float* input, size_t images, const Scratch& scratch, const Output& output,
                  Threads& threads) const;
    void find_quantizations(const float* input, size_t images, const Scratch& scratch, Threads& threads) const;
    void finish(size_t images, float* output, Threads& threads) const;

    std::string name_, kernel_;
    uint64_t operations_;
    Shape input_, output_;
    bool spread_;  // the taps of a single input pixel are the output's pixels, and computed as output channels
    Epilogue epilogue_;
    const Kernels& kernels_;
    std::unique_ptr<const Convolver> convolver_;
};

}  // namespace pbgen
