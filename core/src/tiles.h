// A picture or a sound in tiles: which pixels a tile needs, and which it makes.
#pragma once

#include <vector>

#include "locality.h"

namespace pbgen {

struct Pixels {
    int64_t begin, end;

    int64_t size() const { return end - begin; }
};

// Of each axis of a value: what lies in a tile, and in an output, which part of what the tile makes is right.
struct Cut {
    Pixels whole[max_rank];
    Pixels made[max_rank];
};

class Tiles {
public:
    // `tile`: pixels of the inputs along each free size that a tile is to make, more or less. Throws Error where the network is not local
    // for inputs of these shapes.
    Tiles(const Graph& graph, const std::vector<Shape>& inputs, int64_t tile);

    size_t count() const;
    const std::vector<Shape>& inputs() const { return inputs_; }
    int64_t tile() const { return tile_; }

    // The inputs of tile `index`, and its outputs: `whole` is where they lie in the whole picture, `made` where in the tile.
    std::vector<Cut> input_cuts(size_t index) const;
    std::vector<Cut> output_cuts(size_t index) const;
    std::vector<Shape> input_shapes(size_t index) const;
    // Throws Error unless a tile of these sizes is part of the whole.
    void check(const std::vector<Shape>& tile) const;

    const Shape& output(size_t i) const { return bound_.shapes[graph_.outputs[i].value]; }

private:
    // Along one free size.
    struct Stretch {
        Pixels core;   // input pixels that it stands for
        Pixels needed;  // those that it reads
    };

    int64_t step(size_t size) const;
    Stretch stretch(size_t size, size_t index) const;
    size_t stretches(size_t size) const;
    // Along each free size, of tile `index`.
    std::vector<Stretch> at(size_t index) const;
    Pixels core_of(const Trace& trace, const Stretch& stretch, int64_t all) const;

    const Graph& graph_;
    const std::vector<Shape> inputs_;
    const int64_t tile_;
    const Bound bound_;
    const Locality locality_;
};

}  // namespace pbgen
