// A layer with weights, as it is run: the product that its shape and the processor call for, and the way to use it.
//
// Chosen once: dot products along rows for few output channels (dot_rows.h), tables that taps share (shared_convolution.h),
// else tiles (convolution.h); and whether inputs are rounded to 8 bits. A run goes down the image in bands of rows, whose
// prepared inputs fit into the second cache; threads share each band, or each takes rows or output channels of its own.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "convolver.h"
#include "image.h"
#include "threads.h"
#include "weights.h"

namespace pbgen {

// Scratch memory, in bytes for one image, that layers share. What a thread uses alone lies at the same place for all of them,
// and nobody else writes there: else they would hand it to and fro, and processors that share no cache are slow at that.
struct ScratchSize {
    uint64_t images = 0;  // where all threads make some images
    uint64_t shared = 0;  // where all threads make one image from the same inputs
    uint64_t own = 0;     // of each thread that has inputs of its own

    void include(const ScratchSize& other) {
        images = std::max(images, other.images);
        shared = std::max(shared, other.shared);
        own = std::max(own, other.own);
    }
    uint64_t bytes(size_t threads) const;
};

// Arranges weights for a product, or knows them arranged.
using Arrange = std::function<std::shared_ptr<const Weights>(const CanonicalWeights&, const Product&)>;

class Layer {
public:
    // `weights` need have no numbers where `arrange` knows them arranged.
    Layer(const std::string& name, const LayerShape& given, const CanonicalWeights& weights, Manner manner,
          const Arrange& arrange, const Epilogue& epilogue, const Kernels& kernels);

    ScratchSize scratch(size_t threads) const;

    // Whether images that it reads and writes may lie in any layout; else they are packed.
    bool takes_any_layout() const { return !taps_as_channels_ && convolver_->takes_any_layout(); }
    bool makes_planes() const { return convolver_->makes_planes(); }
    // Whether it arranged its weights for itself, so that for another size they are needed again.
    bool keeps_weights() const { return convolver_->keeps_weights(); }
    // Whether it rounds what it reads by its extremes, and those of images with so many channels tell it all.
    bool may_be_told(int64_t channels) const;
    // Whether the extremes that this layer finds of what it makes are what `next` asks for, which reads it.
    bool finds_extremes_for(const Layer& next) const;

    // Images with the channels innermost, and each one's extremes, or nullptr where they are to be found.
    struct Input {
        const float* pixels;
        Layout layout;
        const SharedExtremes* extremes = nullptr;
    };

    // `scratch` lies on a cache line, and has size.bytes() for each image.
    void run(Input input, size_t images, uint8_t* scratch, const ScratchSize& size, Output output, Threads& threads) const;

    const std::string& name() const { return name_; }
    // For people: the product and the instruction set.
    const std::string& kernel() const { return kernel_; }
    uint64_t operations() const { return operations_; }
    size_t weight_bytes() const { return convolver_->weight_bytes(); }

private:
    struct Scratch;

    void choose(const LayerShape& shape, const CanonicalWeights& weights, Manner manner, const Arrange& arrange,
                const Epilogue& epilogue);

    const Product* shared_product(const LayerShape& shape, const LayerSize& size, Manner manner) const;

    // How some threads make one image.
    enum class Division {
        rows,   // each makes some rows, from their inputs
        share,  // each has all inputs, and makes its share of the items of work
        turns,  // all have the same inputs, and take items by turns
    };
    Division division(size_t threads) const;
    uint64_t band_bytes(int64_t positions) const;
    int64_t band_positions() const;
    void run_each(Division division, const Input& input, const Scratch& scratch, const ScratchSize& size,
                  const Output& output, Threads& threads) const;
    void run_rows(const Range& positions, const Share& share, const Input& input, size_t images, const Scratch& scratch,
                  const Output& output, Threads& threads) const;
    void run_band(const Range& band, const Share& share, const Input& input, size_t images, const Scratch& scratch,
                  const Output& output, Threads& threads) const;
    void find_quantizations(const Input& input, size_t images, const Scratch& scratch, Threads& threads) const;
    void find_extremes(const Input& input, size_t images, SharedExtremes* extremes, Threads& threads) const;

    std::string name_, kernel_;
    uint64_t operations_;
    bool turned_ = false;            // whether rows of given images are its columns
    bool taps_as_channels_ = false;  // of a single pixel
    Image input_, output_;
    size_t inputs_, outputs_;  // of a group
    RepeatedEpilogue repeated_;  // for each of the output's pixels, where these are made as channels
    const Kernels& kernels_;
    std::unique_ptr<const Convolver> convolver_;
};

}  // namespace pbgen
