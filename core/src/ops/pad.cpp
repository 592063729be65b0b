#include <cstdlib>

#include "../ops.h"
#include "loops.h"

namespace pbgen {
namespace {

constexpr int64_t nowhere = -1;

// Which number of a dimension of size `size` stands at `at`, which may lie outside.
int64_t source(Padding mode, int64_t at, int64_t size) {
    if (at >= 0 && at < size) return at;
    switch (mode) {
        case Padding::constant: return nowhere;
        case Padding::reflect: return at < 0 ? -at : 2 * (size - 1) - at;
        case Padding::replicate: return at < 0 ? 0 : size - 1;
        case Padding::circular: return at < 0 ? at + size : at - size;
    }
    return nowhere;
}

void fill_run(float value, float* to, int64_t step, int64_t count) {
    if (step == 1)
        std::fill_n(to, count, value);
    else
        for (int64_t i = 0; i < count; ++i) to[i * step] = value;
}

// A dimension of the output, and where it reads.
struct Axis {
    int64_t size = 1, before = 0, inputs = 1, in_step = 0, out_step = 0;

    bool padded() const { return size != inputs || before != 0; }
};

}  // namespace

// A line of the output is a row of units: the dimension that lies together in memory where it is not padded, else
// single numbers. Its middle is copied at once, unless it was made there.
void pad(const Reads& in, const int64_t* before, Padding mode, float value, const Writes& out, Threads& threads) {
    Axis axes[max_rank];
    size_t rank = 0;
    for (size_t i = 0; i < out.shape.rank; ++i) {
        const Axis axis = {out.shape[i], before[i], in.shape[i], in.strides[i], out.strides[i]};
        if (axis.size == 1 && !axis.padded()) continue;
        size_t place = rank++;
        for (; place && std::abs(axes[place - 1].out_step) < std::abs(axis.out_step); --place)
            axes[place] = axes[place - 1];
        axes[place] = axis;
    }
    const Axis unit = rank && !axes[rank - 1].padded() ? axes[--rank] : Axis{};
    const Axis line = rank ? axes[--rank] : Axis{};

    const auto copy_units = [&](const float* from, int64_t first, float* to, int64_t begin, int64_t count) {
        copy_block(from + first * line.in_step, {line.in_step, unit.in_step}, to + begin * line.out_step,
                   {line.out_step, unit.out_step}, count, unit.size);
    };
    const auto edge = [&](const float* from, float* to, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const int64_t at = source(mode, i - line.before, line.inputs);
            if (at == nowhere)
                fill_run(value, to + i * line.out_step, unit.out_step, unit.size);
            else
                copy_units(from, at, to, i, 1);
        }
    };
    int64_t lines = 1;
    for (size_t i = 0; i < rank; ++i) lines *= axes[i].size;
    for_parts(lines, line.size * unit.size, threads, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
            const float* from = in.data;
            float* to = out.data;
            bool inside = true;
            for (int64_t rest = i, axis = static_cast<int64_t>(rank) - 1; axis >= 0; --axis) {
                const Axis& outer = axes[axis];
                const int64_t at = rest % outer.size, read = source(mode, at - outer.before, outer.inputs);
                rest /= outer.size;
                if (read == nowhere)
                    inside = false;
                else
                    from += read * outer.in_step;
                to += at * outer.out_step;
            }
            if (!inside) {
                for (int64_t j = 0; j < line.size; ++j)
                    fill_run(value, to + j * line.out_step, unit.out_step, unit.size);
                continue;
            }
            const int64_t end = line.before + line.inputs;
            edge(from, to, 0, line.before);
            if (from != to + line.before * line.out_step) copy_units(from, 0, to, line.before, line.inputs);
            edge(from, to, end, line.size);
        }
    });
}

}  // namespace pbgen
