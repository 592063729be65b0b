#include "engine.h"

#include <algorithm>

#include "error.h"
#include "operators.h"

namespace pbgen {
namespace {

constexpr size_t max_workspace = size_t{1} << 30;  // numbers, for one image

// Larger batches are run in parts of this size or of one image: enough to keep the threads busy, and little memory.
constexpr size_t usual_workspace = size_t{1} << 19;  // numbers

}  // namespace

Engine::Engine(const char* path, unsigned threads)
    : kernels_(choose_kernels()), threads_(threads ? threads : usable_cores()) {
    try {
        load(path);
    } catch (const Error& error) {
        fail(path, ": ", error.what());
    }
}

void Engine::load(const char* path) {
    const Container container = read_container(path);
    graph_ = read_graph(container);
    load_vectors(container);
    load_layers(container);
    plan();
}

void Engine::load_vectors(const Container& container) {
    vectors_.resize(container.tensors.size());
    for (const Node& node : graph_.nodes)
        for (size_t tensor : {node.scale, node.shift}) {
            if (tensor == none || vectors_[tensor].size()) continue;
            vectors_[tensor] = Aligned<float>(static_cast<size_t>(container.tensors[tensor].count));
            copy_floats(container.tensors[tensor], vectors_[tensor].data());
        }
}

void Engine::load_layers(const Container& container) {
    weights_.resize(container.tensors.size());
    convolutions_.resize(graph_.nodes.size());
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
        const Node& node = graph_.nodes[i];
        if (node.weight == none) continue;
        const Shape& input = graph_.shape(node.inputs[0]);
        std::shared_ptr<const Weights>& weights = weights_[node.weight];
        if (!weights)
            weights = std::make_shared<Weights>(
                arrange_weights(container.tensors[node.weight], node, input.channels, threads_));
        convolutions_[i] = std::make_unique<Convolution>(node, input, weights, epilogue(node), kernels_);
        layers_.push_back({node.name, convolutions_[i]->description()});
    }
}

void Engine::plan() {
    std::vector<size_t> scratch;
    for (const auto& convolution : convolutions_) scratch.push_back(convolution ? convolution->scratch() : 0);
    plan_ = plan_memory(graph_, scratch);
    if (plan_.size > max_workspace)
        fail("needs ", plan_.size >> 18, " MiB to make one image; at most 4096 are allowed");
    most_images_ = std::max<size_t>(1, usual_workspace / plan_.size);
}

Epilogue Engine::epilogue(const Node& node) const {
    const auto vector = [&](size_t tensor) { return tensor == none ? nullptr : vectors_[tensor].data(); };
    return {vector(node.scale), vector(node.shift), node.activation, node.slope};
}

size_t Engine::resident_bytes() const {
    size_t bytes = sizeof *this;
    for (const auto& weights : weights_) bytes += weights ? weights->bytes() : 0;
    for (const auto& vector : vectors_) bytes += vector.bytes();
    const std::lock_guard<std::mutex> lock(mutex_);
    return bytes + workspace_bytes_;
}

Aligned<float> Engine::take_workspace(size_t numbers) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Aligned<float> workspace;
    if (!workspaces_.empty()) {
        workspace = std::move(workspaces_.back());
        workspaces_.pop_back();
    }
    if (workspace.size() >= numbers) return workspace;
    workspace_bytes_ -= workspace.bytes();
    workspace = {};
    workspace = Aligned<float>(numbers);
    workspace_bytes_ += workspace.bytes();
    return workspace;
}

void Engine::give_back(Aligned<float> workspace) {
    const std::lock_guard<std::mutex> lock(mutex_);
    workspaces_.push_back(std::move(workspace));
}

void Engine::run(const float* input, size_t batch, float* output) {
    if (batch == 0) return;
    Aligned<float> workspace = take_workspace(std::min(batch, most_images_) * plan_.size);
    const auto in = static_cast<size_t>(input_shape().size()), out = static_cast<size_t>(output_shape().size());
    for (size_t first = 0; first < batch; first += most_images_)
        run_images(input + first * in, std::min(most_images_, batch - first), output + first * out, workspace.data());
    give_back(std::move(workspace));
}

void Engine::run_images(const float* input, size_t images, float* output, float* workspace) {
    const auto in = static_cast<size_t>(input_shape().size()), out = static_cast<size_t>(output_shape().size());
    for (size_t image = 0; image < images; ++image)
        channels_to_innermost(input_shape(), input + image * in, workspace + plan_.values[0] * images + image * in);
    for (size_t node = 0; node < graph_.nodes.size(); ++node) run_node(node, images, workspace);
    const float* result = workspace + plan_.values[graph_.output] * images;
    threads_.parallel_for(images, [&](size_t image) {
        channels_to_first(output_shape(), result + image * out, output + image * out);
    });
}

void Engine::run_node(size_t i, size_t images, float* workspace) {
    const Node& node = graph_.nodes[i];
    std::vector<const float*> inputs;
    for (size_t value : node.inputs) inputs.push_back(workspace + plan_.values[value] * images);
    float* output = workspace + plan_.values[i + 1] * images;
    const Call call{node, graph_, inputs.data(), output, images, threads_};
    switch (node.op) {
        case Op::conv:
        case Op::conv_transpose:
        case Op::linear:
            return convolutions_[i]->run(inputs[0], images, workspace + plan_.scratch[i] * images, output, threads_);
        case Op::affine: return run_affine(call, epilogue(node), kernels_);
        case Op::add: return run_add(call);
        case Op::concat: return run_concat(call);
        case Op::reshape: return run_reshape(call);
        case Op::upsample: return run_upsample(call);
        case Op::pixel_shuffle: return run_pixel_shuffle(call);
    }
}

}  // namespace pbgen
