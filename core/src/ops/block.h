// Planes of numbers, each with a stride for its rows and one for its columns.
#pragma once

#include <cstdint>

namespace pbgen {

struct Steps {
    int64_t row, column;
};

// to[r * to_steps.row + c * to_steps.column] = from[r * from_steps.row + c * from_steps.column]
void copy_block(const float* from, Steps from_steps, float* to, Steps to_steps, int64_t rows, int64_t columns);

}  // namespace pbgen
