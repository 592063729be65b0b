// Operators that only say where numbers stand: another view of them, or a copy where a view cannot be.
#include <array>

#include "../error.h"
#include "arranging.h"
#include "views.h"

namespace pbgen {

Place arrange_constant(Arranging& all, const Node& node, size_t value) {
    const Shape& shape = all.shape(value);
    return {Place::Of::constant, node.tensor, 0, 0, shape, row_major(shape)};
}

Place arrange_range(Arranging& all, const Node& node, size_t value) {
    const Place out = all.places.destination(value, row_major(all.shape(value)));
    all.schedule.add({&out}, [out, start = all.bound(node.start), stride = all.bound(node.stride)](const Run& run) {
        range(start, stride, run.writes(out));
    });
    return out;
}

// The same numbers, or a copy whose numbers, seen in the input's shape, are in its order.
Place arrange_reshape(Arranging& all, const Node& node, size_t value) {
    const Place& in = all.places.input(node);
    const Shape &from = in.shape, &to = all.shape(value);
    Place view = in;
    view.shape = to;
    view.strides = {};
    if (reshape_strides(from, in.strides, to, &view.strides)) return view;
    Strides kept = all.places.order(value, nullptr), seen;
    if (!reshape_strides(to, kept, from, &seen)) {
        kept = row_major(to);
        seen = row_major(from);
    }
    const Place out = all.places.destination(value, kept);
    Place other = out;
    other.shape = from;
    other.strides = out.of == Place::Of::output ? row_major(from) : seen;
    all.schedule.copy(in, other);
    return out;
}

Place arrange_permute(Arranging& all, const Node& node, size_t value) {
    const Place& in = all.places.input(node);
    Place view = in;
    view.shape = all.shape(value);
    for (size_t i = 0; i < view.shape.rank; ++i) view.strides[i] = in.strides[node.axes[i]];
    return view;
}

Place arrange_expand(Arranging& all, const Node& node, size_t value) {
    Place view = all.places.input(node);
    view.strides = broadcast(view.shape, view.strides, all.shape(value));
    view.shape = all.shape(value);
    return view;
}

Place arrange_slice(Arranging& all, const Node& node, size_t value) {
    Place view = all.places.input(node);
    const size_t axis = node.axis();
    view.offset += all.bound(node.first) * view.strides[axis];
    view.shape = all.shape(value);
    // Of a single number the step says nothing, and may be any.
    if (view.shape[axis] > 1) view.strides[axis] *= node.step;
    return view;
}

namespace {

// Whether a node's inputs lie one behind the other as if they were one already.
bool lie_together(const Arranging& all, const Node& node) {
    Place next = all.places.input(node);
    if (next.of == Place::Of::constant) return false;
    const size_t axis = node.axis();
    for (size_t i = 0; i < node.inputs.size(); ++i) {
        const Place& part = all.places.input(node, i);
        next.shape = part.shape;
        if (!is_same(part, next) || part.strides[axis] != next.strides[axis]) return false;
        next.offset += next.shape[axis] * next.strides[axis];
    }
    return true;
}

}  // namespace

// Copies what does not lie there already.
Place arrange_concat(Arranging& all, const Node& node, size_t value) {
    if (lie_together(all, node)) {
        Place view = all.places.input(node);
        view.shape = all.shape(value);
        return view;
    }
    const Place out = all.places.destination(value, all.places.order(value, &all.places.input(node)));
    Place part = out;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
        const Place& in = all.places.input(node, i);
        part.shape = in.shape;
        if (!is_same(in, part)) all.schedule.copy(in, part);
        part.offset += part.shape[node.axis()] * part.strides[node.axis()];
    }
    return out;
}

Place arrange_pad(Arranging& all, const Node& node, size_t value) {
    const Place in = all.places.input(node), out = all.places.destination(value, all.places.order(value, &in));
    std::array<int64_t, max_rank> before{};
    for (size_t i = 0; i < node.before.size(); ++i) before[i] = all.bound(node.before[i]);
    const bool whole = all.places.home(node.inputs[0]) == value;  // else it may be cropped
    const bool same_channels = whole && out.shape[1] == in.shape[1];
    const bool no_others = node.padding != Padding::constant || node.value == 0;
    if (same_channels && no_others) all.tellers.repeats(value, node.inputs[0]);
    all.schedule.add({&in, &out}, [in, out, before, &node](const Run& run) {
        pad(run.reads(in), before.data(), node.padding, node.value, run.writes(out), run.threads());
    });
    return out;
}

Place arrange_take(Arranging& all, const Node& node, size_t value) {
    const Place values = all.places.input(node), indices = all.places.input(node, 1);
    const Place out = all.places.destination(value, row_major(all.shape(value)));
    all.schedule.add({&values, &indices, &out}, [values, indices, out, &node](const Run& run) {
        if (!take(run.reads(values), node.axis(), run.reads(indices), run.writes(out), run.threads()))
            run.failure = concat("layer ", quote(node.name), ": is given an index that is not in 0 .. ",
                                 values.shape[node.axis()] - 1);
    });
    return out;
}

}  // namespace pbgen
