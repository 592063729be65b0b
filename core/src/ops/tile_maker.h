// A formula on arrays of any strides, a tile at a time.
#pragma once

#include "formula.h"
#include "loops.h"

namespace pbgen {

// A thread's memory for a formula on tiles.
class TileMaker {
public:
    // `data`: of the formula's inputs, which are the first of the loops' arrays.
    TileMaker(const Formula& formula, const Loops& loops, const float* const* data, const Kernels& kernels)
        : formula_(formula), loops_(loops), data_(data), kernels_(kernels), room_(formula) {}

    // Numbers of a tile, such that all that is needed for it lies in the first cache.
    static int64_t numbers(const Formula& formula) { return static_cast<int64_t>(Room(formula).numbers); }

    // Rows of columns one after another, in `result`, perhaps past the caches. Where `extremes` is not nullptr, they become those
    // of the tile as well.
    void make(const Walk& walk, float* result, bool streams, Extremes* extremes);

    // The same, perhaps where they lie already.
    const float* make(const Walk& walk, Extremes* extremes = nullptr);

private:
    static constexpr size_t all_numbers = 8192;

    // The places' numbers, and from one place to the next. A processor takes addresses 4096 bytes apart for the same
    // until it looks closer, and waits. Without places nothing is read twice, and tiles may be longer.
    struct Room {
        size_t step, numbers;

        explicit Room(const Formula& formula) {
            constexpr size_t gap = 9 * most_lanes;
            const size_t most = formula.places() ? 1024 : 4096;
            const size_t part = all_numbers / (formula.places() + formula.inputs() + 1);
            step = std::min(part, most + gap) / most_lanes * most_lanes;
            numbers = step > 2 * gap ? step - gap : step;
        }
    };

    Operand input(size_t i, const Walk& walk);
    float* place(size_t i) { return memory_ + i * room_.step; }

    struct Filled {
        const float* from = nullptr;
        int64_t rows = 0, columns = 0;
    };

    const Formula& formula_;
    const Loops& loops_;
    const float* const* data_;
    const Kernels& kernels_;
    const Room room_;
    Filled filled_[max_program_inputs];
    alignas(64) float ones_[max_program_inputs][most_lanes];
    alignas(64) float memory_[all_numbers];
};

}  // namespace pbgen
