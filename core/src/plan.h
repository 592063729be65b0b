// Where the values and the scratch memory of a run lie in one block: what is never needed at the same time overlaps.
#pragma once

#include <cstddef>
#include <vector>

#include "graph.h"

namespace pbgen {

struct MemoryPlan {
    // In numbers, for one image; for n images every offset and size is n times as large.
    std::vector<size_t> values;    // by value number
    std::vector<size_t> extremes;  // of each value (extremes.h)
    size_t size = 0;
};

// `scratch` numbers at the beginning are left for the nodes to use while they run.
MemoryPlan plan_memory(const Graph& graph, size_t scratch);

}  // namespace pbgen
