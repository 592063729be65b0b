#include "plan.h"

#include <algorithm>

#include "../aligned.h"
#include "../sort.h"

namespace pbgen {
namespace {

constexpr uint64_t line = cache_line / sizeof(float);

uint64_t on_lines(uint64_t size) { return (size + line - 1) / line * line; }

}  // namespace

// In the order of their first steps, each takes the first gap that is large enough.
uint64_t plan_memory(std::vector<Block*> blocks, uint64_t begin) {
    sort(blocks, [](const Block* a, const Block* b) { return a->first < b->first; });
    const uint64_t start = on_lines(begin);
    uint64_t highest = start;
    std::vector<Block*> taken;  // by position
    for (Block* block : blocks) {
        const auto done = [&](const Block* other) { return other->last < block->first; };
        taken.erase(std::remove_if(taken.begin(), taken.end(), done), taken.end());
        const uint64_t size = on_lines(block->size);
        uint64_t at = start;
        auto before = taken.begin();
        for (; before != taken.end() && (*before)->offset - at < size; ++before)
            at = (*before)->offset + on_lines((*before)->size);
        block->offset = at;
        taken.insert(before, block);
        highest = std::max(highest, at + size);
    }
    return highest;
}

}  // namespace pbgen
