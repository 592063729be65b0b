#include "places.h"

#include "views.h"

namespace pbgen {

Places::Places(const Graph& graph, const Bound& bound, const Uses& uses, Schedule& schedule)
    : bound_(bound), uses_(uses), schedule_(schedule), homes_(find_homes(graph, bound, uses)) {
    for (size_t i = 0; i < graph.inputs.size(); ++i) {
        const Shape& shape = bound.shapes[i];
        add({Place::Of::input, i, shape.size(), 0, shape, row_major(shape)});
    }
}

std::vector<Place> Places::operands(const Node& node, size_t first, const Shape& shape) const {
    std::vector<Place> operands;
    for (size_t i = first; i < node.inputs.size(); ++i) {
        Place place = input(node, i);
        place.strides = broadcast(place.shape, place.strides, shape);
        place.shape = shape;
        operands.push_back(place);
    }
    return operands;
}

Strides Places::order(size_t value, const Place* like) const {
    const Shape& made = bound_.shapes[value];
    if (uses_.innermost[value] && has_channels(made)) return channels_innermost(made);
    return like && like->shape.rank == made.rank ? dense_like(made, like->strides) : row_major(made);
}

Place Places::destination(size_t value, const Strides& strides) {
    const Shape& shape = bound_.shapes[value];
    if (homes_[value].in != none || reserved_.count(value)) return reserve(value);
    if (!uses_.only_output[value]) return schedule_.buffer(shape, strides);
    return {Place::Of::output, uses_.output[value], shape.size(), 0, shape, row_major(shape)};
}

// Where a value is made that is part of another, or that others are made in.
Place Places::reserve(size_t value) {
    const auto known = reserved_.find(value);
    if (known != reserved_.end()) return known->second;
    const Shape& shape = bound_.shapes[value];
    const Home& home = homes_[value];
    if (home.in == none) return reserved_[value] = schedule_.buffer(shape, channels_innermost(shape));
    Place place = reserve(home.in);
    for (size_t axis = 0; axis < place.shape.rank; ++axis) place.offset += home.begin[axis] * place.strides[axis];
    place.shape = shape;
    return place;
}

}  // namespace pbgen
