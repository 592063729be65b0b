// Which values are made inside others, so that these need no copy of them: the parts of what is joined, and what is
// padded.
#pragma once

#include <array>
#include <vector>

#include "../bind.h"
#include "uses.h"

namespace pbgen {

// Where a value begins in another, which has the channels innermost: along each axis, as that may be part of a larger
// one.
struct Home {
    size_t in = none;
    std::array<int64_t, max_rank> begin{};
};

// By value; outputs go to the caller. Where values are joined again and again (a dense block's), their home is in the
// last of what they become, and what was joined before lies there already.
std::vector<Home> find_homes(const Graph& graph, const Bound& bound, const Uses& uses);

}  // namespace pbgen
