// Where the values and the scratch memory of a run lie in one block: what is never needed at the same time overlaps.
#pragma once

#include <cstddef>
#include <vector>

#include "graph.h"

namespace pbgen {

struct MemoryPlan {
    // In numbers, for one image; for n images every offset and size is n times as large.
    std::vector<size_t> values;   // by value number
    std::vector<size_t> scratch;  // by node
    size_t size = 0;
};

// `scratch` is how much each node needs while it runs.
MemoryPlan plan_memory(const Graph& graph, const std::vector<size_t>& scratch);

}  // namespace pbgen
