#include "model.h"

#include "cores.h"
#include "error.h"

namespace pbgen {
namespace {

Image image(const Node& node, const Shape& shape) {
    if (node.op == Op::linear) {
        const int64_t channels = shape[shape.rank - 1];
        return {channels, 1, shape.size() / channels};
    }
    return {shape[1], shape.rank == 4 ? shape[2] : 1, shape[shape.rank - 1]};
}

bool known(const std::vector<Count>& shape) {
    for (const Count& count : shape)
        if (!count.known()) return false;
    return true;
}

// A shape at hand, or where sizes are free the smallest that says as much about the layer.
Shape usual(const std::vector<Count>& counts, const Node& node, bool input) {
    Shape shape;
    for (const Count& count : counts) {
        const bool spatial = node.op != Op::linear && shape.rank >= 2;
        const int64_t reach = spatial ? node.geometry[shape.rank - 2].dilation * (node.geometry[shape.rank - 2].kernel - 1) : 0;
        shape[shape.rank] = count.known() ? count.integer : input ? reach + 1 : 1;
        ++shape.rank;
    }
    return shape;
}

CanonicalWeights canonical_weights(const Tensor& tensor, const Node& node, const LayerShape& shape) {
    const auto groups = static_cast<size_t>(node.groups);
    return {tensor, groups, static_cast<size_t>(shape.output.channels) / groups,
            static_cast<size_t>(shape.input.channels) / groups, static_cast<size_t>(shape.y.kernel * shape.x.kernel)};
}

unsigned bits_of(const CanonicalWeights& weights, DType dtype) {
    return weights.planes() ? static_cast<unsigned>(weights.planes()) : dtype == DType::f16 ? 16 : 32;
}

// Whether it is a constant with one number for each channel that the layer makes.
bool is_each_channel(const Node& node, const Node& layer) {
    const size_t trailing = layer.op == Op::linear ? 1 : 1 + layer.geometry.size();
    if (node.op != Op::constant || node.shape.size() < trailing) return false;
    int64_t count = 1;
    for (const Count& size : node.shape) count *= size.integer;
    const int64_t channels = layer.shape[layer.shape.size() - trailing].integer;
    return count == channels && node.shape[node.shape.size() - trailing].integer == channels;
}

}  // namespace

LayerShape layer_shape(const Node& node, const Shape& input, const Shape& output) {
    const Geometry x = node.geometry.back(), y = node.geometry.size() == 2 ? node.geometry[0] : Geometry{};
    return {node.op == Op::conv_transpose, y, x, node.groups, image(node, input), image(node, output)};
}

Model::Model(const Container& container, const Kernels& kernels, unsigned threads, bool integers)
    : kernels_(kernels), graph_(read_graph(container)), integers_(integers), threads_(threads ? threads : usable_cores()) {
    load_constants(container);
    canonical_.resize(container.tensors.size());
    for (size_t node = 0; node < graph_.nodes.size(); ++node)
        if (graph_.nodes[node].weight != none) load_layer(container, node);
    loaded_ = true;
}

void Model::load_constants(const Container& container) {
    constants_.resize(container.tensors.size());
    for (const Node& node : graph_.nodes)
        for (size_t tensor : {node.scale, node.shift, node.tensor}) {
            if (tensor == none || constants_[tensor].size()) continue;
            constants_[tensor] = Aligned<float>(static_cast<size_t>(container.tensors[tensor].count));
            copy_floats(container.tensors[tensor], constants_[tensor].data());
        }
}

// Arranges the layer's weights. Their own order is needed afterwards only where each size arranges them anew.
void Model::load_layer(const Container& container, size_t index) {
    const Node& node = graph_.nodes[index];
    const std::vector<Count>& from = graph_.shape(node.inputs[0]);
    const LayerShape shape = layer_shape(node, usual(from, node, true), usual(node.shape, node, false));
    std::unique_ptr<CanonicalWeights>& canonical = canonical_[node.weight];
    const CanonicalWeights all = canonical_weights(container.tensors[node.weight], node, shape);
    canonical = std::make_unique<CanonicalWeights>(all);
    const std::unique_ptr<Layer> made = layer(index, shape);
    layers_.push_back({node.name, made->kernel(), made->weight_bytes(),
                       bits_of(all, container.tensors[node.weight].dtype)});
    const bool again = kept_.count(node.weight) || made->keeps_weights();
    if (again) kept_.insert(node.weight);
    canonical = std::make_unique<CanonicalWeights>(again ? all.kept() : all.forgotten());
}

Manner Model::manner(const Node& node) const {
    return {integers_ && !is_input(node.inputs[0]), !known(graph_.shape(node.inputs[0])) || !known(node.shape),
            node.geometry.size() == 1};
}

// Whether a value is what the engine is given, wherever its numbers stand. It is never rounded: what a generator makes of
// a latent vector moves further with it than with any other value.
bool Model::is_input(size_t value) const {
    while (!graph_.is_input(value)) {
        const Node& node = graph_.nodes[graph_.maker(value)];
        const bool moves = node.op == Op::reshape || node.op == Op::permute || node.op == Op::expand || node.op == Op::slice ||
                           node.op == Op::pad;
        if (!moves) return false;
        value = node.inputs[0];
    }
    return true;
}

std::unique_ptr<Layer> Model::layer(size_t index, const LayerShape& shape) const {
    const Node& node = graph_.nodes[index];
    const auto arranged = [&](const CanonicalWeights& weights, const Product& product) {
        return arrange(node.weight, weights, product);
    };
    return std::make_unique<Layer>(node.name, shape, *canonical_[node.weight], manner(node), arranged, epilogue(node),
                                   kernels_);
}

Epilogue Model::epilogue(const Node& node) const {
    const auto vector = [&](size_t tensor) { return tensor == none ? nullptr : constants_[tensor].data(); };
    Epilogue epilogue{vector(node.scale), vector(node.shift)};
    const std::vector<Step>& steps = node.program.steps;
    if (steps.size() != 1 || steps[0].operands[0] != 0) return epilogue;
    switch (steps[0].instruction) {
        case Instruction::relu: epilogue.activation = Activation::relu; break;
        case Instruction::tanh: epilogue.activation = Activation::tanh; break;
        case Instruction::sigmoid: epilogue.activation = Activation::sigmoid; break;
        case Instruction::leaky: find_slope(node, steps[0].operands[1], &epilogue); break;
        default: break;
    }
    return epilogue;
}

// Leaky ReLU, if its slope is a number, or one a channel.
void Model::find_slope(const Node& node, size_t operand, Epilogue* epilogue) const {
    if (operand >= node.program.inputs) {
        const Number& slope = node.program.numbers[operand - node.program.inputs];
        if (slope.size != none) return;
        epilogue->slope = slope.number;
    } else if (operand == 0) {
        return;
    } else {
        const size_t value = node.inputs[node.own_inputs() + operand - 1];
        if (graph_.is_input(value) || !is_each_channel(graph_.nodes[graph_.maker(value)], node)) return;
        epilogue->slopes = constant(graph_.nodes[graph_.maker(value)].tensor);
    }
    epilogue->activation = Activation::leaky_relu;
}

std::shared_ptr<const Weights> Model::arrange(size_t tensor, const CanonicalWeights& canonical,
                                              const Product& product) const {
    for (const Arranged& arranged : arranged_)
        if (arranged.tensor == tensor && arranged.weights->holds(canonical, product)) return arranged.weights;
    if (loaded_) fail("asks for weights in an order that is not known");  // which is a mistake of ours
    arranged_.push_back({tensor, std::make_shared<Weights>(canonical, product, threads_)});
    return arranged_.back().weights;
}

void Model::forget_weights() {
    for (auto& canonical : canonical_)
        if (canonical) canonical = nullptr;
}

size_t Model::bytes() const {
    size_t bytes = 0;
    for (const Arranged& arranged : arranged_) bytes += arranged.weights->bytes();
    for (const auto& constant : constants_) bytes += constant.bytes();
    for (const auto& canonical : canonical_)
        if (canonical) bytes += canonical->kept_bytes();
    return bytes;
}

}  // namespace pbgen
