#include "tile_maker.h"

#include <algorithm>

#include "../aligned.h"

namespace pbgen {

// As it lies in memory where it lies one after another; else it is gathered, unless that was done for the tile before.
Operand TileMaker::input(size_t i, const Walk& walk) {
    const Steps steps = loops_.steps(i);
    const int64_t rows = walk.rows(), columns = walk.columns();
    const float* from = data_[i] + walk.offset(i);
    const bool one_row = rows == 1, one_column = columns == 1;
    if ((one_row || steps.row == 0) && (one_column || steps.column == 0)) {
        std::fill_n(ones_[i], most_lanes, *from);
        return {ones_[i], true};
    }
    if ((one_column || steps.column == 1) && (one_row || steps.row == columns)) return {from, false};
    float* to = place(formula_.places() + i);
    Filled& filled = filled_[i];
    if (filled.from != from || filled.rows < rows || filled.columns != columns) {
        copy_block(from, steps, to, {columns, 1}, rows, columns);
        filled = {from, rows, columns};
    }
    return {to, false};
}

void TileMaker::make(const Walk& walk, float* result, bool streams, Extremes* extremes) {
    Operand inputs[max_program_inputs];
    for (size_t i = 0; i < formula_.inputs(); ++i) inputs[i] = input(i, walk);
    formula_.run(inputs, static_cast<size_t>(walk.rows() * walk.columns()), memory_, room_.step, result,
                 streams && reinterpret_cast<uintptr_t>(result) % cache_line == 0, extremes, kernels_);
}

const float* TileMaker::make(const Walk& walk, Extremes* extremes) {
    if (formula_.length() == 0 && !extremes) {
        const Operand in = input(0, walk);
        if (!in.one) return in.numbers;
    }
    float* result = place(formula_.places() + formula_.inputs());
    make(walk, result, false, extremes);
    return result;
}

}  // namespace pbgen
