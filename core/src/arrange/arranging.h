// What is known of a graph while it is arranged, and how each operator is.
#pragma once

#include <set>

#include "norms.h"
#include "tellers.h"

namespace pbgen {

struct Arranging {
    const Model& model;
    const Bound& bound;
    Schedule& schedule;
    const Uses uses = find_uses(model.graph(), bound.shapes);
    const std::vector<Moment> moments = find_moments(model.graph(), bound.shapes);
    Places places{model.graph(), bound, uses, schedule};
    Tellers tellers{model.graph(), bound, places, schedule};
    std::set<size_t> written{};  // outputs that a layer writes itself

    const Shape& shape(size_t value) const { return bound.shapes[value]; }
};

// Each adds the steps that make a value to the schedule, and returns where it lies then.

// layers.cpp
Place arrange_layer(Arranging& all, const Node& node, size_t value);

// operators.cpp: what computes.
Place arrange_map(Arranging& all, const Node& node, size_t value);
Place arrange_reduce(Arranging& all, const Node& node, size_t value);
Place arrange_resample(Arranging& all, const Node& node, size_t value);
Place arrange_pool(Arranging& all, const Node& node, size_t value);
Place arrange_matmul(Arranging& all, const Node& node, size_t value);
// The step that runs a node's program on these places.
void add_program(Arranging& all, const Node& node, const std::vector<Place>& places, const Place& out, size_t value);

// moves.cpp: what only says where numbers stand.
Place arrange_constant(Arranging& all, const Node& node, size_t value);
Place arrange_range(Arranging& all, const Node& node, size_t value);
Place arrange_reshape(Arranging& all, const Node& node, size_t value);
Place arrange_permute(Arranging& all, const Node& node, size_t value);
Place arrange_expand(Arranging& all, const Node& node, size_t value);
Place arrange_slice(Arranging& all, const Node& node, size_t value);
Place arrange_concat(Arranging& all, const Node& node, size_t value);
Place arrange_pad(Arranging& all, const Node& node, size_t value);
Place arrange_take(Arranging& all, const Node& node, size_t value);

}  // namespace pbgen
