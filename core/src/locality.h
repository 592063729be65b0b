// Which pixels of the inputs the pixels of an output hang on, along each free size: so that a picture or a sound of any
// size can be made in tiles.
//
// Along each axis of each value the pixels that an output pixel needs are kept as a line and a margin, from operator to
// operator: a convolution widens the margin, a stride or an upsampling turns the line. What mixes all of a picture, such
// as a mean over it, has no such line and is refused.
#pragma once

#include <cstdint>
#include <vector>

#include "bind.h"

namespace pbgen {

// Pixel o of an axis hangs on input pixels from floor(o * step + low) to ceil(o * step + high), where step = numerator / denominator.
struct Trace {
    size_t size = none;  // the free size; none where the axis has nothing to do with any
    int64_t numerator = 1, denominator = 1;
    double low = 0, high = 0;

    double step() const { return static_cast<double>(numerator) / static_cast<double>(denominator); }
    bool operator==(const Trace& other) const {
        return size == other.size && numerator == other.numerator && denominator == other.denominator && low == other.low &&
               high == other.high;
    }
};

using Traces = std::vector<Trace>;  // of a value's axes

struct Locality {
    std::vector<Traces> inputs, outputs;
    // By free size: when all inputs are moved by a multiple of it, all values move by whole pixels.
    std::vector<int64_t> align;

    bool operator==(const Locality& other) const {
        return inputs == other.inputs && outputs == other.outputs && align == other.align;
    }
};

// Throws Error, with the layer, where a pixel hangs on all of a picture, or on where it stands in it.
Locality find_locality(const Graph& graph, const Bound& bound);

}  // namespace pbgen
