#include <atomic>

#include "../aligned.h"
#include "../ops.h"
#include "loops.h"

namespace pbgen {
namespace {

// How products are cut: into blocks of rows and columns, each a task, and these into panels of the kernel's size. A
// block's operands stay in the second cache. The sums' order does not depend on it.
struct Blocks {
    static constexpr int64_t depth = 256;

    int64_t rows, columns, deep;
    int64_t row_parts, column_parts, batch;

    Blocks(const Shape& a, const Shape& b, bool turned, const OuterProducts& outer, size_t threads) {
        const int64_t m = turned ? b[b.rank - 1] : a[a.rank - 2], n = turned ? a[a.rank - 2] : b[b.rank - 1];
        const auto row_step = static_cast<int64_t>(outer.rows), column_step = static_cast<int64_t>(outer.columns);
        const auto up = [](int64_t size, int64_t step) { return divide_up(size, step) * step; };
        batch = 1;
        for (size_t i = 3; i <= std::max(a.rank, b.rank); ++i)
            batch *= std::max(i <= a.rank ? a[a.rank - i] : 1, i <= b.rank ? b[b.rank - i] : 1);
        deep = std::min(depth, a[a.rank - 1]);
        rows = std::min(up(m, row_step), 208 / row_step * row_step);
        columns = std::min(up(n, column_step), 256 / column_step * column_step);
        // Enough tasks, as long as they are not tiny.
        const auto wanted = 2 * static_cast<int64_t>(threads);
        const auto tasks = [&] { return batch * divide_up(m, rows) * divide_up(n, columns); };
        while (threads > 1 && tasks() < wanted && rows * columns * a[a.rank - 1] > 1 << 20) {
            const bool of_rows = rows > row_step && (rows >= columns || columns == column_step);
            if (!of_rows && columns == column_step) break;
            (of_rows ? rows : columns) = of_rows ? up(rows / 2, row_step) : up(columns / 2, column_step);
            if (of_rows && rows == row_step && columns == column_step) break;
        }
        row_parts = divide_up(m, rows);
        column_parts = divide_up(n, columns);
    }

    int64_t numbers() const {
        constexpr auto line = static_cast<int64_t>(cache_line / sizeof(float));
        return divide_up((rows + columns) * deep + rows * columns, line) * line;
    }
    int64_t tasks() const { return batch * row_parts * column_parts; }
};

// A matrix, of rows along which the products' columns or rows lie.
struct Matrix {
    const float* data;
    int64_t along, deep;  // strides
};

// Panels [depth][width] of `count` numbers from `first` on, the last filled up with zeros.
void pack(const Matrix& from, int64_t first, int64_t count, int64_t begin, int64_t depth, int64_t width, float* to) {
    const float* start = from.data + first * from.along + begin * from.deep;
    for (; count > 0; count -= width, start += width * from.along, to += width * depth) {
        const int64_t some = std::min(count, width);
        if (some < width) std::fill_n(to, width * depth, 0.0f);
        copy_block(start, {from.deep, from.along}, to, {width, 1}, depth, some);
    }
}

// Whether the roles of rows and columns are changed: a panel has more columns than rows.
bool turned(const Shape& a, const Shape& b, const OuterProducts& outer) {
    const int64_t m = a[a.rank - 2], n = b[b.rank - 1];
    return n < m && n < static_cast<int64_t>(outer.columns);
}

size_t workers(const Blocks& blocks, size_t threads) {
    return static_cast<size_t>(std::min<int64_t>(blocks.tasks(), static_cast<int64_t>(threads)));
}

}  // namespace

size_t matmul_scratch(const Shape& a, const Shape& b, const Kernels& kernels, size_t threads) {
    const Blocks blocks(a, b, turned(a, b, *kernels.outer), *kernels.outer, threads);
    return workers(blocks, threads) * static_cast<size_t>(blocks.numbers()) * sizeof(float);
}

void matmul(const Reads& a, const Reads& b, const Writes& out, uint8_t* scratch, const Kernels& kernels,
            Threads& threads) {
    const OuterProducts& outer = *kernels.outer;
    const bool turn = turned(a.shape, b.shape, outer);
    const Blocks blocks(a.shape, b.shape, turn, outer, threads.count());
    const size_t rank = out.shape.rank;
    const int64_t depth = a.shape[rank - 1];
    const int64_t m = out.shape[turn ? rank - 1 : rank - 2], n = out.shape[turn ? rank - 2 : rank - 1];
    const auto row_step = static_cast<int64_t>(outer.rows), column_step = static_cast<int64_t>(outer.columns);
    Matrix left = {a.data, a.strides[rank - 2], a.strides[rank - 1]};
    Matrix right = {b.data, b.strides[rank - 1], b.strides[rank - 2]};
    Steps steps = {out.strides[rank - 2], out.strides[rank - 1]};
    size_t left_array = 0, right_array = 1;
    if (turn) {
        std::swap(left, right);
        std::swap(left_array, right_array);
        std::swap(steps.row, steps.column);
    }
    Shape batch = out.shape;
    batch[rank - 2] = batch[rank - 1] = 1;
    const Strides* strides[] = {&a.strides, &b.strides, &out.strides};
    const Loops loops(batch, strides, 3, 2);

    const auto run = [&](int64_t task, float* memory) {
        const Walk walk(loops, task / (blocks.row_parts * blocks.column_parts));
        const int64_t row = task / blocks.column_parts % blocks.row_parts * blocks.rows;
        const int64_t column = task % blocks.column_parts * blocks.columns;
        const int64_t rows = std::min(m - row, blocks.rows), columns = std::min(n - column, blocks.columns);
        float *sums = memory, *rows_memory = sums + blocks.rows * blocks.columns;
        float* columns_memory = rows_memory + blocks.rows * blocks.deep;
        const Matrix from_left = {left.data + walk.offset(left_array), left.along, left.deep};
        const Matrix from_right = {right.data + walk.offset(right_array), right.along, right.deep};
        for (int64_t k = 0; k < depth; k += blocks.deep) {
            const int64_t deep = std::min(blocks.deep, depth - k);
            pack(from_left, row, rows, k, deep, row_step, rows_memory);
            pack(from_right, column, columns, k, deep, column_step, columns_memory);
            for (int64_t c = 0; c < columns; c += column_step)
                for (int64_t r = 0; r < rows; r += row_step)
                    outer.run(rows_memory + r * deep, columns_memory + c * deep, static_cast<size_t>(deep),
                              sums + r * blocks.columns + c, static_cast<size_t>(blocks.columns), k > 0);
        }
        float* to = out.data + walk.offset(2) + row * steps.row + column * steps.column;
        copy_block(sums, {blocks.columns, 1}, to, steps, rows, columns);
    };

    // A worker takes tasks as long as there are some, with memory of its own.
    const int64_t tasks = blocks.tasks();
    const bool small = blocks.batch * m * n * depth < 1 << 18;
    std::atomic<int64_t> next{0};
    threads.parallel_for(small ? 1 : workers(blocks, threads.count()), [&](size_t worker) {
        auto* memory = reinterpret_cast<float*>(scratch) + static_cast<int64_t>(worker) * blocks.numbers();
        for (int64_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) run(task, memory);
    });
}

}  // namespace pbgen
