// Strided arrays walked together, a tile at a time: some rows and columns of two of their dimensions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "../program.h"
#include "../strided.h"
#include "../threads.h"
#include "block.h"

namespace pbgen {

constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// All inputs of a program, and what it makes.
constexpr size_t max_arrays = max_program_inputs + 1;

class Loops {
public:
    // Arrays of one shape. Dimensions of size 1 are left out, and the others put in the order of the leader's strides,
    // the longest first, those of 0 before them; those that lie together in all arrays become one. Where the leader's
    // stride is negative, the dimension is walked from its end. Afterwards there are at least two dimensions.
    Loops(const Shape& shape, const Strides* const* strides, size_t arrays, size_t leader);

    // Cuts the last two dimensions into tiles of so many numbers. If an array jumps along the last one, tiles are
    // square, and their rows lie along the dimension in which it does not.
    void cut(int64_t numbers);

    // Makes `axis` the last but one.
    void make_rows(size_t axis);

    // Puts the dimensions along which `array` has a stride of 0 last, the others first, and returns how many blocks the
    // latter have.
    int64_t part(size_t array);

    int64_t blocks() const { return blocks(0, rank); }
    int64_t blocks(size_t from, size_t to) const;

    size_t rows_axis() const { return rank - 2; }
    size_t columns_axis() const { return rank - 1; }
    Steps steps(size_t array) const { return {strides[array][rank - 2], strides[array][rank - 1]}; }

    size_t rank = 0;
    size_t arrays;
    int64_t dims[max_rank + 2];
    int64_t block[max_rank + 2];  // how far one goes along a dimension at a time
    size_t order[max_rank + 2];   // of the dimensions, the one that is walked fastest being last
    int64_t strides[max_arrays][max_rank + 2];
    int64_t begin[max_arrays];  // where walking begins in an array
};

// A place in the walk.
class Walk {
public:
    // At the block of this number in the order.
    Walk(const Loops& loops, int64_t number);
    void next();

    int64_t offset(size_t array) const { return offsets_[array]; }
    int64_t rows() const { return along(loops_.rows_axis()); }
    int64_t columns() const { return along(loops_.columns_axis()); }

private:
    // How much of its block a dimension has here.
    int64_t along(size_t axis) const { return std::min(loops_.block[axis], loops_.dims[axis] - at_[axis]); }

    const Loops& loops_;
    int64_t at_[max_rank + 2];
    int64_t offsets_[max_arrays];
};

// Work that is worth a thread's turn, in numbers read or written.
constexpr int64_t fewest_numbers = 1 << 14;

// Calls task(begin, end) for neighbouring parts of 0 .. count - 1, of which each is `cost` numbers' work. Little is
// done by the caller.
template <class Task>
void for_parts(int64_t count, int64_t cost, Threads& threads, const Task& task) {
    const int64_t step = std::max<int64_t>(1, fewest_numbers / std::max<int64_t>(1, cost));
    threads.parallel_for(static_cast<size_t>(divide_up(count, step)), [&](size_t i) {
        const int64_t begin = static_cast<int64_t>(i) * step;
        task(begin, std::min(count, begin + step));
    });
}

}  // namespace pbgen
