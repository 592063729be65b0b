// What a graph needs in memory whatever the sizes of its inputs: constants, and weights arranged for their products.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "aligned.h"
#include "bind.h"
#include "graph.h"
#include "layer.h"
#include "threads.h"
#include "weights.h"

namespace pbgen {

// For people.
struct LayerInfo {
    std::string name, kernel;
    size_t weight_bytes;
    unsigned bits;  // of a weight in the file
};

class Model {
public:
    // `integers`: whether layers round what they read to integers of 8 bits, where that is faster. Throws Error.
    Model(const Container& container, const Kernels& kernels, unsigned threads, bool integers);

    const Graph& graph() const { return graph_; }
    const Kernels& kernels() const { return kernels_; }
    Threads& threads() const { return threads_; }
    const float* constant(size_t tensor) const { return constants_[tensor].data(); }
    // Those with weights, in the order in which they run.
    const std::vector<LayerInfo>& layers() const { return layers_; }
    size_t bytes() const;

    // The layer that node `node` is, which has weights, for images of these sizes.
    std::unique_ptr<Layer> layer(size_t node, const LayerShape& shape) const;
    // With its program, if that is an activation which layers do themselves.
    Epilogue epilogue(const Node& node) const;

    // No more layers will be asked for.
    void forget_weights();

private:
    // Nodes may share a tensor, and mostly what is made of it.
    struct Arranged {
        size_t tensor;
        std::shared_ptr<const Weights> weights;
    };

    void load_constants(const Container& container);
    void load_layer(const Container& container, size_t node);
    Manner manner(const Node& node) const;
    bool is_input(size_t value) const;
    void find_slope(const Node& node, size_t operand, Epilogue* epilogue) const;
    std::shared_ptr<const Weights> arrange(size_t tensor, const CanonicalWeights& canonical,
                                           const Product& product) const;

    const Kernels& kernels_;
    const Graph graph_;
    const bool integers_;
    mutable Threads threads_;
    std::vector<Aligned<float>> constants_;           // by tensor; scales and shifts, too
    std::vector<std::unique_ptr<CanonicalWeights>> canonical_;  // by tensor; what is needed for other sizes
    std::set<size_t> kept_;  // tensors that layers arrange themselves
    std::vector<LayerInfo> layers_;
    mutable std::vector<Arranged> arranged_;  // all that any size needs, once it is loaded
    bool loaded_ = false;
};

// The images between which a layer stands.
LayerShape layer_shape(const Node& node, const Shape& input, const Shape& output);

}  // namespace pbgen
