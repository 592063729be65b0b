#include "engine.h"

#include <algorithm>

#include "error.h"

namespace pbgen {
namespace {

// Larger batches are run in parts of this size or of one image: enough to keep the threads busy, and little memory.
constexpr size_t usual_workspace = size_t{1} << 19;  // numbers

// Arrangements that are kept, the one at hand among them.
constexpr size_t most_arranged = 16;

constexpr const char* untold = "has free sizes: tell the shapes of its inputs";

// Some pixels along each axis.
template <class Number>
Strided<Number> cut(Strided<Number> array, const Pixels* pixels) {
    for (size_t axis = 0; axis < array.shape.rank; ++axis) {
        array.data += pixels[axis].begin * array.strides[axis];
        array.shape[axis] = pixels[axis].size();
    }
    return array;
}

float* align(void* memory) {
    const auto address = reinterpret_cast<uintptr_t>(memory);
    return reinterpret_cast<float*>((address + cache_line - 1) / cache_line * cache_line);
}

// The shapes of the inputs where none is free.
std::vector<Shape> fixed_shapes(const Graph& graph) {
    std::vector<Shape> shapes;
    for (const Input& input : graph.inputs) {
        Shape shape;
        for (const Count& count : input.shape) shape[shape.rank++] = count.integer;
        shapes.push_back(shape);
    }
    return shapes;
}

}  // namespace

// What is fixed is arranged at once, and its weights are needed in no other way.
Engine::Engine(const Container& container, const Kernels& kernels, unsigned threads, bool integers)
    : model_(container, kernels, threads, integers) {
    if (!graph().free.empty()) return;
    arranged_.push_front(std::make_shared<const Arrangement>(model_, fixed_shapes(graph())));
    model_.forget_weights();
}

Engine::Arranged Engine::arrangement(const Shape* shapes) {
    if (Arranged found = known(shapes)) return found;
    if (!shapes) fail(untold);
    Arranged made = std::make_shared<const Arrangement>(model_, std::vector<Shape>(shapes, shapes + graph().inputs.size()));
    const std::lock_guard<std::mutex> lock(mutex_);
    arranged_.push_front(made);
    if (arranged_.size() > most_arranged) arranged_.pop_back();
    return made;
}

// Allocates nothing.
Engine::Arranged Engine::known(const Shape* shapes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!shapes) return graph().free.empty() ? arranged_.front() : nullptr;
    const auto at = std::find_if(arranged_.begin(), arranged_.end(), [&](const Arranged& arranged) {
        return std::equal(arranged->inputs().begin(), arranged->inputs().end(), shapes);
    });
    if (at == arranged_.end()) return nullptr;
    arranged_.splice(arranged_.begin(), arranged_, at);
    return arranged_.front();
}

// Also where they are too large to be made but in tiles.
std::vector<Shape> Engine::output_shapes(const Shape* shapes) {
    std::vector<Shape> outputs;
    if (const Arranged arranged = known(shapes)) {
        for (size_t i = 0; i < arranged->outputs(); ++i) outputs.push_back(arranged->output(i));
        return outputs;
    }
    if (!shapes) fail(untold);
    const Bound bound = bind(graph(), {shapes, shapes + graph().inputs.size()}, most_in_tiles);
    for (const Graph::Output& output : graph().outputs) outputs.push_back(bound.shapes[output.value]);
    return outputs;
}

Engine::Cutting Engine::cutting(const Shape* shapes, int64_t tile) {
    if (!shapes) fail(untold);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!cutting_ || cutting_->tile() != tile || !std::equal(cutting_->inputs().begin(), cutting_->inputs().end(), shapes))
        cutting_ = std::make_shared<const Tiles>(graph(), std::vector<Shape>(shapes, shapes + graph().inputs.size()), tile);
    return cutting_;
}

size_t Engine::tiles(const Shape* shapes, int64_t tile) { return cutting(shapes, tile)->count(); }

void Engine::run_tile(const float* const* inputs, const Shape* shapes, int64_t tile, size_t index, float* const* outputs) {
    const Cutting cutting = this->cutting(shapes, tile);
    if (index >= cutting->count()) fail("there are ", cutting->count(), " tiles, counted from 0, and no tile ", index);
    const std::vector<Shape> parts = cutting->input_shapes(index);
    if (!known(parts.data())) cutting->check(parts);
    const std::vector<Cut> given = cutting->input_cuts(index), made = cutting->output_cuts(index);
    std::vector<Aligned<float>> in, out;
    std::vector<const float*> from;
    std::vector<float*> to;
    for (size_t i = 0; i < parts.size(); ++i) {
        const Reads part = cut(Reads{inputs[i], shapes[i], row_major(shapes[i])}, given[i].whole);
        in.emplace_back(static_cast<size_t>(parts[i].size()));
        copy(part, {in[i].data(), parts[i], row_major(parts[i])}, model_.threads());
        from.push_back(in[i].data());
    }
    const std::vector<Shape> sizes = output_shapes(parts.data());
    for (const Shape& size : sizes) to.push_back(out.emplace_back(static_cast<size_t>(size.size())).data());
    run(from.data(), parts.data(), 1, to.data());
    for (size_t i = 0; i < sizes.size(); ++i)
        copy(cut(Reads{to[i], sizes[i], row_major(sizes[i])}, made[i].made),
             cut(Writes{outputs[i], cutting->output(i), row_major(cutting->output(i))}, made[i].whole), model_.threads());
}

size_t Engine::resident_bytes() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return sizeof *this + model_.bytes() + workspace_bytes_;
}

size_t Engine::images_at_once(const Arrangement& arrangement) {
    return std::max<size_t>(1, usual_workspace / arrangement.workspace());
}

size_t Engine::workspace_bytes(const Shape* shapes, size_t batch) {
    const Arranged arranged = arrangement(shapes);
    return std::min(batch, images_at_once(*arranged)) * arranged->workspace() * sizeof(float) + cache_line - 1;
}

Aligned<float> Engine::take_workspace(size_t numbers) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Aligned<float> workspace;
    if (!workspaces_.empty()) {
        workspace = std::move(workspaces_.back());
        workspaces_.pop_back();
    }
    if (workspace.size() >= numbers) return workspace;
    workspace_bytes_ -= workspace.bytes();
    workspace = {};
    workspace = Aligned<float>(numbers);
    workspace_bytes_ += workspace.bytes();
    return workspace;
}

void Engine::give_back(Aligned<float> workspace) {
    const std::lock_guard<std::mutex> lock(mutex_);
    workspaces_.push_back(std::move(workspace));
}

void Engine::run(const float* const* inputs, const Shape* shapes, size_t batch, float* const* outputs, void* memory,
                 double* seconds) {
    if (seconds) std::fill_n(seconds, layers().size(), 0.0);
    if (batch == 0) return;
    const Arranged arranged = arrangement(shapes);
    if (memory) return run_parts(*arranged, inputs, batch, outputs, align(memory), seconds);
    Aligned<float> workspace = take_workspace(std::min(batch, images_at_once(*arranged)) * arranged->workspace());
    try {
        run_parts(*arranged, inputs, batch, outputs, workspace.data(), seconds);
    } catch (...) {
        give_back(std::move(workspace));
        throw;
    }
    give_back(std::move(workspace));
}

void Engine::run_parts(const Arrangement& arrangement, const float* const* inputs, size_t batch, float* const* outputs,
                       float* workspace, double* seconds) {
    const size_t input_count = arrangement.inputs().size(), output_count = arrangement.outputs();
    const float* in[max_ends];
    float* out[max_ends];
    std::copy_n(inputs, input_count, in);
    std::copy_n(outputs, output_count, out);
    const size_t most = images_at_once(arrangement);
    for (size_t first = 0; first < batch; first += most) {
        const size_t images = std::min(most, batch - first);
        arrangement.run({in, out, workspace, images, seconds});
        for (size_t i = 0; i < input_count; ++i) in[i] += images * static_cast<size_t>(arrangement.inputs()[i].size());
        for (size_t i = 0; i < output_count; ++i) out[i] += images * static_cast<size_t>(arrangement.output(i).size());
    }
}

}  // namespace pbgen
