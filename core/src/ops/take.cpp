#include "../ops.h"
#include "loops.h"

namespace pbgen {

void range(float start, float step, const Writes& out) {
    for (int64_t i = 0; i < out.shape[0]; ++i)
        out.data[i * out.strides[0]] = static_cast<float>(start + static_cast<double>(i) * step);
}

namespace {

bool all_inside(const Reads& indices, int64_t size) {
    const Strides* strides[] = {&indices.strides};
    const Loops loops(indices.shape, strides, 1, 0);
    Walk walk(loops, 0);
    for (int64_t i = loops.blocks(); i > 0; --i, walk.next()) {
        const double index = indices.data[walk.offset(0)];
        if (!(index >= 0 && index < static_cast<double>(size))) return false;
    }
    return true;
}

}  // namespace

// What an index picks is a block of the values' other dimensions. All are alike but for where they begin.
bool take(const Reads& values, size_t axis, const Reads& indices, const Writes& out, Threads& threads) {
    if (!all_inside(indices, values.shape[axis])) return false;
    Shape block = values.shape;
    block[axis] = 1;
    Strides to, picked;
    for (size_t i = 0; i < values.shape.rank; ++i)
        if (i != axis) to[i] = out.strides[i < axis ? i : i + indices.shape.rank - 1];
    for (size_t i = 0; i < indices.shape.rank; ++i) picked[i] = out.strides[axis + i];

    const Strides* block_strides[] = {&values.strides, &to};
    Loops blocks(block, block_strides, 2, 1);
    blocks.cut(4096);
    const Strides* index_strides[] = {&indices.strides, &picked};
    const Loops picks(indices.shape, index_strides, 2, 1);
    const int64_t tiles = blocks.blocks();
    const int64_t tile = blocks.block[blocks.rows_axis()] * blocks.block[blocks.columns_axis()];
    for_parts(picks.blocks(), tiles * tile, threads, [&](int64_t begin, int64_t end) {
        Walk pick(picks, begin);
        for (int64_t i = begin; i < end; ++i, pick.next()) {
            const auto index = static_cast<int64_t>(indices.data[pick.offset(0)]);
            const float* from = values.data + index * values.strides[axis];
            float* start = out.data + pick.offset(1);
            Walk walk(blocks, 0);
            for (int64_t j = 0; j < tiles; ++j, walk.next())
                copy_block(from + walk.offset(0), blocks.steps(0), start + walk.offset(1), blocks.steps(1), walk.rows(),
                           walk.columns());
        }
    });
    return true;
}

}  // namespace pbgen
