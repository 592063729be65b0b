#include "norms.h"

namespace pbgen {
namespace {

bool is_mean(const Node& node) {
    return node.op == Op::reduce && node.reduction == Reduction::mean && node.program.steps.empty() &&
           node.inputs.size() == 1;
}

// (x - mean)^2, over the same axes.
bool is_variance(const Node& node, const Node& mean, size_t value) {
    if (node.op != Op::reduce || node.reduction != Reduction::mean || node.axes != mean.axes) return false;
    const auto& steps = node.program.steps;
    const auto is = [&](size_t i, Instruction instruction, uint16_t a, uint16_t b) {
        return steps[i].instruction == instruction && steps[i].operands[0] == a && steps[i].operands[1] == b;
    };
    return node.inputs == std::vector<size_t>{mean.inputs[0], value} && node.program.numbers.empty() &&
           steps.size() == 2 && is(0, Instruction::sub, 0, 1) && is(1, Instruction::mul, 2, 2);
}

}  // namespace

std::vector<Moment> find_moments(const Graph& graph, const std::vector<Shape>& shapes) {
    std::vector<Moment> moments(graph.values());
    for (size_t i = 0; i + 1 < graph.nodes.size(); ++i) {
        const Node& node = graph.nodes[i];
        const size_t value = graph.inputs.size() + i;
        if (!is_mean(node) || !is_variance(graph.nodes[i + 1], node, value)) continue;
        const Shape &from = shapes[node.inputs[0]], &made = shapes[value];
        if (!has_channels(from) || made[1] != from[1] || made.size() != from[1]) continue;
        moments[value] = Moment::mean;
        moments[value + 1] = Moment::variance;
    }
    return moments;
}

}  // namespace pbgen
