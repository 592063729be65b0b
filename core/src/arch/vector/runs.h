// Sums of short runs of numbers.
#pragma once

#include "vec.h"

namespace pbgen {
namespace {

using Two = float __attribute__((vector_size(8)));
using Four = float __attribute__((vector_size(16)));

// A few numbers of each run, in a vector of just that size: a store of more would lie where the next run is loaded, and
// the processor would wait for it.
template <class Piece, size_t sources>
inline void add_pieces(const float* const* from, size_t at, size_t from_step, size_t count, float* to, size_t to_step) {
    for (size_t r = 0; r < count; ++r, at += from_step, to += to_step) {
        Piece sum = load<Piece>(to);
        UNROLL for (size_t s = 0; s < sources; ++s) sum += load<Piece>(from[s] + at);
        store(to, sum);
    }
}

// A few sources at a time.
template <class Piece>
inline void add_pieces(const float* const* from, size_t sources, size_t at, size_t from_step, size_t count, float* to,
                       size_t to_step) {
    for (; sources >= 3; sources -= 3, from += 3) add_pieces<Piece, 3>(from, at, from_step, count, to, to_step);
    if (sources == 2) add_pieces<Piece, 2>(from, at, from_step, count, to, to_step);
    if (sources == 1) add_pieces<Piece, 1>(from, at, from_step, count, to, to_step);
}

void add_runs(const float* const* from, size_t sources, size_t from_step, size_t count, size_t length, float* to,
              size_t to_step) {
    size_t i = 0;
    for (; i + lanes <= length; i += lanes) add_pieces<Floats>(from, sources, i, from_step, count, to + i, to_step);
    for (; i + 4 <= length; i += 4) add_pieces<Four>(from, sources, i, from_step, count, to + i, to_step);
    for (; i + 2 <= length; i += 2) add_pieces<Two>(from, sources, i, from_step, count, to + i, to_step);
    if (i < length) add_pieces<float>(from, sources, i, from_step, count, to + i, to_step);
}

}  // namespace
}  // namespace pbgen
