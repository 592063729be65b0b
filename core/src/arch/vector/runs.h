// Sums of short runs of numbers.
#pragma once

#include "vec.h"

namespace pbgen {
namespace {

using Two = float __attribute__((vector_size(8)));
using Four = float __attribute__((vector_size(16)));

// A few numbers of each run, in a vector of just that size: a store of more would lie where the next run is loaded, and
// the processor would wait for it.
template <class Piece>
inline void add_pieces(const float* from, size_t from_step, size_t count, float* to, size_t to_step) {
    for (size_t r = 0; r < count; ++r, from += from_step, to += to_step)
        store(to, load<Piece>(to) + load<Piece>(from));
}

void add_runs(const float* from, size_t from_step, size_t count, size_t length, float* to, size_t to_step) {
    size_t i = 0;
    for (; i + lanes <= length; i += lanes) add_pieces<Floats>(from + i, from_step, count, to + i, to_step);
    for (; i + 4 <= length; i += 4) add_pieces<Four>(from + i, from_step, count, to + i, to_step);
    for (; i + 2 <= length; i += 2) add_pieces<Two>(from + i, from_step, count, to + i, to_step);
    if (i < length) add_pieces<float>(from + i, from_step, count, to + i, to_step);
}

}  // namespace
}  // namespace pbgen
