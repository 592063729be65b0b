// A layer with weights, as it is run: the product that its shape and the processor call for, and the way to use it.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "convolution.h"
#include "fold.h"
#include "graph.h"
#include "threads.h"

namespace pbgen {

// How a layer is to be run, and what its weights must be arranged for.
struct Method {
    const Product* product;
    bool folded;       // see fold.h
    bool channelwise;  // see Kernels::channelwise
};

Method choose_method(const Node& node, const Shape& input, const LayerSize& size, const Kernels& kernels,
                     bool integers);

// The weights as the method takes them.
CanonicalWeights weights_for(const Method& method, const Node& node, const CanonicalWeights& canonical);

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

class Layer {
public:
    Layer(const Node& node, const Shape& input, const Method& method, std::shared_ptr<const Weights> weights,
          const Epilogue& epilogue, const Kernels& kernels);

    ScratchSize scratch(size_t threads) const;

    // `input` and `output` are images with the channels innermost. `scratch` lies on a cache line, and has size.bytes() for
    // each image.
    void run(const float* input, size_t images, uint8_t* scratch, const ScratchSize& size, float* output,
             Threads& threads) const;

    const std::string& name() const { return name_; }
    // For people: the product and the instruction set.
    const std::string& kernel() const { return kernel_; }
    uint64_t operations() const { return operations_; }
    size_t weight_bytes() const { return convolution_.weights().bytes(); }

private:
    struct Scratch;

    // Whether there are products to be added up.
    bool adds_up() const { return folded_ && !in_place_; }
    // Whether each of some threads works on a part of an image of its own.
    bool in_parts(size_t threads) const;
    // Rows that are cut into parts: of output positions, or of the output where products are added up.
    int64_t rows() const { return adds_up() ? output_.height : convolution_.positions(); }
    size_t pixel_bytes() const;
    size_t band_bytes(int64_t positions) const;
    int64_t band_positions() const;
    void run_parts(const float* input, const Scratch& scratch, size_t part_bytes, float* output, Threads& threads) const;
    void run_part(const Range& rows, const float* input, size_t images, const Scratch& scratch,
                  float* output, Threads& threads) const;
    void run_band(const Fold::Part& part, const Range& band, const float* input, size_t images, const Scratch& scratch,
                  float* output, Threads& threads) const;
    void find_quantizations(const float* input, size_t images, const Scratch& scratch, Threads& threads) const;
    void finish_rows(size_t images, float* output, Threads& threads) const;
    void finish_row(float* row) const;

    std::string name_, kernel_;
    uint64_t operations_;
    Shape input_, output_;
    bool folded_;
    Fold fold_;
    bool in_place_;  // folded, and the products are the output already
    bool by_rows_;  // whether the epilogue is not the convolution's but finish_row()'s
    int64_t piece_;  // pixels of a row that are finished at a time
    std::vector<float> piece_scale_, piece_shift_;
    Epilogue piece_epilogue_;
    const Kernels& kernels_;
    Convolution convolution_;  // where folded, that of one tap
};

}  // namespace pbgen
