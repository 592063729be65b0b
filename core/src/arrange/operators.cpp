// Operators without weights that compute.
#include <cmath>
#include <new>

#include "arranging.h"
#include "views.h"

namespace pbgen {

// Element by element.

void add_program(Arranging& all, const Node& node, const std::vector<Place>& places, const Place& out, size_t value) {
    for (const Place& place : places) all.schedule.touch(place);
    if (is_image(out)) all.tellers.made_by_program(value);
    all.schedule.add({&out}, [places, out, value, program = all.bound.program(node.program)](const Run& run) {
        Reads inputs[max_program_inputs];
        for (size_t i = 0; i < places.size(); ++i) inputs[i] = run.reads(places[i]);
        SharedExtremes* made = run.extremes(value);
        map(program, inputs, run.writes(out), run.kernels(), run.threads(), made ? new (made) SharedExtremes : nullptr);
    });
}

// In the order of the first input that has its shape.
Place arrange_map(Arranging& all, const Node& node, size_t value) {
    const Shape& shape = all.shape(value);
    const Place* like = nullptr;
    for (size_t i = node.inputs.size(); i-- > 0;) {
        const Place& input = all.places.input(node, i);
        if (input.shape == shape && input.of != Place::Of::constant) like = &input;
    }
    const Place out = all.places.destination(value, all.places.order(value, like));
    add_program(all, node, all.places.operands(node, 0, shape), out, value);
    return out;
}

namespace {

// The mean of each channel and its variance, in one pass that the latter's node adds.
Place arrange_moment(Arranging& all, const Node& node, size_t value) {
    const Place made = all.places.destination(value, row_major(all.shape(value)));
    if (all.moments[value] == Moment::mean) return made;
    const Place in = all.places.input(node), mean = all.places.input(node, 1);
    const size_t rank = in.shape.rank;
    const Image image = {in.shape[1], rank == 4 ? in.shape[2] : 1, in.shape[rank - 1]};
    all.schedule.add({&in, &mean, &made}, [=, rows = layout(in)](const Run& run) {
        moments(run.address(in), image, rows, run.writable(mean), run.writable(made), run.kernels(), run.threads());
    });
    return made;
}

}  // namespace

Place arrange_reduce(Arranging& all, const Node& node, size_t value) {
    const bool moment = all.moments[value] != Moment::neither && is_image(all.places.input(node));
    if (moment) return arrange_moment(all, node, value);
    std::vector<Shape> shapes;
    for (size_t read : node.inputs) shapes.push_back(all.shape(read));
    const Shape whole = broadcast(shapes);
    const std::vector<Place> places = all.places.operands(node, 0, whole);
    const Place out = all.places.destination(value, row_major(all.shape(value)));
    for (const Place& place : places) all.schedule.touch(place);
    all.schedule.add({&out}, [places, out, whole, &node, program = all.bound.program(node.program)](const Run& run) {
        Reads inputs[max_program_inputs];
        for (size_t i = 0; i < places.size(); ++i) inputs[i] = run.reads(places[i]);
        reduce(node.reduction, program, inputs, whole, run.writes(out), run.kernels(), run.threads());
    });
    return out;
}

// Resampling.

namespace {

float pixel_step(const Node& node, size_t axis, int64_t in, int64_t out) {
    if (node.steps[axis] >= 0) return node.steps[axis];
    if (!node.align_corners) return static_cast<float>(in) / static_cast<float>(out);
    return out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1) : 0;
}

// As resampling finds the nearest pixel: in float32, since the product must round to the same side of an integer.
int64_t nearest(int64_t out, float step, int64_t inputs) {
    const float at = std::floor(static_cast<float>(out) * step);
    return std::min(static_cast<int64_t>(std::min(at, static_cast<float>(inputs))), inputs - 1);
}

// Its input seen so that each pixel is repeated a whole number of times, if that is what it does.
bool see_repeated(const Node& node, const Shape& to, Place* seen) {
    const Shape from = seen->shape;
    if (node.resampling != Resampling::nearest || from.rank + node.axes.size() > max_rank) return false;
    for (size_t i = node.axes.size(); i-- > 0;) {
        const size_t axis = node.axes[i];
        const int64_t times = to[axis] / from[axis];
        const float step = pixel_step(node, i, from[axis], to[axis]);
        for (int64_t pixel = 0; pixel < to[axis]; ++pixel)
            if (times < 1 || pixel / times >= from[axis] || nearest(pixel, step, from[axis]) != pixel / times)
                return false;
        for (size_t k = seen->shape.rank++; k > axis + 1; --k) {
            seen->shape[k] = seen->shape[k - 1];
            seen->strides[k] = seen->strides[k - 1];
        }
        seen->shape[axis + 1] = times;
        seen->strides[axis + 1] = 0;
    }
    return seen->shape.size() == to.size();
}

// One axis after another.
Place resample_axes(Arranging& all, const Node& node, size_t value) {
    Place from = all.places.input(node);
    for (size_t i = 0; i < node.axes.size(); ++i) {
        const size_t axis = node.axes[i];
        Shape made = from.shape;
        made[axis] = all.shape(value)[axis];
        const bool last = i + 1 == node.axes.size();
        const Place to = last ? all.places.destination(value, all.places.order(value, &from))
                              : all.schedule.buffer(made, dense_like(made, from.strides));
        const float step = pixel_step(node, i, from.shape[axis], made[axis]);
        all.schedule.add({&from, &to}, [from, to, axis, step, &node](const Run& run) {
            resample(run.reads(from), axis, node.resampling, step, node.align_corners, run.writes(to), run.kernels(),
                     run.threads());
        });
        from = to;
    }
    return from;
}

}  // namespace

// A view of each pixel repeated, copied once, if it can be.
Place arrange_resample(Arranging& all, const Node& node, size_t value) {
    const Shape &from = all.shape(node.inputs[0]), &to = all.shape(value);
    Place seen = all.places.input(node);
    if (!see_repeated(node, to, &seen)) return resample_axes(all, node, value);
    const Place out = all.places.destination(value, all.places.order(value, &all.places.input(node)));
    Place repeated = out;
    repeated.shape = seen.shape;
    if (!reshape_strides(to, out.strides, seen.shape, &repeated.strides)) return resample_axes(all, node, value);
    if (has_channels(to) && to[1] == from[1]) all.tellers.repeats(value, node.inputs[0]);
    all.schedule.copy(seen, repeated);
    return out;
}

Place arrange_pool(Arranging& all, const Node& node, size_t value) {
    const Place in = all.places.input(node), out = all.places.destination(value, all.places.order(value, &in));
    all.schedule.add({&in, &out}, [in, out, &node](const Run& run) {
        const Reads from = run.reads(in);
        const Writes to = run.writes(out);
        if (node.op == Op::pool)
            pool(from, node.mean, node.windows.data(), node.windows.size(), node.padded, to, run.kernels(),
                 run.threads());
        else
            adaptive_pool(from, node.mean, node.axes[0], node.axes.size(), to, run.kernels(), run.threads());
    });
    return out;
}

Place arrange_matmul(Arranging& all, const Node& node, size_t value) {
    const Shape& made = all.shape(value);
    Place a = all.places.input(node), b = all.places.input(node, 1);
    for (Place* place : {&a, &b}) {
        Shape whole = made;  // but for the last two
        const size_t rank = place->shape.rank;
        whole[made.rank - 2] = place->shape[rank - 2];
        whole[made.rank - 1] = place->shape[rank - 1];
        place->strides = broadcast(place->shape, place->strides, whole);
        place->shape = whole;
    }
    const Place out = all.places.destination(value, row_major(made));
    all.schedule.include_scratch(matmul_scratch(a.shape, b.shape, all.model.kernels(), all.model.threads().count()));
    all.schedule.add({&a, &b, &out}, [a, b, out](const Run& run) {
        matmul(run.reads(a), run.reads(b), run.writes(out), run.scratch(), run.kernels(), run.threads());
    });
    return out;
}

}  // namespace pbgen
