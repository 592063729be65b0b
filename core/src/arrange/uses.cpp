#include "uses.h"

namespace pbgen {
namespace {

bool keeps_order(const Node& node) {
    switch (node.op) {
        case Op::map:
        case Op::concat:
        case Op::pad:
        case Op::resample:
        case Op::pool:
        case Op::adaptive_pool: return true;
        default: return node.is_layer();
    }
}

// Layers read them, perhaps after operators that keep the order.
std::vector<bool> read_by_layers(const Graph& graph, const std::vector<Shape>& shapes) {
    std::vector<bool> wanted(graph.values());
    for (size_t i = graph.nodes.size(); i-- > 0;) {
        const Node& node = graph.nodes[i];
        const size_t value = graph.inputs.size() + i;
        if (node.op == Op::conv || node.op == Op::conv_transpose) wanted[node.inputs[0]] = true;
        if (!keeps_order(node) || !wanted[value]) continue;
        for (size_t k = node.is_layer() ? node.own_inputs() : 0; k < node.inputs.size(); ++k)
            if (shapes[node.inputs[k]].rank == shapes[value].rank) wanted[node.inputs[k]] = true;
    }
    return wanted;
}

}  // namespace

Uses find_uses(const Graph& graph, const std::vector<Shape>& shapes) {
    const size_t values = graph.values();
    Uses uses{read_by_layers(graph, shapes), std::vector<size_t>(values, none), std::vector<bool>(values)};
    for (size_t i = 0; i < graph.outputs.size(); ++i) {
        const size_t value = graph.outputs[i].value;
        uses.only_output[value] = uses.output[value] == none;
        uses.output[value] = i;
    }
    for (const Node& node : graph.nodes)
        for (size_t value : node.inputs) uses.only_output[value] = false;
    return uses;
}

}  // namespace pbgen
