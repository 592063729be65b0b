// A graph at given sizes: every shape, checked.
//
// Sizes follow from the inputs' by the graph's rules, in their order; with them each node's shape, which the file states,
// must be the one that its operator makes of what it reads. No product of sizes overflows unseen.
#pragma once

#include <vector>

#include "graph.h"
#include "strided.h"

namespace pbgen {

struct Bound {
    std::vector<int64_t> sizes;
    std::vector<Shape> shapes;  // by value

    int64_t operator()(const Count& count) const { return count.known() ? count.integer : sizes[count.size]; }
    float operator()(const Number& number) const {
        return number.size == none ? number.number : static_cast<float>(sizes[number.size]);
    }
    // For what the program reads of a node.
    Program program(const GraphProgram& program) const;
};

// For inputs of these shapes, the batch's 1 included. Throws Error where they are not the graph's, or where a size that
// follows from them makes no sense, or a value has more than `most` numbers.
Bound bind(const Graph& graph, const std::vector<Shape>& inputs, int64_t most = max_elements);

// Numbers of a value that is never made as a whole, but in tiles.
constexpr int64_t most_in_tiles = int64_t{1} << 40;

// The shapes of all inputs: those of noise follow from the others, whatever stands in their place.
std::vector<Shape> complete(const Graph& graph, std::vector<Shape> inputs);

// Which of its inputs' shapes a node's program sees as one: theirs broadcast.
Shape broadcast(const std::vector<Shape>& shapes);

// Strides of `from`, of shape `shape`, as it is broadcast to `to`.
Strides broadcast(const Shape& shape, const Strides& from, const Shape& to);

}  // namespace pbgen
