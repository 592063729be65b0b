// A generator that is loaded and ready: runs its nodes in order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "aligned.h"
#include "graph.h"
#include "layer.h"
#include "plan.h"
#include "threads.h"
#include "workspaces.h"

namespace pbgen {

class Engine {
public:
    // `integers`: whether layers round what they read to integers of 8 bits, where that is faster. Throws
    // Error.
    Engine(const Container& container, const Kernels& kernels, unsigned threads, bool integers);

    const Shape& input_shape() const { return graph_.input; }
    const Shape& output_shape() const { return graph_.shape(graph_.output); }
    // Those with weights, in the order in which they run.
    const std::vector<const Layer*>& layers() const { return layers_; }
    size_t resident_bytes() const;
    size_t workspace_bytes(size_t batch) const;

    // Any number of threads may call it at once. `input` and `output` have the channels first. `workspace`, where it is
    // given, has workspace_bytes(batch), at any address. `seconds`, where given, gets the time of each layer.
    void run(const float* input, size_t batch, float* output, void* workspace = nullptr, double* seconds = nullptr);

private:
    // Nodes may share a tensor, and mostly what is made of it.
    struct Arranged {
        size_t tensor;
        std::shared_ptr<const Weights> weights;
    };

    void load_vectors(const Container& container);
    void load_layers(const Container& container, bool integers);
    std::shared_ptr<const Weights> arrange(size_t tensor, const CanonicalWeights& canonical, const Product& product);
    void plan();
    Epilogue epilogue(const Node& node) const;
    void run_parts(const float* input, size_t batch, float* output, float* workspace, double* seconds);
    void run_images(const float* input, size_t images, float* output, float* workspace, double* seconds);
    bool is_input(size_t value) const;
    bool makes_planes(size_t value) const;
    bool is_told_extremes(size_t node) const;
    SharedExtremes* extremes(size_t value, size_t images, float* workspace) const;
    void run_node(size_t node, size_t images, float* workspace, float* planes);

    const Kernels& kernels_;
    Graph graph_;
    std::vector<Aligned<float>> vectors_;  // scales and shifts, by tensor
    std::vector<Arranged> arranged_;
    std::vector<std::unique_ptr<Layer>> node_layers_;  // by node, where it has weights
    std::vector<const Layer*> layers_;
    std::vector<bool> gathered_;  // by value: whether its extremes are gathered as it is made
    ScratchSize scratch_;
    MemoryPlan plan_;
    size_t most_images_ = 1;  // at a time
    Threads threads_;
    Workspaces workspaces_;  // as many as there were calls at the same time
};

}  // namespace pbgen
