#include "tellers.h"

#include <algorithm>
#include <new>

namespace pbgen {

size_t Tellers::ask(size_t value, const Layer& layer) {
    if (!may_tell(value, layer)) return none;
    while (makers_[value].repeats != none) value = makers_[value].repeats;
    if (!schedule_.has_extremes(value)) {
        const Node* node = joined(value);
        if (node) join(*node, value, layer);
        schedule_.add_extremes(value, node ? nullptr : &places_[value]);
    }
    schedule_.touch_extremes(value);
    return value;
}

// Whether the extremes of a value are found as it is made, as this layer wants them.
bool Tellers::may_tell(size_t value, const Layer& layer) const {
    const Maker& maker = makers_[value];
    if (maker.repeats != none) return may_tell(maker.repeats, layer);
    const auto tells = [&](size_t part) { return may_tell(part, layer); };
    if (const Node* node = joined(value)) return std::all_of(node->inputs.begin(), node->inputs.end(), tells);
    if (places_[value].of != Place::Of::buffer) return false;
    if (maker.layer) return maker.layer->finds_extremes_for(layer);
    return maker.program && layer.may_be_told(bound_.shapes[value][1]);
}

// The node that joins channels to this value, or nullptr.
const Node* Tellers::joined(size_t value) const {
    if (graph_.is_input(value)) return nullptr;
    const Node& node = graph_.nodes[graph_.maker(value)];
    return node.op == Op::concat && has_channels(bound_.shapes[value]) ? &node : nullptr;
}

void Tellers::join(const Node& node, size_t value, const Layer& layer) {
    std::vector<size_t> parts;
    for (size_t part : node.inputs) parts.push_back(ask(part, layer));
    schedule_.add({}, [value, parts](const Run& run) {
        auto* all = new (run.extremes(value)) SharedExtremes;
        for (size_t part : parts) all->add(run.extremes(part)->get());
    });
}

}  // namespace pbgen
