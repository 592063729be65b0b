// Layers that round what they read to integers need its extremes: whatever makes a value may find them meanwhile.
#pragma once

#include <vector>

#include "places.h"

namespace pbgen {

class Tellers {
public:
    Tellers(const Graph& graph, const Bound& bound, const Places& places, Schedule& schedule)
        : graph_(graph), bound_(bound), places_(places), schedule_(schedule), makers_(graph.values()) {}

    // Of a value: what finds its extremes if they are asked for.
    void made_by(size_t value, const Layer* layer) { makers_[value].layer = layer; }
    void made_by_program(size_t value) { makers_[value].program = true; }
    // It has another's numbers, and 0, and no others.
    void repeats(size_t value, size_t other) { makers_[value].repeats = other; }

    // Asks for them, for the next step, in which this layer reads the value. Returns the value whose extremes they are;
    // none if the layer must find them itself.
    size_t ask(size_t value, const Layer& layer);

private:
    struct Maker {
        const Layer* layer = nullptr;
        bool program = false;
        size_t repeats = none;
    };

    bool may_tell(size_t value, const Layer& layer) const;
    const Node* joined(size_t value) const;
    void join(const Node& node, size_t value, const Layer& layer);

    const Graph& graph_;
    const Bound& bound_;
    const Places& places_;
    Schedule& schedule_;
    std::vector<Maker> makers_;  // by value
};

}  // namespace pbgen
