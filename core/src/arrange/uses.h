// Who reads each value of a graph, and in which order its numbers are best kept for that.
#pragma once

#include <vector>

#include "../graph.h"

namespace pbgen {

// By value.
struct Uses {
    std::vector<bool> innermost;    // layers will read it: its channels are to be innermost
    std::vector<size_t> output;     // which output it is, or none
    std::vector<bool> only_output;  // it goes to the caller, and nobody else reads it
};

Uses find_uses(const Graph& graph, const std::vector<Shape>& shapes);

}  // namespace pbgen
