#include "phases.h"

#include <algorithm>
#include <numeric>

namespace pbgen {

Phases::Phases(const Geometry& geometry, bool transposed, int64_t outputs)
    : geometry_(geometry),
      transposed_(transposed),
      outputs_(outputs),
      period_(transposed ? geometry.stride / std::gcd(geometry.stride, geometry.dilation) : 1),
      count_(std::min(period_, geometry.kernel)) {}

Phase Phases::operator[](int64_t i) const {
    const Geometry& g = geometry_;
    if (!transposed_) return {0, outputs_, g.kernel, {0, -g.padding}, {1, g.dilation}};
    // Where tap i of input pixel 0 falls, moved by whole strides to the first output pixel of its phase.
    const int64_t at = i * g.dilation - g.padding;
    const int64_t first = (at % g.stride + g.stride) % g.stride;
    const int64_t count = first < outputs_ ? (outputs_ - first - 1) / g.stride + 1 : 0;
    const Tap first_tap{i, (first - at) / g.stride}, tap_step{period_, -period_ * g.dilation / g.stride};
    return {first, count, (g.kernel - i - 1) / period_ + 1, first_tap, tap_step};
}

}  // namespace pbgen
