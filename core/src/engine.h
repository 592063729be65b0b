// A generator that is loaded and ready: runs its nodes in order.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "aligned.h"
#include "convolution.h"
#include "graph.h"
#include "plan.h"
#include "threads.h"

namespace pbgen {

struct Layer {
    std::string name, kernel;
};

class Engine {
public:
    // Throws Error.
    Engine(const char* path, unsigned threads);

    const Shape& input_shape() const { return graph_.input; }
    const Shape& output_shape() const { return graph_.shape(graph_.output); }
    const std::vector<Layer>& layers() const { return layers_; }
    size_t resident_bytes() const;

    // Any number of threads may call it at once. `input` and `output` have the channels first.
    void run(const float* input, size_t batch, float* output);

private:
    void load(const char* path);
    void load_vectors(const Container& container);
    void load_layers(const Container& container);
    void plan();
    Epilogue epilogue(const Node& node) const;
    Aligned<float> take_workspace(size_t numbers);
    void give_back(Aligned<float> workspace);
    void run_images(const float* input, size_t images, float* output, float* workspace);
    void run_node(size_t node, size_t images, float* workspace);

    const Kernels& kernels_;
    Graph graph_;
    std::vector<Aligned<float>> vectors_;                     // scales and shifts, by tensor
    std::vector<std::shared_ptr<const Weights>> weights_;     // by tensor
    std::vector<std::unique_ptr<Convolution>> convolutions_;  // by node, where it has weights
    std::vector<Layer> layers_;
    MemoryPlan plan_;
    size_t most_images_ = 1;  // at a time
    Threads threads_;

    // Workspaces not in use: as many as there were calls at the same time.
    mutable std::mutex mutex_;
    std::vector<Aligned<float>> workspaces_;
    size_t workspace_bytes_ = 0;
};

}  // namespace pbgen
