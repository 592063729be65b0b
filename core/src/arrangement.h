// A graph as it is run for inputs of given sizes: where each value lies, and what is done in order.
#pragma once

#include <vector>

#include "arrange/schedule.h"
#include "bind.h"
#include "model.h"

namespace pbgen {

class Arrangement {
public:
    // For inputs of these shapes, the batch's 1 included. Throws Error where they are not the graph's.
    Arrangement(const Model& model, const std::vector<Shape>& inputs);

    const std::vector<Shape>& inputs() const { return inputs_; }
    size_t outputs() const { return graph_.outputs.size(); }
    const Shape& output(size_t i) const { return bound_.shapes[graph_.outputs[i].value]; }
    // Each layer's multiply-adds for one image.
    const std::vector<uint64_t>& operations() const { return schedule_.operations(); }
    // Numbers of memory that a run of one image takes.
    size_t workspace() const { return schedule_.workspace(); }

    // Returns why it failed, or nothing: an index may be outside what it picks from.
    std::string run(const Call& call) const { return schedule_.run(call); }

private:
    const Graph& graph_;
    const std::vector<Shape> inputs_;
    const Bound bound_;
    Schedule schedule_;
};

}  // namespace pbgen
