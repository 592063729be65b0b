// A graph as it is run for inputs of given sizes: where each value lies, and what is done in order.
//
// A value is numbers somewhere, seen through strides. Operators that only say where numbers stand make another view of the same numbers;
// where a reader needs them otherwise, they are copied. Layers read and write images with the channels innermost.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "bind.h"
#include "homes.h"
#include "layer.h"
#include "model.h"
#include "plan.h"
#include "strided.h"

namespace pbgen {

// One call of the engine. All pointers are those of the first of `images` images.
struct Call {
    const float* const* inputs;
    float* const* outputs;
    float* workspace;
    size_t images;
    double* seconds;  // of each layer, or nullptr
};

class Arrangement {
public:
    // For inputs of these shapes, the batch's 1 included. Throws Error where they are not the graph's.
    Arrangement(const Model& model, const std::vector<Shape>& inputs);

    const std::vector<Shape>& inputs() const { return inputs_; }
    size_t outputs() const { return model_.graph().outputs.size(); }
    const Shape& output(size_t i) const { return bound_.shapes[model_.graph().outputs[i].value]; }
    // Each layer's multiply-adds for one image.
    const std::vector<uint64_t>& operations() const { return operations_; }
    // Numbers of memory that a run of one image takes.
    size_t workspace() const { return workspace_; }

    // Throws Error where an index is outside what it picks from.
    void run(const Call& call) const;

private:
    // Numbers of a value, or of part of it.
    struct Place {
        enum class Of : uint8_t { buffer, input, output, constant };
        Of of;
        size_t index;  // of the buffer, input, output or tensor
        int64_t offset;
        Shape shape;
        Strides strides;
    };
    using Step = std::function<void(const Call&)>;

    void arrange(size_t node);
    void arrange_layer(size_t node, size_t value);
    void arrange_computed_layer(const Node& node, size_t value);
    void arrange_tail(const Node& node, const Place& sum, size_t value);
    void arrange_map(const Node& node, size_t value);
    void arrange_reduce(const Node& node, size_t value);
    bool arrange_moments(const Node& node, size_t value);
    void arrange_range(const Node& node, size_t value);
    void arrange_reshape(const Node& node, size_t value);
    void arrange_permute(const Node& node, size_t value);
    void arrange_expand(const Node& node, size_t value);
    void arrange_slice(const Node& node, size_t value);
    void arrange_concat(const Node& node, size_t value);
    void arrange_pad(const Node& node, size_t value);
    void arrange_take(const Node& node, size_t value);
    void arrange_resample(const Node& node, size_t value);
    bool repeats_pixels(const Node& node, size_t value);
    void arrange_pool(const Node& node, size_t value);
    void arrange_matmul(const Node& node, size_t value);
    void arrange_outputs();

    const Place& input(const Node& node, size_t i = 0) const { return places_[node.inputs[i]]; }
    const Shape& shape(size_t value) const { return bound_.shapes[value]; }
    Place buffer(const Shape& shape, const Strides& strides);
    Place destination(size_t value, const Strides& strides);
    Place home(size_t value);
    Strides order(size_t value, const Place* like) const;
    static const Place* of_shape(const std::vector<Place>& places, const Shape& shape);
    Place arranged(const Place& place, const Strides& strides);
    bool is_whole(const Place& place) const;
    bool lie_together(const Node& node) const;
    bool is_image(const Place& place) const;
    Layout layout(const Place& place) const;
    static bool is_same(const Place& place, const Place& other);
    std::vector<Place> operands(const Node& node, size_t first, const Shape& shape) const;
    static float pixel_step(const Node& node, size_t axis, int64_t in, int64_t out);
    bool may_tell(size_t value, const Layer& layer) const;
    size_t extremes_for(size_t value, const Layer& layer);
    void join_extremes(const Node& node, size_t value, const Layer& layer);
    const Node* joined(size_t value) const;
    SharedExtremes* extremes(size_t block, const Call& call) const;

    void add(std::initializer_list<const Place*> places, Step step);
    void add_map(const Node& node, const std::vector<Place>& places, const Place& out, size_t value);
    void copy_to(const Place& from, const Place& to);
    void touch(const Place& place);
    void finish_memory();

    const float* address(const Place& place, const Call& call, size_t image) const;
    float* writable(const Place& place, const Call& call, size_t image) const;
    Reads reads(const Place& place, const Call& call, size_t image) const;
    Writes writes(const Place& place, const Call& call, size_t image) const;

    const Model& model_;
    const std::vector<Shape> inputs_;
    const Bound bound_;
    const std::vector<bool> innermost_;  // by value: whether layers will read it
    std::vector<size_t> readers_;        // how many nodes and outputs read each value
    std::vector<size_t> output_of_;      // which output a value is, or none
    std::set<size_t> made_;              // outputs that a layer writes itself
    std::vector<Place> places_;          // by value
    std::vector<Home> homes_;            // by value
    std::map<size_t, Place> variances_;  // by value: made with the means before them
    std::map<size_t, Place> reserved_;   // by value: where it will be made, and parts of it are already
    std::vector<std::shared_ptr<const Layer>> layers_;  // by value, where a layer makes it and nothing comes after
    std::vector<bool> mapped_;                          // by value: whether a program makes it
    std::vector<size_t> repeats_;                       // by value: which one's numbers, and 0, it has and no others; or none
    std::vector<uint64_t> operations_;
    std::vector<Step> steps_;
    std::vector<Block> buffers_;
    std::vector<Block> extremes_;      // of values that a layer will read
    std::vector<size_t> extremes_of_;  // by value, or none
    ScratchSize scratch_;
    size_t other_scratch_ = 0;  // bytes
    size_t workspace_ = 0;
};

}  // namespace pbgen
