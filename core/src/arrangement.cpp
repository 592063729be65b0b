#include "arrangement.h"

#include "arrange/arranging.h"

namespace pbgen {
namespace {

Place arrange(Arranging& all, const Node& node, size_t value) {
    switch (node.op) {
        case Op::conv:
        case Op::conv_transpose:
        case Op::linear: return arrange_layer(all, node, value);
        case Op::map: return arrange_map(all, node, value);
        case Op::reduce: return arrange_reduce(all, node, value);
        case Op::constant: return arrange_constant(all, node, value);
        case Op::range: return arrange_range(all, node, value);
        case Op::reshape: return arrange_reshape(all, node, value);
        case Op::permute: return arrange_permute(all, node, value);
        case Op::expand: return arrange_expand(all, node, value);
        case Op::slice: return arrange_slice(all, node, value);
        case Op::concat: return arrange_concat(all, node, value);
        case Op::pad: return arrange_pad(all, node, value);
        case Op::take: return arrange_take(all, node, value);
        case Op::resample: return arrange_resample(all, node, value);
        case Op::pool:
        case Op::adaptive_pool: return arrange_pool(all, node, value);
        case Op::matmul: break;
    }
    return arrange_matmul(all, node, value);
}

// Those that are not with the caller yet.
void copy_outputs(const Arranging& all, const Graph& graph, Schedule* schedule) {
    for (size_t i = 0; i < graph.outputs.size(); ++i) {
        const Place& place = all.places[graph.outputs[i].value];
        if (place.of == Place::Of::output || all.written.count(i)) continue;
        schedule->copy(place, {Place::Of::output, i, place.shape.size(), 0, place.shape, row_major(place.shape)});
    }
}

}  // namespace

Arrangement::Arrangement(const Model& model, const std::vector<Shape>& inputs)
    : graph_(model.graph()), inputs_(inputs), bound_(bind(graph_, inputs)), schedule_(model, graph_.values()) {
    Arranging all{model, bound_, schedule_};
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
        all.places.add(arrange(all, graph_.nodes[i], graph_.inputs.size() + i));
    copy_outputs(all, graph_, &schedule_);
    schedule_.plan();
}

}  // namespace pbgen
