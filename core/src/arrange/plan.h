// Where blocks of memory lie in one: what is never needed at the same time overlaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pbgen {

// In numbers, for one image; for n images every offset and size is n times as large. They may be more than memory holds
// until the plan is known to fit.
struct Block {
    uint64_t size;
    size_t first, last;  // the steps between which it is needed
    uint64_t offset = 0;

    size_t place() const { return static_cast<size_t>(offset); }
};

// Gives blocks their offsets, from `begin` on. Returns where the last one ends.
uint64_t plan_memory(std::vector<Block*> blocks, uint64_t begin);

}  // namespace pbgen
