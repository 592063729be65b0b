#include "loops.h"

#include <cstdlib>

namespace pbgen {

Loops::Loops(const Shape& shape, const Strides* const* given, size_t count, size_t leader) : arrays(count) {
    std::fill_n(begin, arrays, 0);
    size_t axes[max_rank], used = 0;
    const auto length = [&](size_t axis) {
        const int64_t stride = std::abs((*given[leader])[axis]);
        return stride ? stride : INT64_MAX;
    };
    for (size_t axis = 0; axis < shape.rank; ++axis) {
        if (shape[axis] == 1) continue;
        size_t place = used++;
        for (; place && length(axes[place - 1]) < length(axis); --place) axes[place] = axes[place - 1];
        axes[place] = axis;
    }
    for (size_t i = 0; i < used; ++i) {
        const size_t axis = axes[i];
        const bool back = (*given[leader])[axis] < 0;
        int64_t steps[max_arrays];
        bool together = rank > 0;
        for (size_t a = 0; a < arrays; ++a) {
            steps[a] = (*given[a])[axis];
            if (back) {
                begin[a] += steps[a] * (shape[axis] - 1);
                steps[a] = -steps[a];
            }
            together = together && strides[a][rank - 1] == steps[a] * shape[axis];
        }
        if (!together) dims[rank++] = 1;
        dims[rank - 1] *= shape[axis];
        for (size_t a = 0; a < arrays; ++a) strides[a][rank - 1] = steps[a];
    }
    for (; rank < 2; ++rank) {
        // A single row, of a single column where there is nothing at all.
        for (size_t to = rank; to > 0; --to) dims[to] = dims[to - 1];
        for (size_t a = 0; a < arrays; ++a) {
            for (size_t to = rank; to > 0; --to) strides[a][to] = strides[a][to - 1];
            strides[a][0] = 0;
        }
        dims[0] = 1;
    }
    for (size_t axis = 0; axis < rank; ++axis) order[axis] = axis, block[axis] = 1;
}

void Loops::make_rows(size_t axis) {
    const auto move = [&](int64_t* numbers) { std::rotate(numbers + axis, numbers + axis + 1, numbers + rank - 1); };
    move(dims);
    for (size_t a = 0; a < arrays; ++a) move(strides[a]);
}

namespace {

// The largest part when `total` is cut into equal parts of at most `most`, in whole vectors.
int64_t equal_part(int64_t total, int64_t most) {
    if (total <= most) return total;
    constexpr int64_t vector = most_lanes;
    const int64_t part = divide_up(total, divide_up(total, most));
    return std::min(most, divide_up(part, vector) * vector);
}

}  // namespace

void Loops::cut(int64_t numbers) {
    int64_t &rows = block[rows_axis()], &columns = block[columns_axis()];
    for (size_t a = 0; a < arrays; ++a) {
        const int64_t jump = std::abs(strides[a][columns_axis()]);
        if (jump <= 1) continue;
        size_t shortest = columns_axis();
        for (size_t axis = 0; axis < rank; ++axis) {
            const int64_t stride = std::abs(strides[a][axis]);
            if (stride && stride < std::abs(strides[a][shortest])) shortest = axis;
        }
        if (shortest == columns_axis()) continue;
        make_rows(shortest);
        int64_t side = 4;
        while (4 * side * side <= numbers) side *= 2;
        rows = std::min(dims[rows_axis()], side);
        columns = equal_part(dims[columns_axis()], numbers / rows);
        rows = equal_part(dims[rows_axis()], std::max<int64_t>(1, numbers / columns));
        return;
    }
    columns = equal_part(dims[columns_axis()], numbers);
    rows = std::min(dims[rows_axis()], std::max<int64_t>(1, numbers / columns));
}

int64_t Loops::part(size_t array) {
    size_t place = 0;
    for (const bool still : {false, true})
        for (size_t axis = 0; axis < rank; ++axis)
            if ((strides[array][axis] == 0) == still) order[place++] = axis;
    size_t moving = 0;
    while (moving < rank && strides[array][order[moving]] != 0) ++moving;
    return blocks(0, moving);
}

int64_t Loops::blocks(size_t from, size_t to) const {
    int64_t product = 1;
    for (size_t i = from; i < to; ++i) product *= divide_up(dims[order[i]], block[order[i]]);
    return product;
}

Walk::Walk(const Loops& loops, int64_t number) : loops_(loops) {
    std::copy_n(loops.begin, loops.arrays, offsets_);
    for (size_t i = loops.rank; i-- > 0;) {
        const size_t axis = loops.order[i];
        const int64_t count = divide_up(loops.dims[axis], loops.block[axis]);
        at_[axis] = number % count * loops.block[axis];
        number /= count;
        for (size_t a = 0; a < loops.arrays; ++a) offsets_[a] += at_[axis] * loops.strides[a][axis];
    }
}

void Walk::next() {
    for (size_t i = loops_.rank; i-- > 0;) {
        const size_t axis = loops_.order[i];
        int64_t step = loops_.block[axis];
        const bool last = at_[axis] + step >= loops_.dims[axis];
        if (last) step = -at_[axis];
        at_[axis] += step;
        for (size_t a = 0; a < loops_.arrays; ++a) offsets_[a] += step * loops_.strides[a][axis];
        if (!last) return;
    }
}

}  // namespace pbgen
