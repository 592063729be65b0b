// The graph of a packed file: nodes, and every check that makes it safe to run.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "arch/kernels.h"
#include "container.h"

namespace pbgen {

// [C] and [C, L] have height 1; what counts is that row-major order with the channels first stays the same.
struct Shape {
    size_t rank = 1;
    int64_t channels = 1, height = 1, width = 1;

    int64_t pixels() const { return height * width; }
    int64_t size() const { return channels * pixels(); }
    bool operator==(const Shape& other) const {
        return rank == other.rank && channels == other.channels && height == other.height && width == other.width;
    }
};

// Along one dimension of the image. A linear layer is a convolution of one pixel with kernel 1.
struct Geometry {
    int64_t kernel = 1, stride = 1, padding = 0, dilation = 1;
};

enum class Op : uint8_t { conv, conv_transpose, linear, affine, add, concat, reshape, upsample, pixel_shuffle };

constexpr size_t none = SIZE_MAX;

struct Node {
    Op op;
    std::string name;
    std::vector<size_t> inputs;  // value numbers
    Shape shape;

    // conv, conv_transpose, linear
    size_t weight = none;  // tensor index
    Geometry y, x;
    int64_t groups = 1;

    // and affine
    size_t scale = none, shift = none;  // tensor indices
    Activation activation = Activation::none;
    float slope = 0;

    int axis = 0;  // concat: 0 channels, 1 height, 2 width

    // upsample
    bool bilinear = false, align_corners = false;
    float step_y = 1, step_x = 1;

    int64_t factor = 1;  // pixel_shuffle

    bool has_weight() const { return weight != none; }
};

struct Graph {
    Shape input;
    std::vector<Node> nodes;
    size_t output = 0;  // value number

    // The shape of a value: 0 is the input, node i makes value i + 1.
    const Shape& shape(size_t value) const { return value == 0 ? input : nodes[value - 1].shape; }
};

// Throws Error unless the graph is complete, consistent with the tensors, and uses each of them.
Graph read_graph(const Container& container);

}  // namespace pbgen
