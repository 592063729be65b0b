#include "plan.h"

#include <algorithm>

#include "aligned.h"

namespace pbgen {
namespace {

struct Block {
    size_t begin, end;
    size_t last;  // the node after which it is free
};

constexpr size_t line = cache_line / sizeof(float);

size_t on_lines(size_t size) { return (size + line - 1) / line * line; }

// The blocks in use, by position.
class Arena {
public:
    // Takes the first gap that is large enough.
    size_t take(size_t size, size_t last) {
        size = on_lines(size);
        size_t begin = 0;
        auto at = blocks_.begin();
        for (; at != blocks_.end() && at->begin - begin < size; ++at) begin = at->end;
        blocks_.insert(at, {begin, begin + size, last});
        highest_ = std::max(highest_, begin + size);
        return begin;
    }

    void free_after(size_t node) {
        const auto done = [&](const Block& block) { return block.last <= node; };
        blocks_.erase(std::remove_if(blocks_.begin(), blocks_.end(), done), blocks_.end());
    }

    size_t highest() const { return highest_; }

private:
    std::vector<Block> blocks_;
    size_t highest_ = 0;
};

// For each value the last node that reads it; the output is read after the last node.
std::vector<size_t> last_readers(const Graph& graph) {
    std::vector<size_t> last(graph.nodes.size() + 1);
    for (size_t node = 0; node < graph.nodes.size(); ++node) {
        last[node + 1] = node;
        for (size_t value : graph.nodes[node].inputs) last[value] = node;
    }
    last[graph.output] = graph.nodes.size();
    return last;
}

}  // namespace

MemoryPlan plan_memory(const Graph& graph, size_t scratch) {
    const std::vector<size_t> last = last_readers(graph);
    MemoryPlan plan;
    Arena arena;
    arena.take(scratch, graph.nodes.size());
    const auto take_value = [&](const Shape& shape, size_t last_reader) {
        const size_t size = on_lines(static_cast<size_t>(shape.size()));
        plan.values.push_back(arena.take(size + line, last_reader));
        plan.extremes.push_back(plan.values.back() + size);
    };
    take_value(graph.input, last[0]);
    for (size_t node = 0; node < graph.nodes.size(); ++node) {
        take_value(graph.nodes[node].shape, last[node + 1]);
        arena.free_after(node);
    }
    plan.size = arena.highest();
    return plan;
}

}  // namespace pbgen
