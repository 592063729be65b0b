#include "../ops.h"
#include "formula.h"

namespace pbgen {
namespace {

// A formula over arrays of one shape.
struct Mapping {
    Formula formula;
    const float* data[max_program_inputs];
    const Strides* strides[max_arrays];

    Mapping(const Program& program, const Reads* inputs, const Writes& out) : formula(program) {
        for (size_t i = 0; i < program.inputs; ++i) data[i] = inputs[i].data, strides[i] = &inputs[i].strides;
        strides[program.inputs] = &out.strides;
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
                maker.make(walk, to, finds);
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
}

}  // namespace pbgen
