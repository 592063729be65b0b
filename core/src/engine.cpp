#include "engine.h"

#include <algorithm>

#include "error.h"

namespace pbgen {
namespace {

// Larger batches are run in parts of this size or of one image: enough to keep the threads busy, and little memory.
constexpr size_t usual_workspace = size_t{1} << 19;  // numbers

// Some pixels along each axis.
template <class Number>
Strided<Number> cut(Strided<Number> array, const Pixels* pixels) {
    for (size_t axis = 0; axis < array.shape.rank; ++axis) {
        array.data += pixels[axis].begin * array.strides[axis];
        array.shape[axis] = pixels[axis].size();
    }
    return array;
}

bool lies_inside(const Pixels* pixels, const Shape& shape) {
    for (size_t axis = 0; axis < shape.rank; ++axis)
        if (pixels[axis].begin < 0 || pixels[axis].end < pixels[axis].begin || pixels[axis].end > shape[axis]) return false;
    return true;
}

// Where a network crops to a size of its own, a tile is cropped, too, and lacks what it should make.
void expect_inside(const Pixels* pixels, const Shape& shape) {
    if (!lies_inside(pixels, shape)) fail("does otherwise with a tile than with the whole picture");
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
    fixed_ = std::make_unique<const Arrangement>(model_, fixed_shapes(graph()));
    model_.forget_weights();
}

std::vector<Shape> Engine::all(const Shape* shapes) const {
    if (!shapes) fail("has free sizes: tell the shapes of its inputs");
    return {shapes, shapes + graph().inputs.size()};
}

// Allocates nothing where these shapes are known.
template <class Use>
void Engine::with_arrangement(const Shape* shapes, const Use& use) {
    const auto suits = [&](const Arrangement& arrangement) {
        return !shapes || std::equal(arrangement.inputs().begin(), arrangement.inputs().end(), shapes);
    };
    if (fixed_) {
        if (!suits(*fixed_)) pbgen::bind(graph(), all(shapes));  // says why
        return use(*fixed_);
    }
    Arrangements::Item arrangement = shapes ? arrangements_.take(suits) : nullptr;
    if (!arrangement) arrangement = std::make_unique<const Arrangement>(model_, all(shapes));
    use(*arrangement);  // after an error it is made anew
    arrangements_.put(std::move(arrangement));
}

// Also where they are too large to be made but in tiles.
std::vector<Shape> Engine::output_shapes(const Shape* shapes) {
    std::vector<Shape> outputs;
    if (fixed_ && !shapes) {
        for (size_t i = 0; i < fixed_->outputs(); ++i) outputs.push_back(fixed_->output(i));
        return outputs;
    }
    const Bound bound = pbgen::bind(graph(), all(shapes), most_in_tiles);
    for (const Graph::Output& output : graph().outputs) outputs.push_back(bound.shapes[output.value]);
    return outputs;
}

size_t Engine::images_at_once(const Arrangement& arrangement) {
    return std::max<size_t>(1, usual_workspace / arrangement.workspace());
}

size_t Engine::workspace_bytes(const Shape* shapes, size_t batch) {
    size_t bytes = 0;
    with_arrangement(shapes, [&](const Arrangement& arrangement) {
        bytes = std::min(batch, images_at_once(arrangement)) * arrangement.workspace() * sizeof(float) + cache_line - 1;
    });
    return bytes;
}

std::vector<uint64_t> Engine::operations(const Shape* shapes) {
    std::vector<uint64_t> operations;
    with_arrangement(shapes, [&](const Arrangement& arrangement) { operations = arrangement.operations(); });
    return operations;
}

void Engine::run(const float* const* inputs, const Shape* shapes, size_t batch, float* const* outputs, void* memory,
                 double* seconds) {
    if (seconds) std::fill_n(seconds, layers().size(), 0.0);
    if (batch == 0) return;
    std::string failure;
    with_arrangement(shapes, [&](const Arrangement& arrangement) {
        if (memory) {
            failure = run_parts(arrangement, inputs, batch, outputs, align(memory), seconds);
            return;
        }
        const size_t numbers = std::min(batch, images_at_once(arrangement)) * arrangement.workspace();
        Workspaces::Workspace workspace = workspaces_.take(numbers);
        failure = run_parts(arrangement, inputs, batch, outputs, workspace->data(), seconds);
        workspaces_.give_back(std::move(workspace));
    });
    // All memory is back in its place: where nothing is unwound, it would be lost.
    if (!failure.empty()) fail(failure);
}

std::string Engine::run_parts(const Arrangement& arrangement, const float* const* inputs, size_t batch,
                              float* const* outputs, float* workspace, double* seconds) {
    const size_t input_count = arrangement.inputs().size(), output_count = arrangement.outputs();
    const float* in[max_ends];
    float* out[max_ends];
    std::copy_n(inputs, input_count, in);
    std::copy_n(outputs, output_count, out);
    const size_t most = images_at_once(arrangement);
    for (size_t first = 0; first < batch; first += most) {
        const size_t images = std::min(most, batch - first);
        const std::string failure = arrangement.run({in, out, workspace, images, seconds});
        if (!failure.empty()) return failure;
        for (size_t i = 0; i < input_count; ++i) in[i] += images * static_cast<size_t>(arrangement.inputs()[i].size());
        for (size_t i = 0; i < output_count; ++i) out[i] += images * static_cast<size_t>(arrangement.output(i).size());
    }
    return {};
}

Engine::Cuttings::Item Engine::cutting(const Shape* shapes, int64_t tile) {
    const auto suits = [&](const Tiles& tiles) {
        return shapes && tiles.tile() == tile && std::equal(tiles.inputs().begin(), tiles.inputs().end(), shapes);
    };
    if (Cuttings::Item known = cuttings_.take(suits)) return known;
    return std::make_unique<const Tiles>(graph(), all(shapes), tile);
}

size_t Engine::tiles(const Shape* shapes, int64_t tile) {
    Cuttings::Item tiles = cutting(shapes, tile);
    const size_t count = tiles->count();
    cuttings_.put(std::move(tiles));
    return count;
}

void Engine::run_tile(const float* const* inputs, const Shape* shapes, int64_t tile, size_t index,
                      float* const* outputs) {
    Cuttings::Item tiles = cutting(shapes, tile);
    if (index >= tiles->count()) fail("there are ", tiles->count(), " tiles, counted from 0, and no tile ", index);
    const std::vector<Shape> parts = tiles->input_shapes(index);
    tiles->check(parts);
    const std::vector<Cut> given = tiles->input_cuts(index), made = tiles->output_cuts(index);
    std::vector<Aligned<float>> in, out;
    std::vector<const float*> from;
    std::vector<float*> to;
    for (size_t i = 0; i < parts.size(); ++i) {
        expect_inside(given[i].whole, shapes[i]);
        const Reads part = cut(Reads{inputs[i], shapes[i], row_major(shapes[i])}, given[i].whole);
        in.emplace_back(static_cast<size_t>(parts[i].size()));
        copy(part, {in[i].data(), parts[i], row_major(parts[i])}, model_.threads());
        from.push_back(in[i].data());
    }
    const std::vector<Shape> sizes = output_shapes(parts.data());
    for (const Shape& size : sizes) to.push_back(out.emplace_back(static_cast<size_t>(size.size())).data());
    for (size_t i = 0; i < sizes.size(); ++i) {
        expect_inside(made[i].made, sizes[i]);
        expect_inside(made[i].whole, tiles->output(i));
    }
    run(from.data(), parts.data(), 1, to.data());
    for (size_t i = 0; i < sizes.size(); ++i) {
        const Reads part = cut(Reads{to[i], sizes[i], row_major(sizes[i])}, made[i].made);
        const Writes whole = {outputs[i], tiles->output(i), row_major(tiles->output(i))};
        if (part.shape.size()) copy(part, cut(whole, made[i].whole), model_.threads());  // an edge may be cropped away
    }
    cuttings_.put(std::move(tiles));
}

}  // namespace pbgen
