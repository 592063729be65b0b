#include "engine.h"

#include <algorithm>
#include <chrono>

#include "cores.h"
#include "error.h"
#include "operators.h"

namespace pbgen {
namespace {

constexpr size_t max_workspace = size_t{1} << 30;  // numbers, for one image

// Larger batches are run in parts of this size or of one image: enough to keep the threads busy, and little memory.
constexpr size_t usual_workspace = size_t{1} << 19;  // numbers

CanonicalWeights canonical_weights(const Tensor& tensor, const Node& node, const Shape& input) {
    const auto groups = static_cast<size_t>(node.groups);
    return {tensor, groups, static_cast<size_t>(node.shape.channels) / groups,
            static_cast<size_t>(input.channels) / groups, static_cast<size_t>(node.y.kernel * node.x.kernel)};
}

double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

float* align(void* memory) {
    const auto address = reinterpret_cast<uintptr_t>(memory);
    return reinterpret_cast<float*>((address + cache_line - 1) / cache_line * cache_line);
}

}  // namespace

Engine::Engine(const Container& container, const Kernels& kernels, unsigned threads, bool integers)
    : kernels_(kernels), graph_(read_graph(container)), threads_(threads ? threads : usable_cores()) {
    load_vectors(container);
    load_layers(container, integers);
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

void Engine::load_layers(const Container& container, bool integers) {
    node_layers_.resize(graph_.nodes.size());
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
        const Node& node = graph_.nodes[i];
        if (!node.has_weight()) continue;
        const Shape& input = graph_.shape(node.inputs[0]);
        const CanonicalWeights canonical = canonical_weights(container.tensors[node.weight], node, input);
        const auto arranged = [&](const CanonicalWeights& weights, const Product& product) {
            return arrange(node.weight, weights, product);
        };
        const bool rounded = integers && !is_input(node.inputs[0]);
        node_layers_[i] = std::make_unique<Layer>(node, input, canonical, rounded, arranged, epilogue(node), kernels_);
        layers_.push_back(node_layers_[i].get());
    }
}

// Whether a value is what the engine is given, of whatever shape. It is never rounded: what a generator makes of a latent
// vector moves further with it than with any other value.
bool Engine::is_input(size_t value) const {
    while (value && graph_.nodes[value - 1].op == Op::reshape) value = graph_.nodes[value - 1].inputs[0];
    return value == 0;
}

std::shared_ptr<const Weights> Engine::arrange(size_t tensor, const CanonicalWeights& canonical,
                                               const Product& product) {
    for (const Arranged& arranged : arranged_)
        if (arranged.tensor == tensor && arranged.weights->holds(canonical, product)) return arranged.weights;
    arranged_.push_back({tensor, std::make_shared<Weights>(canonical, product, threads_)});
    return arranged_.back().weights;
}

void Engine::plan() {
    gathered_.assign(graph_.nodes.size() + 1, false);
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
        if (is_told_extremes(i)) gathered_[graph_.nodes[i].inputs[0]] = true;
    for (const Layer* layer : layers_) scratch_.include(layer->scratch(threads_.count()));
    plan_ = plan_memory(graph_, scratch_.bytes(threads_.count()) / sizeof(float));
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
    for (const Arranged& arranged : arranged_) bytes += arranged.weights->bytes();
    for (const auto& vector : vectors_) bytes += vector.bytes();
    return bytes + workspaces_.bytes();
}

size_t Engine::workspace_bytes(size_t batch) const {
    return std::min(batch, most_images_) * plan_.size * sizeof(float) + cache_line - 1;
}

void Engine::run(const float* input, size_t batch, float* output, void* memory, double* seconds) {
    if (seconds) std::fill_n(seconds, layers_.size(), 0.0);
    if (batch == 0) return;
    if (memory) return run_parts(input, batch, output, align(memory), seconds);
    Workspaces::Workspace workspace = workspaces_.take(std::min(batch, most_images_) * plan_.size);
    run_parts(input, batch, output, workspace->data(), seconds);
    workspaces_.give_back(std::move(workspace));
}

void Engine::run_parts(const float* input, size_t batch, float* output, float* workspace, double* seconds) {
    const auto in = static_cast<size_t>(input_shape().size()), out = static_cast<size_t>(output_shape().size());
    for (size_t first = 0; first < batch; first += most_images_)
        run_images(input + first * in, std::min(most_images_, batch - first), output + first * out, workspace, seconds);
}

void Engine::run_images(const float* input, size_t images, float* output, float* workspace, double* seconds) {
    channels_to_innermost(input_shape(), input, images, workspace + plan_.values[0] * images, threads_);
    for (size_t node = 0; node < graph_.nodes.size(); ++node) {
        const double start = seconds && node_layers_[node] ? seconds_now() : 0;
        run_node(node, images, workspace, output);
        if (seconds && node_layers_[node]) *seconds++ += seconds_now() - start;
    }
    if (!makes_planes(graph_.output))
        channels_to_first(output_shape(), workspace + plan_.values[graph_.output] * images, images, output, threads_);
}

// Whether the layer that makes a value also makes images with the channels first of it.
bool Engine::makes_planes(size_t value) const {
    return value == graph_.output && value > 0 && node_layers_[value - 1] && node_layers_[value - 1]->makes_planes();
}

// Whether a layer's input is made by another, which finds the extremes that this one asks for.
bool Engine::is_told_extremes(size_t node) const {
    const size_t from = graph_.nodes[node].inputs[0];
    return node_layers_[node] && from > 0 && node_layers_[from - 1] &&
           node_layers_[from - 1]->finds_extremes_for(*node_layers_[node]);
}

// Those of each image, if a layer makes them that another asks for.
SharedExtremes* Engine::extremes(size_t value, size_t images, float* workspace) const {
    return gathered_[value] ? reinterpret_cast<SharedExtremes*>(workspace + plan_.extremes[value] * images) : nullptr;
}

// `planes`: where the output goes that a layer makes itself.
void Engine::run_node(size_t i, size_t images, float* workspace, float* planes) {
    const Node& node = graph_.nodes[i];
    float* output = workspace + plan_.values[i + 1] * images;
    const Call call{node, graph_, plan_, workspace, output, images, threads_};
    switch (node.op) {
        case Op::conv:
        case Op::conv_transpose:
        case Op::linear: {
            auto* scratch = reinterpret_cast<uint8_t*>(workspace);
            SharedExtremes* made = extremes(i + 1, images, workspace);
            for (size_t image = 0; made && image < images; ++image) new (made + image) SharedExtremes;
            const Output results = {output, makes_planes(i + 1) ? planes : nullptr, made};
            const Layer::Input values = {
                call.input(0), is_told_extremes(i) ? extremes(node.inputs[0], images, workspace) : nullptr};
            return node_layers_[i]->run(values, images, scratch, scratch_, results, threads_);
        }
        case Op::affine: return run_affine(call, epilogue(node), kernels_);
        case Op::add: return run_add(call);
        case Op::concat: return run_concat(call);
        case Op::reshape: return run_reshape(call);
        case Op::upsample: return run_upsample(call);
        case Op::pixel_shuffle: return run_pixel_shuffle(call);
    }
}

}  // namespace pbgen
