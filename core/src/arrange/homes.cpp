#include "homes.h"

namespace pbgen {
namespace {

class Homes {
public:
    Homes(const Graph& graph, const Bound& bound, const Uses& uses)
        : graph_(graph), bound_(bound), uses_(uses), homes_(graph.values()) {}

    std::vector<Home> find() {
        for (size_t i = graph_.nodes.size(); i-- > 0;) {
            const size_t value = graph_.inputs.size() + i;
            const Op op = graph_.nodes[i].op;
            if (!is_image(value)) continue;
            if (op == Op::concat) join(graph_.nodes[i], value);
            if (op == Op::pad) pad(graph_.nodes[i], value);
        }
        return homes_;
    }

private:
    bool is_image(size_t value) const {
        return uses_.innermost[value] && has_channels(bound_.shapes[value]) && uses_.output[value] == none;
    }

    // Whether a value's operator can make it anywhere, and no other has taken it in.
    bool is_free(size_t value) const {
        if (value < graph_.inputs.size() || !is_image(value) || homes_[value].in != none) return false;
        switch (graph_.nodes[value - graph_.inputs.size()].op) {
            case Op::conv:
            case Op::conv_transpose:
            case Op::map:
            case Op::concat:
            case Op::pad:
            case Op::resample:
            case Op::pool:
            case Op::adaptive_pool: return true;
            default: return false;
        }
    }

    void join(const Node& node, size_t value) {
        Home home{value};
        for (size_t part : node.inputs) {
            if (is_free(part)) homes_[part] = home;
            home.begin[node.axis()] += bound_.shapes[part][node.axis()];
        }
    }

    // Unless it is cropped.
    void pad(const Node& node, size_t value) {
        const size_t part = node.inputs[0];
        if (!is_free(part)) return;
        const Shape &made = bound_.shapes[value], &from = bound_.shapes[part];
        Home home{value};
        for (size_t axis = 0; axis < node.before.size(); ++axis) {
            const int64_t before = home.begin[axis] = bound_(node.before[axis]);
            if (before < 0 || before + from[axis] > made[axis]) return;
        }
        homes_[part] = home;
    }

    const Graph& graph_;
    const Bound& bound_;
    const Uses& uses_;
    std::vector<Home> homes_;
};

}  // namespace

std::vector<Home> find_homes(const Graph& graph, const Bound& bound, const Uses& uses) {
    return Homes(graph, bound, uses).find();
}

}  // namespace pbgen
