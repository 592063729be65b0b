// What a run does, in order, and the memory that it works in.
//
// While a graph is arranged, each step says what it reads and writes. So it is known between which steps a buffer is
// needed, and buffers share memory where they can (plan.h).
#pragma once

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "../extremes.h"
#include "../model.h"
#include "place.h"
#include "plan.h"

namespace pbgen {

// One call of the engine. All pointers are those of the first of `images` images.
struct Call {
    const float* const* inputs;
    float* const* outputs;
    float* workspace;
    size_t images;
    double* seconds;  // of each layer, or nullptr
};

class Schedule;

// What a step sees of a call: where everything is, for one of its images.
struct Run {
    const Schedule& schedule;
    const Call& call;
    std::string& failure;  // that a step may write, the last one then
    size_t image = 0;

    const float* address(const Place& place) const;
    float* writable(const Place& place) const;
    Reads reads(const Place& place) const { return {address(place), place.shape, place.strides}; }
    Writes writes(const Place& place) const { return {writable(place), place.shape, place.strides}; }
    // Of a value; nullptr where it is none, or nobody asks for them.
    SharedExtremes* extremes(size_t value) const;

    uint8_t* scratch() const { return reinterpret_cast<uint8_t*>(call.workspace); }
    const ScratchSize& scratch_size() const;
    const Kernels& kernels() const;
    Threads& threads() const;
};

class Schedule {
public:
    // It outlives what arranges the graph, and captures none of that.
    using Step = std::function<void(const Run&)>;

    // For a graph of so many values.
    Schedule(const Model& model, size_t values) : model_(model), extremes_(values) {}

    // Memory from the next step on, and until the last that says so.
    Place buffer(const Shape& shape, const Strides& strides);
    // The next step reads or writes it.
    void touch(const Place& place);

    // A step for each image of a call, or for all at once, that reads or writes these places.
    void add(std::initializer_list<const Place*> places, Step step);
    void add_for_all(std::initializer_list<const Place*> places, Step step);
    // The latter, with its multiply-adds for one image, and timed.
    void add_layer(std::initializer_list<const Place*> places, uint64_t operations, const Step& step);

    void copy(const Place& from, const Place& to);
    // The same numbers with these strides and nothing else beside them in each image, copied if need be.
    Place packed(const Place& place, const Strides& strides);

    void include_scratch(const ScratchSize& size) { scratch_.include(size); }
    void include_scratch(size_t bytes) { other_scratch_ = std::max(other_scratch_, bytes); }

    // The extremes of a value, from when its buffer is used or else from the last step on.
    bool has_extremes(size_t value) const { return extremes_[value].size != 0; }
    void add_extremes(size_t value, const Place* made);
    void touch_extremes(size_t value) { extremes_[value].last = steps_.size(); }

    // Where all that lies in memory. Throws Error where it is too much.
    void plan();

    // Returns why it failed, or nothing.
    std::string run(const Call& call) const;
    const std::vector<uint64_t>& operations() const { return operations_; }
    // Numbers of memory that a run of one image takes.
    size_t workspace() const { return workspace_; }

private:
    friend struct Run;

    struct Item {
        Step step;
        bool for_all;
    };

    const Model& model_;
    std::vector<Item> steps_;
    std::vector<Block> buffers_;
    std::vector<Block> extremes_;  // by value; of size 0 where no layer asks for them
    ScratchSize scratch_;
    size_t other_scratch_ = 0;  // bytes
    std::vector<uint64_t> operations_;
    size_t workspace_ = 0;
};

}  // namespace pbgen
