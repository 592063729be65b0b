#include "block.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace pbgen {
namespace {

using Four = float __attribute__((vector_size(16)));

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (decltype(a <= b){__VA_ARGS__}))
#endif

constexpr int64_t side = 4;

void copy_run(const float* from, float* to, int64_t count) {
    if (count < 16)  // a call would take longer
        for (int64_t i = 0; i < count; ++i) to[i] = from[i];
    else
        std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
}

// to[j * to_step + i] = from[i * from_step + j] for i and j of 0 .. 3.
inline void transpose_square(const float* from, int64_t from_step, float* to, int64_t to_step) {
    Four in[side], out[side];
    for (int64_t i = 0; i < side; ++i) std::memcpy(&in[i], from + i * from_step, sizeof(Four));
    const Four low_left = SHUFFLE(in[0], in[1], 0, 4, 1, 5), low_right = SHUFFLE(in[2], in[3], 0, 4, 1, 5);
    const Four high_left = SHUFFLE(in[0], in[1], 2, 6, 3, 7), high_right = SHUFFLE(in[2], in[3], 2, 6, 3, 7);
    out[0] = SHUFFLE(low_left, low_right, 0, 1, 4, 5);
    out[1] = SHUFFLE(low_left, low_right, 2, 3, 6, 7);
    out[2] = SHUFFLE(high_left, high_right, 0, 1, 4, 5);
    out[3] = SHUFFLE(high_left, high_right, 2, 3, 6, 7);
    for (int64_t i = 0; i < side; ++i) std::memcpy(to + i * to_step, &out[i], sizeof(Four));
}

// to[j * to_step + i] = from[i * from_step + j]. Lines that lie far apart are followed, not crossed: they often share a
// place in the cache.
void transpose(const float* from, int64_t from_step, float* to, int64_t to_step, int64_t rows, int64_t columns) {
    const int64_t whole_rows = rows / side * side, whole_columns = columns / side * side;
    if (std::abs(from_step) > std::abs(to_step)) {
        for (int64_t i = 0; i < whole_rows; i += side)
            for (int64_t j = 0; j < whole_columns; j += side)
                transpose_square(from + i * from_step + j, from_step, to + j * to_step + i, to_step);
    } else {
        for (int64_t j = 0; j < whole_columns; j += side)
            for (int64_t i = 0; i < whole_rows; i += side)
                transpose_square(from + i * from_step + j, from_step, to + j * to_step + i, to_step);
    }
    for (int64_t i = whole_rows; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) to[j * to_step + i] = from[i * from_step + j];
    for (int64_t j = whole_columns; j < columns; ++j)
        for (int64_t i = 0; i < whole_rows; ++i) to[j * to_step + i] = from[i * from_step + j];
}

// The same row again and again: what is there already is copied.
void repeat(const float* row, float* to, int64_t rows, int64_t columns) {
    copy_run(row, to, columns);
    const int64_t count = rows * columns;
    for (int64_t done = columns, some; done < count; done += some) {
        some = std::min(done, count - done);
        copy_run(to, to + done, some);
    }
}

}  // namespace

void copy_block(const float* from, Steps from_steps, float* to, Steps to_steps, int64_t rows, int64_t columns) {
    if (to_steps.row == 1 && to_steps.column != 1) {
        std::swap(rows, columns);
        std::swap(from_steps.row, from_steps.column);
        std::swap(to_steps.row, to_steps.column);
    }
    const bool lines = from_steps.column == 1 && to_steps.column == 1;
    if (lines && to_steps.row == columns && from_steps.row == columns) return copy_run(from, to, rows * columns);
    if (lines && to_steps.row == columns && from_steps.row == 0) return repeat(from, to, rows, columns);
    if (to_steps.column == 1 && from_steps.row == 1 && rows >= side && columns >= side)
        return transpose(from, from_steps.column, to, to_steps.row, columns, rows);
    if (columns < rows && !lines && std::abs(to_steps.row) < std::abs(to_steps.column)) {
        std::swap(rows, columns);
        std::swap(from_steps.row, from_steps.column);
        std::swap(to_steps.row, to_steps.column);
    }
    for (int64_t r = 0; r < rows; ++r, from += from_steps.row, to += to_steps.row) {
        if (lines)
            copy_run(from, to, columns);
        else if (to_steps.column == 1 && from_steps.column == 0)
            std::fill_n(to, columns, *from);
        else
            for (int64_t c = 0; c < columns; ++c) to[c * to_steps.column] = from[c * from_steps.column];
    }
}

}  // namespace pbgen
