// Where blocks of memory lie in one: what is never needed at the same time overlaps.
#pragma once

#include <cstddef>
#include <vector>

namespace pbgen {

// In numbers, for one image; for n images every offset and size is n times as large.
struct Block {
    size_t size;
    size_t first, last;  // the steps between which it is needed
    size_t offset = 0;
};

// Gives blocks their offsets, from `begin` on. Returns where the last one ends.
size_t plan_memory(std::vector<Block*> blocks, size_t begin);

}  // namespace pbgen
