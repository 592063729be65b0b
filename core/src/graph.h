// The graph of a packed file (docs/format.md): nodes, and every check that needs no sizes of inputs.
//
// JSON is read once, from front to end: inputs and rules for sizes, nodes, of which each may only read what stands before it,
// outputs. A kind of node has a function that reads its attributes and refuses what no sizes could make right; whatever
// stands in the file and is not asked for is an error, too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "container.h"
#include "image.h"
#include "ops.h"
#include "program.h"

namespace pbgen {

constexpr size_t none = SIZE_MAX;
constexpr size_t max_ends = 64;  // inputs, or outputs
constexpr int64_t max_planes = 4;  // of signs, of a weight
constexpr int64_t max_elements = int64_t{1} << 28;  // of one value

// An integer, or a size of the graph.
struct Count {
    int64_t integer = 0;
    size_t size = none;

    bool known() const { return size == none; }
};

// A number, or a size of the graph.
struct Number {
    float number = 0;
    size_t size = none;
};

enum class SizeOp : uint8_t { add, sub, mul, div, mod, min, max, scaled };

// How a size is made of those before it. Free sizes have none, and come first.
struct SizeRule {
    SizeOp op;
    Count a, b;
    double factor;  // scaled
};

enum class Noise : uint8_t { given, normal, uniform };

struct Input {
    std::string name;
    std::vector<Count> shape;
    bool integer = false;
    Noise noise = Noise::given;
};

enum class Op : uint8_t {
    conv, conv_transpose, linear,
    map, reduce,
    constant, range, reshape, permute, expand, slice, concat, pad, take, resample, pool, adaptive_pool, matmul,
};

struct GraphProgram {
    size_t inputs = 0;
    std::vector<Number> numbers;
    std::vector<Step> steps;
};

struct Node {
    Op op;
    std::string name;
    std::vector<size_t> inputs;  // value numbers
    std::vector<Count> shape;

    // conv, conv_transpose, linear
    size_t weight = none;             // tensor index; none: the second input
    std::vector<Geometry> geometry;   // of each spatial dimension
    int64_t groups = 1;
    size_t scale = none, shift = none;  // tensor indices

    // layers, map, reduce
    GraphProgram program;

    Reduction reduction = Reduction::sum;
    std::vector<size_t> axes;  // reduce, permute, resample, adaptive_pool; the one of slice, concat and take
    size_t tensor = none;      // constant
    Number start, stride;      // range
    Count first;               // slice
    int64_t step = 1;
    std::vector<Count> before;  // pad
    Padding padding = Padding::constant;
    float value = 0;
    Resampling resampling = Resampling::nearest;
    std::vector<float> steps;  // of each axis, or less than 0 where it hangs on the sizes
    bool align_corners = false;
    bool mean = false;  // pool, adaptive_pool
    std::vector<Window> windows;
    bool padded = false;

    bool is_layer() const { return op <= Op::linear; }
    size_t axis() const { return axes[0]; }
    // Inputs that its program reads beside a layer's sum come after these.
    size_t own_inputs() const { return weight == none ? 2 : 1; }
};

struct Graph {
    std::vector<Input> inputs;
    std::vector<std::string> free;  // names of the free sizes
    std::vector<SizeRule> sizes;    // of the others
    std::vector<Node> nodes;
    struct Output {
        std::string name;
        size_t value;
    };
    std::vector<Output> outputs;

    size_t values() const { return inputs.size() + nodes.size(); }
    // The node that makes a value, which is no input's.
    size_t maker(size_t value) const { return value - inputs.size(); }
    bool is_input(size_t value) const { return value < inputs.size(); }
    const std::vector<Count>& shape(size_t value) const {
        return is_input(value) ? inputs[value].shape : nodes[maker(value)].shape;
    }
};

// Throws Error unless the graph is complete, consistent with the tensors, and uses each of them.
Graph read_graph(const Container& container);

}  // namespace pbgen
