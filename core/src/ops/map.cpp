#include "../arch/processor.h"
#include "../ops.h"
#include "tile_maker.h"

namespace pbgen {
namespace {

// A formula over arrays of one shape.
struct Mapping {
    Formula formula;
    const float* data[max_program_inputs];
    const Strides* strides[max_arrays];
    bool streams;  // whether what it makes is written past the caches

    Mapping(const Program& program, const Reads* inputs, const Writes& out) : formula(program) {
        const int64_t size = out.shape.size();
        int64_t numbers = size;
        bool in_place = false;
        for (size_t i = 0; i < program.inputs; ++i) {
            data[i] = inputs[i].data, strides[i] = &inputs[i].strides;
            numbers += is_whole(inputs[i]) ? size : 0;
            in_place |= data[i] == out.data;
        }
        strides[program.inputs] = &out.strides;
        // What is read first is in the caches, and need not be fetched to be written.
        streams = !in_place && outgrows_caches(static_cast<uint64_t>(numbers) * sizeof(float));
    }

    // Rather than the same numbers again and again.
    static bool is_whole(const Reads& input) {
        for (size_t axis = 0; axis < input.shape.rank; ++axis)
            if (input.shape[axis] > 1 && input.strides[axis] == 0) return false;
        return true;
    }

    Loops loops(const Shape& shape) const {
        Loops loops(shape, strides, formula.inputs() + 1, formula.inputs());
        loops.cut(TileMaker::numbers(formula));
        return loops;
    }

    void run(const Loops& loops, int64_t begin, int64_t end, float* out, const Kernels& kernels,
             SharedExtremes* extremes) const {
        TileMaker maker(formula, loops, data, kernels);
        const size_t last = formula.inputs();
        const Steps steps = loops.steps(last);
        Extremes found, *finds = extremes ? &found : nullptr;
        Walk walk(loops, begin);
        for (int64_t i = begin; i < end; ++i, walk.next()) {
            float* to = out + walk.offset(last);
            const int64_t rows = walk.rows(), columns = walk.columns();
            if ((columns == 1 || steps.column == 1) && (rows == 1 || steps.row == columns))
                maker.make(walk, to, streams, finds);
            else
                copy_block(maker.make(walk, finds), {columns, 1}, to, steps, rows, columns);
        }
        if (extremes) extremes->add(found);
    }
};

}  // namespace

void map(const Program& program, const Reads* inputs, const Writes& out, const Kernels& kernels, Threads& threads,
         SharedExtremes* extremes) {
    const Mapping mapping(program, inputs, out);
    const Loops loops = mapping.loops(out.shape);
    const int64_t tile = loops.block[loops.rows_axis()] * loops.block[loops.columns_axis()];
    const auto cost = static_cast<int64_t>(1 + program.steps.size() / 4);
    for_parts(loops.blocks(), tile * cost, threads, [&](int64_t begin, int64_t end) {
        mapping.run(loops, begin, end, out.data, kernels, extremes);
    });
    if (mapping.streams) await_streams();
}

}  // namespace pbgen
