#include "arrangement.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <new>

#include "error.h"
#include "views.h"

namespace pbgen {
namespace {

constexpr size_t extremes_numbers = sizeof(SharedExtremes) / sizeof(float);

double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// As resampling finds the nearest pixel: in float32, since the product must round to the same side of an integer.
int64_t nearest(int64_t out, float step, int64_t inputs) {
    const float at = std::floor(static_cast<float>(out) * step);
    return std::min(static_cast<int64_t>(std::min(at, static_cast<float>(inputs))), inputs - 1);
}

// Which values are to have the channels innermost: layers read them, perhaps after operators that keep the order.
std::vector<bool> read_by_layers(const Graph& graph, const std::vector<Shape>& shapes) {
    std::vector<bool> wanted(graph.values());
    for (size_t i = graph.nodes.size(); i-- > 0;) {
        const Node& node = graph.nodes[i];
        const size_t value = graph.inputs.size() + i;
        if (node.op == Op::conv || node.op == Op::conv_transpose) wanted[node.inputs[0]] = true;
        const bool keeps = node.op == Op::map || node.op == Op::concat || node.op == Op::pad || node.op == Op::resample ||
                           node.op == Op::pool || node.op == Op::adaptive_pool || node.is_layer();
        if (!keeps || !wanted[value]) continue;
        for (size_t k = node.is_layer() ? node.own_inputs() : 0; k < node.inputs.size(); ++k)
            if (shapes[node.inputs[k]].rank == shapes[value].rank) wanted[node.inputs[k]] = true;
    }
    return wanted;
}

// Whether a node makes the variance of the same channels as the one before it, value `mean`, makes the mean.
bool is_variance(const Node& node, const Node& before, size_t mean) {
    if (node.op != Op::reduce || node.reduction != Reduction::mean || node.axes != before.axes) return false;
    const auto& steps = node.program.steps;
    const auto is = [&](size_t i, Instruction instruction, uint16_t a, uint16_t b) {
        return steps[i].instruction == instruction && steps[i].operands[0] == a && steps[i].operands[1] == b;
    };
    return node.inputs == std::vector<size_t>{before.inputs[0], mean} && node.program.numbers.empty() &&
           steps.size() == 2 && is(0, Instruction::sub, 0, 1) && is(1, Instruction::mul, 2, 2);
}

}  // namespace

Arrangement::Arrangement(const Model& model, const std::vector<Shape>& inputs)
    : model_(model),
      inputs_(inputs),
      bound_(bind(model.graph(), inputs)),
      innermost_(read_by_layers(model.graph(), bound_.shapes)) {
    const Graph& graph = model.graph();
    readers_.assign(graph.values(), 0);
    output_of_.assign(graph.values(), none);
    layers_.resize(graph.values());
    extremes_of_.assign(graph.values(), none);
    mapped_.resize(graph.values());
    repeats_.assign(graph.values(), none);
    for (const Node& node : graph.nodes)
        for (size_t value : node.inputs) ++readers_[value];
    for (size_t i = 0; i < graph.outputs.size(); ++i) {
        ++readers_[graph.outputs[i].value];
        output_of_[graph.outputs[i].value] = i;
    }
    homes_ = find_homes(graph, bound_, innermost_, output_of_);
    for (size_t i = 0; i < graph.inputs.size(); ++i)
        places_.push_back({Place::Of::input, i, 0, shape(i), row_major(shape(i))});
    for (size_t i = 0; i < graph.nodes.size(); ++i) arrange(i);
    arrange_outputs();
    finish_memory();
}

void Arrangement::run(const Call& call) const {
    for (const Step& step : steps_) step(call);
}

void Arrangement::arrange(size_t i) {
    const Node& node = model_.graph().nodes[i];
    const size_t value = places_.size();
    switch (node.op) {
        case Op::conv:
        case Op::conv_transpose:
        case Op::linear: return node.weight == none ? arrange_computed_layer(node, value) : arrange_layer(i, value);
        case Op::map: return arrange_map(node, value);
        case Op::reduce: return arrange_reduce(node, value);
        case Op::constant:
            return places_.push_back({Place::Of::constant, node.tensor, 0, shape(value), row_major(shape(value))});
        case Op::range: return arrange_range(node, value);
        case Op::reshape: return arrange_reshape(node, value);
        case Op::permute: return arrange_permute(node, value);
        case Op::expand: return arrange_expand(node, value);
        case Op::slice: return arrange_slice(node, value);
        case Op::concat: return arrange_concat(node, value);
        case Op::pad: return arrange_pad(node, value);
        case Op::take: return arrange_take(node, value);
        case Op::resample: return arrange_resample(node, value);
        case Op::pool:
        case Op::adaptive_pool: return arrange_pool(node, value);
        case Op::matmul: return arrange_matmul(node, value);
    }
}

// Places.

Arrangement::Place Arrangement::buffer(const Shape& shape, const Strides& strides) {
    buffers_.push_back({static_cast<uint64_t>(shape.size()), steps_.size(), steps_.size()});
    return {Place::Of::buffer, buffers_.size() - 1, 0, shape, strides};
}

// Where a value is made that is part of another, or that others are made in.
Arrangement::Place Arrangement::home(size_t value) {
    const auto known = reserved_.find(value);
    if (known != reserved_.end()) return known->second;
    const Home& home_of = homes_[value];
    if (home_of.in == none) return reserved_[value] = buffer(shape(value), channels_innermost(shape(value)));
    Place place = home(home_of.in);
    for (size_t axis = 0; axis < place.shape.rank; ++axis) place.offset += home_of.begin[axis] * place.strides[axis];
    place.shape = shape(value);
    return place;
}

// Where the numbers of a value go: to the caller, where nobody else reads them.
Arrangement::Place Arrangement::destination(size_t value, const Strides& strides) {
    if (homes_[value].in != none || reserved_.count(value)) return home(value);
    if (output_of_[value] == none || readers_[value] > 1) return buffer(shape(value), strides);
    return {Place::Of::output, output_of_[value], 0, shape(value), row_major(shape(value))};
}

// The order in which a value is kept: as layers want it, or else like what it is made of.
Strides Arrangement::order(size_t value, const Place* like) const {
    const Shape& made = shape(value);
    if (innermost_[value] && has_channels(made)) return channels_innermost(made);
    return like && like->shape.rank == made.rank ? dense_like(made, like->strides) : row_major(made);
}

// The first of some places that has this shape, or nullptr.
const Arrangement::Place* Arrangement::of_shape(const std::vector<Place>& places, const Shape& shape) {
    for (const Place& place : places)
        if (place.shape == shape && place.of != Place::Of::constant) return &place;
    return nullptr;
}

// The same numbers with these strides and nothing else beside them in each image, copied if need be.
Arrangement::Place Arrangement::arranged(const Place& place, const Strides& strides) {
    if (is_whole(place) && same_places(place.shape, place.strides, strides)) return place;
    const Place copied = buffer(place.shape, strides);
    copy_to(place, copied);
    return copied;
}

bool Arrangement::is_whole(const Place& place) const {
    const int64_t size = place.shape.size();
    if (place.offset) return false;
    if (place.of == Place::Of::buffer) return buffers_[place.index].size == static_cast<uint64_t>(size);
    return place.of == Place::Of::input && inputs_[place.index].size() == size;
}

// Whether layers can read it as it lies: the channels of a pixel side by side, and rows and pixels in order.
bool Arrangement::is_image(const Place& place) const {
    if (!has_channels(place.shape) || place.of == Place::Of::constant) return false;
    if (place.shape[1] > 1 && place.strides[1] != 1) return false;
    for (size_t axis = 2; axis < place.shape.rank; ++axis)
        if (place.shape[axis] > 1 && place.strides[axis] < place.shape[1]) return false;
    return true;
}

Layout Arrangement::layout(const Place& place) const {
    const size_t rank = place.shape.rank;
    const int64_t image = place.of == Place::Of::buffer   ? static_cast<int64_t>(buffers_[place.index].size)
                          : place.of == Place::Of::output ? output(place.index).size()
                                                          : inputs_[place.index].size();
    const int64_t pixel = place.strides[rank - 1];
    return {image, rank == 4 ? place.strides[2] : place.shape[rank - 1] * pixel, pixel};
}

bool Arrangement::is_same(const Place& place, const Place& other) {
    return place.of == other.of && place.index == other.index && place.offset == other.offset && place.shape == other.shape &&
           same_places(place.shape, place.strides, other.strides);
}

// What a program reads: the inputs from `first` on, broadcast.
std::vector<Arrangement::Place> Arrangement::operands(const Node& node, size_t first, const Shape& shape) const {
    std::vector<Place> places;
    for (size_t i = first; i < node.inputs.size(); ++i) {
        Place place = input(node, i);
        place.strides = broadcast(place.shape, place.strides, shape);
        place.shape = shape;
        places.push_back(place);
    }
    return places;
}

void Arrangement::copy_to(const Place& from, const Place& to) {
    add({&from, &to}, [=](const Call& call) {
        for (size_t image = 0; image < call.images; ++image)
            copy(reads(from, call, image), writes(to, call, image), model_.threads());
    });
}

void Arrangement::add(std::initializer_list<const Place*> places, Step step) {
    for (const Place* place : places) touch(*place);
    steps_.push_back(std::move(step));
}

// The next step reads or writes it.
void Arrangement::touch(const Place& place) {
    if (place.of == Place::Of::buffer) buffers_[place.index].last = steps_.size();
}

void Arrangement::finish_memory() {
    // Numbers for one image: 4 GiB, and with what aligns it no more than an address can say.
    constexpr uint64_t max_workspace = std::min<uint64_t>(uint64_t{1} << 30, (SIZE_MAX - cache_line) / sizeof(float));
    std::vector<Block*> blocks;
    for (Block& block : buffers_) blocks.push_back(&block);
    for (Block& block : extremes_) blocks.push_back(&block);
    const uint64_t scratch = std::max<uint64_t>(scratch_.bytes(model_.threads().count()), other_scratch_);
    const uint64_t workspace = plan_memory(blocks, scratch / sizeof(float) + 1);
    if (workspace > max_workspace)
        fail("needs ", workspace >> 18, " MiB for one image of this size; at most ", (max_workspace + 1) >> 18,
             " are allowed: work in tiles");
    workspace_ = static_cast<size_t>(workspace);
}

float* Arrangement::writable(const Place& place, const Call& call, size_t image) const {
    if (place.of == Place::Of::output)
        return call.outputs[place.index] + image * static_cast<size_t>(output(place.index).size()) + place.offset;
    const Block& block = buffers_[place.index];
    return call.workspace + block.place() * call.images + image * static_cast<size_t>(block.size) + place.offset;
}

const float* Arrangement::address(const Place& place, const Call& call, size_t image) const {
    if (place.of == Place::Of::input)
        return call.inputs[place.index] + image * static_cast<size_t>(inputs_[place.index].size()) + place.offset;
    if (place.of == Place::Of::constant) return model_.constant(place.index) + place.offset;
    return writable(place, call, image);
}

Reads Arrangement::reads(const Place& place, const Call& call, size_t image) const {
    return {address(place, call, image), place.shape, place.strides};
}

Writes Arrangement::writes(const Place& place, const Call& call, size_t image) const {
    return {writable(place, call, image), place.shape, place.strides};
}

// Layers.

void Arrangement::arrange_layer(size_t index, size_t value) {
    const Graph& graph = model_.graph();
    const Node& node = graph.nodes[index];
    const Strides strides = node.op == Op::linear ? row_major(shape(value)) : channels_innermost(shape(value));
    const Shape& from = shape(node.inputs[0]);
    const LayerShape sizes = layer_shape(node, from, shape(value));
    std::shared_ptr<const Layer> layer = model_.layer(index, sizes);
    const bool linear = node.op == Op::linear, anywhere = !linear && layer->takes_any_layout();
    if (!anywhere) homes_[value] = {};  // it is copied there
    const Place in = anywhere && is_image(input(node))
                         ? input(node)
                         : arranged(input(node), linear ? row_major(from) : channels_innermost(from));
    const bool tail = !node.program.steps.empty() && model_.epilogue(node).activation == Activation::none;
    const bool direct = !tail && same_places(shape(value), strides, row_major(shape(value)));
    const bool settled = homes_[value].in != none;
    const Place out = direct || settled ? destination(value, strides) : buffer(shape(value), strides);
    const Layout read = linear ? packed(sizes.input) : layout(in), written = linear ? packed(sizes.output) : layout(out);
    const bool planes = !tail && out.of == Place::Of::buffer && layer->makes_planes() && output_of_[value] != none;
    const size_t told = extremes_for(node.inputs[0], *layer), position = operations_.size();
    operations_.push_back(layer->operations());
    scratch_.include(layer->scratch(model_.threads().count()));
    layers_[value] = tail ? nullptr : layer;
    if (planes) made_.insert(output_of_[value]);
    add({&in, &out}, [=](const Call& call) {
        const double start = call.seconds ? seconds_now() : 0;
        SharedExtremes* made = tail ? nullptr : extremes(extremes_of_[value], call);  // else its program finds them
        for (size_t image = 0; made && image < call.images; ++image) new (made + image) SharedExtremes;
        const Output results = {writable(out, call, 0), written, planes ? call.outputs[output_of_[value]] : nullptr, made};
        layer->run({address(in, call, 0), read, extremes(told, call)}, call.images,
                   reinterpret_cast<uint8_t*>(call.workspace), scratch_, results, model_.threads());
        if (call.seconds) call.seconds[position] += seconds_now() - start;
    });
    if (tail) return arrange_tail(node, out, value);
    places_.push_back(out);
}

// Whether the extremes of a value are found as it is made, as this layer wants them.
bool Arrangement::may_tell(size_t value, const Layer& layer) const {
    if (repeats_[value] != none) return may_tell(repeats_[value], layer);
    const auto tells = [&](size_t part) { return may_tell(part, layer); };
    if (const Node* node = joined(value)) return std::all_of(node->inputs.begin(), node->inputs.end(), tells);
    if (places_[value].of != Place::Of::buffer) return false;
    return layers_[value] ? layers_[value]->finds_extremes_for(layer) : mapped_[value] && layer.may_be_told(shape(value)[1]);
}

// Which block has them, or none.
size_t Arrangement::extremes_for(size_t value, const Layer& layer) {
    if (!may_tell(value, layer)) return none;
    while (repeats_[value] != none) value = repeats_[value];
    size_t& block = extremes_of_[value];
    if (block == none) {
        const Node* node = joined(value);
        if (node) join_extremes(*node, value, layer);
        const size_t first = node ? steps_.size() - 1 : buffers_[places_[value].index].first;
        extremes_.push_back({extremes_numbers, first, 0});
        block = extremes_.size() - 1;
    }
    extremes_[block].last = steps_.size();
    return block;
}

// The node that joins channels to this value, or nullptr.
const Node* Arrangement::joined(size_t value) const {
    if (value < inputs_.size()) return nullptr;
    const Node& node = model_.graph().nodes[value - inputs_.size()];
    return node.op == Op::concat && has_channels(shape(value)) ? &node : nullptr;
}

void Arrangement::join_extremes(const Node& node, size_t value, const Layer& layer) {
    std::vector<size_t> blocks;
    for (size_t part : node.inputs) blocks.push_back(extremes_for(part, layer));
    steps_.push_back([=](const Call& call) {
        for (size_t image = 0; image < call.images; ++image) {
            auto* all = new (extremes(extremes_of_[value], call) + image) SharedExtremes;
            for (size_t block : blocks) all->add(extremes(block, call)[image].get());
        }
    });
}

SharedExtremes* Arrangement::extremes(size_t block, const Call& call) const {
    return block == none ? nullptr
                         : reinterpret_cast<SharedExtremes*>(call.workspace + extremes_[block].place() * call.images);
}

// What comes after a layer's sums, where they lie or on the way out.
void Arrangement::arrange_tail(const Node& node, const Place& sum, size_t value) {
    std::vector<Place> places = operands(node, node.own_inputs(), shape(value));
    places.insert(places.begin(), sum);
    const bool last = output_of_[value] != none && readers_[value] == 1;
    const Place out = last ? destination(value, sum.strides) : sum;
    add_map(node, places, out, value);
    places_.push_back(out);
}

// A layer whose weights are a value: they are arranged in each run, for each image.
void Arrangement::arrange_computed_layer(const Node& node, size_t value) {
    const Place in = arranged(input(node), channels_innermost(shape(node.inputs[0])));
    const Place weights = arranged(input(node, 1), row_major(shape(node.inputs[1])));
    const Place out = buffer(shape(value), channels_innermost(shape(value)));
    const LayerShape sizes = layer_shape(node, in.shape, out.shape);
    const auto make = [=, &node](const float* numbers) {
        const auto groups = static_cast<size_t>(sizes.groups);
        const CanonicalWeights canonical(numbers, groups, static_cast<size_t>(sizes.output.channels) / groups,
                                         static_cast<size_t>(sizes.input.channels) / groups,
                                         static_cast<size_t>(sizes.y.kernel * sizes.x.kernel));
        const auto arrange = [this](const CanonicalWeights& all, const Product& product) {
            return std::make_shared<const Weights>(all, product, model_.threads());
        };
        return Layer(node.name, sizes, canonical, {false, true}, arrange, model_.epilogue(node), model_.kernels());
    };
    const std::vector<float> zeros(static_cast<size_t>(weights.shape.size()));
    scratch_.include(make(zeros.data()).scratch(model_.threads().count()));
    add({&in, &weights, &out}, [=](const Call& call) {
        for (size_t image = 0; image < call.images; ++image)
            make(address(weights, call, image))
                .run({address(in, call, image), packed(sizes.input)}, 1, reinterpret_cast<uint8_t*>(call.workspace),
                     scratch_, {writable(out, call, image), packed(sizes.output)}, model_.threads());
    });
    const bool tail = !node.program.steps.empty() && model_.epilogue(node).activation == Activation::none;
    if (tail) return arrange_tail(node, out, value);
    places_.push_back(out);
}

// Element by element.

void Arrangement::add_map(const Node& node, const std::vector<Place>& places, const Place& out, size_t value) {
    for (const Place& place : places) touch(place);
    mapped_[value] = is_image(out);
    add({&out}, [=, program = bound_.program(node.program)](const Call& call) {
        Reads inputs[max_program_inputs];
        SharedExtremes* made = extremes(extremes_of_[value], call);
        for (size_t image = 0; image < call.images; ++image) {
            for (size_t i = 0; i < places.size(); ++i) inputs[i] = reads(places[i], call, image);
            map(program, inputs, writes(out, call, image), model_.kernels(), model_.threads(),
                made ? new (made + image) SharedExtremes : nullptr);
        }
    });
}

void Arrangement::arrange_map(const Node& node, size_t value) {
    std::vector<Place> inputs;
    for (size_t read : node.inputs) inputs.push_back(places_[read]);
    const Place out = destination(value, order(value, of_shape(inputs, shape(value))));
    add_map(node, operands(node, 0, shape(value)), out, value);
    places_.push_back(out);
}

void Arrangement::arrange_reduce(const Node& node, size_t value) {
    const auto known = variances_.find(value);
    if (known != variances_.end()) return places_.push_back(known->second);
    if (arrange_moments(node, value)) return;
    std::vector<Shape> shapes;
    for (size_t read : node.inputs) shapes.push_back(shape(read));
    const Shape all = broadcast(shapes);
    const std::vector<Place> places = operands(node, 0, all);
    const Place out = destination(value, row_major(shape(value)));
    for (const Place& place : places) touch(place);
    add({&out}, [=, kind = node.reduction, program = bound_.program(node.program)](const Call& call) {
        Reads inputs[max_program_inputs];
        for (size_t image = 0; image < call.images; ++image) {
            for (size_t i = 0; i < places.size(); ++i) inputs[i] = reads(places[i], call, image);
            reduce(kind, program, inputs, all, writes(out, call, image), model_.kernels(), model_.threads());
        }
    });
    places_.push_back(out);
}

// The mean of each channel, and the variance that the next node makes, in one pass.
bool Arrangement::arrange_moments(const Node& node, size_t value) {
    const auto& nodes = model_.graph().nodes;
    const size_t next = value - inputs_.size() + 1;
    if (node.reduction != Reduction::mean || !node.program.steps.empty() || node.inputs.size() != 1) return false;
    if (next == nodes.size() || !is_variance(nodes[next], node, value)) return false;
    const Place in = input(node);
    const bool alone = homes_[value].in == none && homes_[value + 1].in == none;
    const bool of_channels = shape(value)[1] == in.shape[1] && shape(value).size() == in.shape[1];
    if (!alone || !is_image(in) || !of_channels) return false;
    const size_t rank = in.shape.rank;
    const Image image = {in.shape[1], rank == 4 ? in.shape[2] : 1, in.shape[rank - 1]};
    const Place mean = destination(value, row_major(shape(value)));
    const Place variance = destination(value + 1, row_major(shape(value + 1)));
    add({&in, &mean, &variance}, [=, rows = layout(in)](const Call& call) {
        for (size_t i = 0; i < call.images; ++i)
            moments(address(in, call, i), image, rows, writable(mean, call, i), writable(variance, call, i),
                    model_.kernels(), model_.threads());
    });
    places_.push_back(mean);
    variances_[value + 1] = variance;
    return true;
}

void Arrangement::arrange_range(const Node& node, size_t value) {
    const Place out = destination(value, row_major(shape(value)));
    add({&out}, [=, start = bound_(node.start), stride = bound_(node.stride)](const Call& call) {
        for (size_t image = 0; image < call.images; ++image) range(start, stride, writes(out, call, image));
    });
    places_.push_back(out);
}

// Where numbers stand.

// The same numbers, or a copy whose numbers, seen in the input's shape, are in its order.
void Arrangement::arrange_reshape(const Node& node, size_t value) {
    Place place = input(node);
    const Shape &from = place.shape, &to = shape(value);
    Strides strides;
    if (reshape_strides(from, place.strides, to, &strides)) {
        place.shape = to;
        place.strides = strides;
        return places_.push_back(place);
    }
    Strides kept = order(value, nullptr), seen;
    if (!reshape_strides(to, kept, from, &seen)) {
        kept = row_major(to);
        seen = row_major(from);
    }
    const Place out = destination(value, kept);
    Place other = out;
    other.shape = from;
    other.strides = out.of == Place::Of::output ? row_major(from) : seen;
    copy_to(input(node), other);
    places_.push_back(out);
}

void Arrangement::arrange_permute(const Node& node, size_t value) {
    Place place = input(node);
    place.shape = shape(value);
    for (size_t i = 0; i < place.shape.rank; ++i) place.strides[i] = input(node).strides[node.axes[i]];
    places_.push_back(place);
}

void Arrangement::arrange_expand(const Node& node, size_t value) {
    Place place = input(node);
    place.strides = broadcast(place.shape, place.strides, shape(value));
    place.shape = shape(value);
    places_.push_back(place);
}

void Arrangement::arrange_slice(const Node& node, size_t value) {
    Place place = input(node);
    place.offset += bound_(node.first) * place.strides[node.axis()];
    place.shape = shape(value);
    // Of a single number the step says nothing, and may be any.
    if (place.shape[node.axis()] > 1) place.strides[node.axis()] *= node.step;
    places_.push_back(place);
}

// Copies what does not lie there already.
void Arrangement::arrange_concat(const Node& node, size_t value) {
    if (lie_together(node)) {
        Place all = input(node);
        all.shape = shape(value);
        return places_.push_back(all);
    }
    const Place out = destination(value, order(value, &input(node)));
    Place part = out;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
        part.shape = shape(node.inputs[i]);
        if (!is_same(input(node, i), part)) copy_to(input(node, i), part);
        part.offset += part.shape[node.axis()] * part.strides[node.axis()];
    }
    places_.push_back(out);
}

// Whether a node's inputs lie one behind the other as if they were one already.
bool Arrangement::lie_together(const Node& node) const {
    Place next = input(node);
    if (next.of == Place::Of::constant) return false;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
        next.shape = shape(node.inputs[i]);
        if (!is_same(input(node, i), next) || input(node, i).strides[node.axis()] != next.strides[node.axis()]) return false;
        next.offset += next.shape[node.axis()] * next.strides[node.axis()];
    }
    return true;
}

void Arrangement::arrange_pad(const Node& node, size_t value) {
    const Place in = input(node), out = destination(value, order(value, &in));
    std::array<int64_t, max_rank> before{};
    for (size_t i = 0; i < node.before.size(); ++i) before[i] = bound_(node.before[i]);
    const bool whole = homes_[node.inputs[0]].in == value;  // else it may be cropped
    const bool same_channels = whole && shape(value)[1] == in.shape[1];
    if (same_channels && (node.padding != Padding::constant || node.value == 0)) repeats_[value] = node.inputs[0];
    add({&in, &out}, [=, mode = node.padding, number = node.value](const Call& call) {
        for (size_t image = 0; image < call.images; ++image)
            pad(reads(in, call, image), before.data(), mode, number, writes(out, call, image), model_.threads());
    });
    places_.push_back(out);
}

void Arrangement::arrange_take(const Node& node, size_t value) {
    const Place values = input(node), indices = input(node, 1), out = destination(value, row_major(shape(value)));
    add({&values, &indices, &out}, [=, &node](const Call& call) {
        for (size_t image = 0; image < call.images; ++image)
            if (!take(reads(values, call, image), node.axis(), reads(indices, call, image), writes(out, call, image), model_.threads()))
                fail("layer ", quote(node.name), ": is given an index that is not in 0 .. ", values.shape[node.axis()] - 1);
    });
    places_.push_back(out);
}

// One axis after another.
void Arrangement::arrange_resample(const Node& node, size_t value) {
    if (repeats_pixels(node, value)) return;
    Place from = input(node);
    for (size_t i = 0; i < node.axes.size(); ++i) {
        const size_t axis = node.axes[i];
        const bool last = i + 1 == node.axes.size();
        Shape made = from.shape;
        made[axis] = shape(value)[axis];
        const Place to = last ? destination(value, order(value, &from)) : buffer(made, dense_like(made, from.strides));
        const float step = pixel_step(node, i, from.shape[axis], made[axis]);
        add({&from, &to}, [=, mode = node.resampling, corners = node.align_corners](const Call& call) {
            for (size_t image = 0; image < call.images; ++image)
                resample(reads(from, call, image), axis, mode, step, corners, writes(to, call, image), model_.kernels(),
                         model_.threads());
        });
        from = to;
    }
    places_.push_back(from);
}

float Arrangement::pixel_step(const Node& node, size_t i, int64_t in, int64_t out) {
    if (node.steps[i] >= 0) return node.steps[i];
    if (!node.align_corners) return static_cast<float>(in) / static_cast<float>(out);
    return out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1) : 0;
}

// Where each pixel is repeated a whole number of times, that is a view of it, copied once.
bool Arrangement::repeats_pixels(const Node& node, size_t value) {
    Place seen = input(node);
    const Shape &from = input(node).shape, &to = shape(value);
    if (node.resampling != Resampling::nearest || from.rank + node.axes.size() > max_rank) return false;
    for (size_t i = node.axes.size(); i-- > 0;) {
        const size_t axis = node.axes[i];
        const int64_t times = to[axis] / from[axis];
        const float step = pixel_step(node, i, from[axis], to[axis]);
        for (int64_t pixel = 0; pixel < to[axis]; ++pixel)
            if (times < 1 || pixel / times >= from[axis] || nearest(pixel, step, from[axis]) != pixel / times) return false;
        for (size_t k = seen.shape.rank++; k > axis + 1; --k) {
            seen.shape[k] = seen.shape[k - 1];
            seen.strides[k] = seen.strides[k - 1];
        }
        seen.shape[axis + 1] = times;
        seen.strides[axis + 1] = 0;
    }
    if (seen.shape.size() != to.size()) return false;
    const Place out = destination(value, order(value, &input(node)));
    Place repeated = out;
    repeated.shape = seen.shape;
    if (!reshape_strides(to, out.strides, seen.shape, &repeated.strides)) return false;
    if (has_channels(to) && to[1] == from[1]) repeats_[value] = node.inputs[0];
    copy_to(seen, repeated);
    places_.push_back(out);
    return true;
}

void Arrangement::arrange_pool(const Node& node, size_t value) {
    const Place in = input(node), out = destination(value, order(value, &in));
    add({&in, &out}, [=, &node](const Call& call) {
        for (size_t image = 0; image < call.images; ++image) {
            const Reads from = reads(in, call, image);
            const Writes to = writes(out, call, image);
            if (node.op == Op::pool)
                pool(from, node.mean, node.windows.data(), node.windows.size(), node.padded, to, model_.kernels(),
                     model_.threads());
            else
                adaptive_pool(from, node.mean, node.axes[0], node.axes.size(), to, model_.kernels(), model_.threads());
        }
    });
    places_.push_back(out);
}

void Arrangement::arrange_matmul(const Node& node, size_t value) {
    const Shape& made = shape(value);
    Place a = input(node), b = input(node, 1);
    for (Place* place : {&a, &b}) {
        Shape all = made;  // but for the last two
        const size_t rank = place->shape.rank;
        all[made.rank - 2] = place->shape[rank - 2];
        all[made.rank - 1] = place->shape[rank - 1];
        Strides strides = broadcast(place->shape, place->strides, all);
        place->shape = all;
        place->strides = strides;
    }
    const Place out = destination(value, row_major(made));
    const Kernels& kernels = model_.kernels();
    other_scratch_ = std::max(other_scratch_, matmul_scratch(a.shape, b.shape, kernels, model_.threads().count()));
    add({&a, &b, &out}, [=, &kernels](const Call& call) {
        for (size_t image = 0; image < call.images; ++image)
            matmul(reads(a, call, image), reads(b, call, image), writes(out, call, image),
                   reinterpret_cast<uint8_t*>(call.workspace), kernels, model_.threads());
    });
    places_.push_back(out);
}

void Arrangement::arrange_outputs() {
    const auto& outputs = model_.graph().outputs;
    for (size_t i = 0; i < outputs.size(); ++i) {
        const Place& place = places_[outputs[i].value];
        if (place.of == Place::Of::output || made_.count(i)) continue;
        copy_to(place, {Place::Of::output, i, 0, place.shape, row_major(place.shape)});
    }
}

}  // namespace pbgen
