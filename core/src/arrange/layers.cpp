// Layers with weights. They read and write images with the channels innermost.
#include <new>

#include "arranging.h"
#include "views.h"

namespace pbgen {
namespace {

// Whether its program is more than an activation that layers do themselves.
bool has_tail(const Arranging& all, const Node& node) {
    return !node.program.steps.empty() && all.model.epilogue(node).activation == Activation::none;
}

// What comes after a layer's sums, where they lie or on the way out.
Place arrange_tail(Arranging& all, const Node& node, const Place& sum, size_t value) {
    std::vector<Place> places = all.places.operands(node, node.own_inputs(), all.shape(value));
    places.insert(places.begin(), sum);
    const Place out = all.uses.only_output[value] ? all.places.destination(value, sum.strides) : sum;
    add_program(all, node, places, out, value);
    return out;
}

Place place_to_read(Arranging& all, const Node& node, bool anywhere) {
    const Place& given = all.places.input(node);
    if (anywhere && is_image(given)) return given;
    const bool linear = node.op == Op::linear;
    return all.schedule.packed(given, linear ? row_major(given.shape) : channels_innermost(given.shape));
}

// With the caller or in another value, if it can lie there.
Place place_to_write(Arranging& all, const Node& node, size_t value, bool tail) {
    const Shape& made = all.shape(value);
    const Strides strides = node.op == Op::linear ? row_major(made) : channels_innermost(made);
    const bool direct = !tail && same_places(made, strides, row_major(made));
    if (direct || all.places.home(value) != none) return all.places.destination(value, strides);
    return all.schedule.buffer(made, strides);
}

Place arrange_known_layer(Arranging& all, const Node& node, size_t value) {
    const LayerShape sizes = layer_shape(node, all.shape(node.inputs[0]), all.shape(value));
    const std::shared_ptr<const Layer> layer = all.model.layer(all.model.graph().maker(value), sizes);
    const bool linear = node.op == Op::linear, tail = has_tail(all, node);
    const bool anywhere = !linear && layer->takes_any_layout();
    if (!anywhere) all.places.leave_home(value);
    const Place in = place_to_read(all, node, anywhere), out = place_to_write(all, node, value, tail);
    const Layout read = linear ? packed(sizes.input) : layout(in);
    const Layout written = linear ? packed(sizes.output) : layout(out);
    const size_t output = all.uses.output[value];
    const bool planes = !tail && out.of == Place::Of::buffer && layer->makes_planes() && output != none;
    if (planes) all.written.insert(output);
    const size_t told = all.tellers.ask(node.inputs[0], *layer), tells = tail ? none : value;  // else its program does
    if (!tail) all.tellers.made_by(value, layer.get());
    all.schedule.include_scratch(layer->scratch(all.model.threads().count()));
    all.schedule.add_layer({&in, &out}, layer->operations(), [=](const Run& run) {
        const size_t images = run.call.images;
        SharedExtremes* made = run.extremes(tells);
        for (size_t image = 0; made && image < images; ++image) new (made + image) SharedExtremes;
        const Output results = {run.writable(out), written, planes ? run.call.outputs[output] : nullptr, made};
        layer->run({run.address(in), read, run.extremes(told)}, images, run.scratch(), run.scratch_size(), results,
                   run.threads());
    });
    return tail ? arrange_tail(all, node, out, value) : out;
}

// Its weights are a value: they are arranged in each run, for each image.
Place arrange_computed_layer(Arranging& all, const Node& node, size_t value) {
    const Shape &from = all.shape(node.inputs[0]), &weight = all.shape(node.inputs[1]), &to = all.shape(value);
    const Place in = all.schedule.packed(all.places.input(node), channels_innermost(from));
    const Place weights = all.schedule.packed(all.places.input(node, 1), row_major(weight));
    const Place out = all.schedule.buffer(to, channels_innermost(to));
    const LayerShape sizes = layer_shape(node, from, to);
    const auto make = [&node, sizes, &model = all.model](const float* numbers) {
        const auto groups = static_cast<size_t>(sizes.groups);
        const CanonicalWeights canonical(numbers, groups, static_cast<size_t>(sizes.output.channels) / groups,
                                         static_cast<size_t>(sizes.input.channels) / groups,
                                         static_cast<size_t>(sizes.y.kernel * sizes.x.kernel));
        const auto arrange = [&model](const CanonicalWeights& them, const Product& product) {
            return std::make_shared<const Weights>(them, product, model.threads());
        };
        return Layer(node.name, sizes, canonical, {false, true}, arrange, model.epilogue(node), model.kernels());
    };
    const std::vector<float> zeros(static_cast<size_t>(weight.size()));
    all.schedule.include_scratch(make(zeros.data()).scratch(all.model.threads().count()));
    all.schedule.add({&in, &weights, &out}, [=](const Run& run) {
        make(run.address(weights)).run({run.address(in), packed(sizes.input)}, 1, run.scratch(), run.scratch_size(),
                                       {run.writable(out), packed(sizes.output)}, run.threads());
    });
    return has_tail(all, node) ? arrange_tail(all, node, out, value) : out;
}

}  // namespace

Place arrange_layer(Arranging& all, const Node& node, size_t value) {
    return node.weight == none ? arrange_computed_layer(all, node, value) : arrange_known_layer(all, node, value);
}

}  // namespace pbgen
