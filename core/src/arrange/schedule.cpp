#include "schedule.h"

#include <chrono>

#include "../error.h"

namespace pbgen {
namespace {

constexpr size_t extremes_numbers = sizeof(SharedExtremes) / sizeof(float);

double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

// What a step sees.

float* Run::writable(const Place& place) const {
    const int64_t at = static_cast<int64_t>(image) * place.image + place.offset;
    if (place.of == Place::Of::output) return call.outputs[place.index] + at;
    return call.workspace + schedule.buffers_[place.index].place() * call.images + at;
}

const float* Run::address(const Place& place) const {
    const int64_t at = static_cast<int64_t>(image) * place.image + place.offset;
    if (place.of == Place::Of::input) return call.inputs[place.index] + at;
    if (place.of == Place::Of::constant) return schedule.model_.constant(place.index) + at;
    return writable(place);
}

SharedExtremes* Run::extremes(size_t value) const {
    if (value == none || !schedule.has_extremes(value)) return nullptr;
    return reinterpret_cast<SharedExtremes*>(call.workspace + schedule.extremes_[value].place() * call.images) + image;
}

const ScratchSize& Run::scratch_size() const { return schedule.scratch_; }
const Kernels& Run::kernels() const { return schedule.model_.kernels(); }
Threads& Run::threads() const { return schedule.model_.threads(); }

// What is to be done.

Place Schedule::buffer(const Shape& shape, const Strides& strides) {
    const int64_t size = shape.size();
    buffers_.push_back({static_cast<uint64_t>(size), steps_.size(), steps_.size()});
    return {Place::Of::buffer, buffers_.size() - 1, size, 0, shape, strides};
}

void Schedule::touch(const Place& place) {
    if (place.of == Place::Of::buffer) buffers_[place.index].last = steps_.size();
}

void Schedule::add(std::initializer_list<const Place*> places, Step step) {
    for (const Place* place : places) touch(*place);
    steps_.push_back({std::move(step), false});
}

void Schedule::add_for_all(std::initializer_list<const Place*> places, Step step) {
    add(places, std::move(step));
    steps_.back().for_all = true;
}

void Schedule::add_layer(std::initializer_list<const Place*> places, uint64_t operations, const Step& step) {
    add_for_all(places, [step, layer = operations_.size()](const Run& run) {
        double* seconds = run.call.seconds;
        if (!seconds) return step(run);
        const double start = seconds_now();
        step(run);
        seconds[layer] += seconds_now() - start;
    });
    operations_.push_back(operations);
}

void Schedule::copy(const Place& from, const Place& to) {
    add({&from, &to}, [from, to](const Run& run) { pbgen::copy(run.reads(from), run.writes(to), run.threads()); });
}

Place Schedule::packed(const Place& place, const Strides& strides) {
    if (is_packed(place, strides)) return place;
    const Place copied = buffer(place.shape, strides);
    copy(place, copied);
    return copied;
}

void Schedule::add_extremes(size_t value, const Place* made) {
    extremes_[value] = {extremes_numbers, made ? buffers_[made->index].first : steps_.size() - 1, 0};
}

void Schedule::plan() {
    // Numbers for one image: 4 GiB, and with what aligns it no more than an address can say.
    constexpr uint64_t max_workspace = std::min<uint64_t>(uint64_t{1} << 30, (SIZE_MAX - cache_line) / sizeof(float));
    std::vector<Block*> blocks;
    for (Block& block : buffers_) blocks.push_back(&block);
    for (Block& block : extremes_)
        if (block.size) blocks.push_back(&block);
    const uint64_t scratch = std::max<uint64_t>(scratch_.bytes(model_.threads().count()), other_scratch_);
    const uint64_t workspace = plan_memory(blocks, scratch / sizeof(float) + 1);
    if (workspace > max_workspace)
        fail("needs ", workspace >> 18, " MiB for one image of this size; at most ", (max_workspace + 1) >> 18,
             " are allowed: work in tiles");
    workspace_ = static_cast<size_t>(workspace);
}

std::string Schedule::run(const Call& call) const {
    std::string failure;
    Run run{*this, call, failure};
    for (const Item& item : steps_) {
        const size_t times = item.for_all ? 1 : call.images;
        for (run.image = 0; run.image < times; ++run.image) {
            item.step(run);
            if (!failure.empty()) return failure;
        }
    }
    return failure;
}

}  // namespace pbgen
