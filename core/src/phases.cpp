#include "phases.h"

#include <algorithm>
#include <numeric>

namespace pbgen {
namespace {

// A division takes long, and steps are mostly 1.
int64_t divide_up(int64_t a, int64_t b) { return b == 1 ? a : (a + b - 1) / b; }

}  // namespace

Range inside(const Range& range, int64_t step, int64_t delta, int64_t size) {
    const int64_t low = std::max<int64_t>(0, -delta), high = std::max<int64_t>(0, size - delta);
    return {std::max(range.begin, divide_up(low, step)), std::min(range.end, divide_up(high, step))};
}

Phases::Phases(const Geometry& geometry, bool transposed, int64_t outputs)
    : geometry_(geometry),
      transposed_(transposed),
      outputs_(outputs),
      period_(transposed ? geometry.stride / std::gcd(geometry.stride, geometry.dilation) : 1),
      count_(std::min(period_, geometry.kernel)) {
    for (int64_t i = 0; i < std::min(count_, most_known); ++i) known_[i] = compute(i);
}

Phase Phases::compute(int64_t i) const {
    const Geometry& g = geometry_;
    if (!transposed_) return {0, outputs_, g.kernel, {0, -g.padding}, {1, g.dilation}};
    // Where tap i of input pixel 0 falls, moved by whole strides to the first output pixel of its phase.
    const int64_t at = i * g.dilation - g.padding;
    const int64_t first = (at % g.stride + g.stride) % g.stride;
    const int64_t count = first < outputs_ ? (outputs_ - first - 1) / g.stride + 1 : 0;
    const Tap first_tap{i, (first - at) / g.stride}, tap_step{period_, -period_ * g.dilation / g.stride};
    return {first, count, (g.kernel - i - 1) / period_ + 1, first_tap, tap_step};
}

Range Phases::deltas() const {
    Range range = {INT64_MAX, INT64_MIN};
    for (int64_t i = 0; i < count(); ++i) {
        const Phase phase = (*this)[i];
        for (const int64_t delta : {phase.tap(0).delta, phase.tap(phase.taps - 1).delta})
            range = {std::min(range.begin, delta), std::max(range.end, delta)};
    }
    return range;
}

Range Phases::reach(const Range& positions, int64_t inputs) const {
    const Range delta = deltas();
    const int64_t begin = std::clamp<int64_t>(positions.begin * input_step() + delta.begin, 0, inputs);
    return {begin, std::clamp<int64_t>((positions.end - 1) * input_step() + delta.end + 1, begin, inputs)};
}

int64_t Phases::reach(int64_t positions, int64_t inputs) const {
    return std::min(inputs, (positions - 1) * input_step() + deltas().size() + 1);
}

uint64_t Phases::inside(int64_t inputs) const {
    uint64_t pairs = 0;
    for (int64_t i = 0; i < count(); ++i) {
        const Phase phase = (*this)[i];
        for (int64_t t = 0; t < phase.taps; ++t) {
            const int64_t met = pbgen::inside({0, phase.count}, input_step(), phase.tap(t).delta, inputs).size();
            pairs += static_cast<uint64_t>(std::max<int64_t>(0, met));
        }
    }
    return pairs;
}

Phases row_phases(const LayerShape& shape) { return Phases(shape.y, shape.transposed, shape.output.height); }

Phases column_phases(const LayerShape& shape) { return Phases(shape.x, shape.transposed, shape.output.width); }

}  // namespace pbgen
