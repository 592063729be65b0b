// One way to see convolution and transposed convolution: an image dimension falls into phases.
//
// In a transposed convolution with stride s, output pixel o meets input pixel i under tap k where
//     o = i s - padding + k dilation,
// so which taps can reach o depends on o mod s alone: its phase. Within a phase, output pixel j s + first reads input
// pixel j + delta of each of its taps: an ordinary small convolution that writes its own output pixels. An ordinary
// convolution is a single phase that moves through the input by the stride. The phases of an image are the pairs of its
// rows' and its columns' phases.
#pragma once

#include <cstddef>
#include <cstdint>

#include "image.h"

namespace pbgen {

struct Tap {
    int64_t kernel;  // which element of the kernel
    int64_t delta;   // output position j of the phase reads input pixel j * input_step + delta
};

struct Range {
    int64_t begin, end;

    int64_t size() const { return end - begin; }
    bool operator==(const Range& other) const { return begin == other.begin && end == other.end; }
};

// Those positions j of `range` for which j * step + delta is in 0 .. size - 1. It may have end < begin.
Range inside(const Range& range, int64_t step, int64_t delta, int64_t size);

// Computed when needed and not stored, but for the first few: a file of a few bytes may have millions of taps.
struct Phase {
    int64_t first, count;  // output position j, of `count`, is output pixel first + j * output_step
    int64_t taps;
    Tap first_tap, tap_step;  // tap t is first_tap + t * tap_step

    Tap tap(int64_t t) const { return {first_tap.kernel + t * tap_step.kernel, first_tap.delta + t * tap_step.delta}; }
};

class Phases {
public:
    Phases(const Geometry& geometry, bool transposed, int64_t outputs);

    // Phases with taps.
    int64_t count() const { return count_; }
    // Most taps first. It may have no output positions.
    Phase operator[](int64_t i) const { return i < most_known ? known_[i] : compute(i); }

    int64_t input_step() const { return transposed_ ? 1 : geometry_.stride; }
    int64_t output_step() const { return transposed_ ? geometry_.stride : 1; }
    // Whether every output pixel is in one of the phases.
    bool complete() const { return count_ == output_step(); }
    // No phase has more output positions.
    int64_t longest() const { return (outputs_ - 1) / output_step() + 1; }
    // The input pixels that output positions `positions` of all phases read, and the most that `count` of them can.
    Range reach(const Range& positions, int64_t inputs) const;
    int64_t reach(int64_t count, int64_t inputs) const;
    const Geometry& geometry() const { return geometry_; }
    // How many pairs of an output position and a tap meet an input pixel inside the image.
    uint64_t inside(int64_t inputs) const;
    // From the lowest to the highest delta of any tap.
    Range deltas() const;

private:
    static constexpr int64_t most_known = 4;

    Phase compute(int64_t i) const;

    Geometry geometry_;
    bool transposed_;
    int64_t outputs_;
    int64_t period_;  // taps k and k + period belong to the same phase
    int64_t count_;
    Phase known_[most_known];
};

// Those of a node's output.
Phases row_phases(const LayerShape& shape);
Phases column_phases(const LayerShape& shape);

}  // namespace pbgen
