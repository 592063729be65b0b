// The C interface: no exception leaves it.
#include <algorithm>
#include <exception>
#include <new>
#include <string>

#include "container.h"
#include "engine.h"
#include "error.h"
#include "latents.h"
#include "pbgen.h"

struct pbgen_engine {
    pbgen::Engine engine;
};

namespace {

// Calls `function`; where it throws, keeps the message for pbgen_error() and returns `failure`.
template <class Result, class Function>
Result guard(Result failure, const Function& function) noexcept {
    pbgen::forget_error();
    try {
        return function();
    } catch (const std::bad_alloc&) {
        pbgen::keep_error(nullptr);
    } catch (const std::exception& error) {
        pbgen::keep_error(error.what());
    }
    return failure;
}

// Opens what `read` returns; an error about it gets the name of what was opened.
template <class Read>
pbgen_engine* open(const char* name, const Read& read, unsigned threads, pbgen_activations activations) {
    const pbgen::Kernels& kernels = pbgen::choose_kernels();
    const pbgen::About about(std::string(name) + ": ", "");
    return new pbgen_engine{{read(), kernels, threads, activations == PBGEN_INT8}};
}

pbgen_shape to_c(const std::vector<pbgen::Count>& counts) {
    pbgen_shape result = {counts.size() - 1, {}};
    for (size_t i = 1; i < counts.size(); ++i)
        result.dims[i - 1] = counts[i].known() ? static_cast<size_t>(counts[i].integer) : 0;
    return result;
}

pbgen_shape to_c(const pbgen::Shape& shape) {
    pbgen_shape result = {shape.rank - 1, {}};
    for (size_t i = 1; i < shape.rank; ++i) result.dims[i - 1] = static_cast<size_t>(shape[i]);
    return result;
}

// The shapes of an engine's inputs with the batch's 1; what they lack is found where they are bound.
class Shapes {
public:
    Shapes(const pbgen_engine* engine, const pbgen_shape* shapes) : given_(shapes) {
        for (size_t i = 0; shapes && i < pbgen_input_count(engine); ++i) {
            const size_t rank = std::min<size_t>(shapes[i].rank, pbgen::max_rank - 1);
            shapes_[i].rank = rank + 1;
            for (size_t axis = 0; axis < rank; ++axis)
                shapes_[i][axis + 1] = static_cast<int64_t>(std::min<size_t>(shapes[i].dims[axis], INT32_MAX));
        }
    }

    const pbgen::Shape* get() const { return given_ ? shapes_ : nullptr; }

private:
    const pbgen_shape* given_;
    pbgen::Shape shapes_[pbgen::max_ends];
};

int run(pbgen_engine* engine, const float* const* inputs, const pbgen_shape* shapes, size_t batch, float* const* outputs,
        void* workspace, double* seconds) {
    return guard(1, [&] {
        engine->engine.run(inputs, Shapes(engine, shapes).get(), batch, outputs, workspace, seconds);
        return 0;
    });
}

}  // namespace

pbgen_engine* pbgen_open(const char* path, unsigned threads, pbgen_activations activations) {
    return guard<pbgen_engine*>(nullptr, [&] {
        return open(path, [&] { return pbgen::read_container(path); }, threads, activations);
    });
}

pbgen_engine* pbgen_open_memory(const void* data, size_t size, unsigned threads, pbgen_activations activations) {
    return guard<pbgen_engine*>(nullptr, [&] {
        return open("packed generator", [&] { return pbgen::read_container(data, size); }, threads, activations);
    });
}

void pbgen_close(pbgen_engine* engine) { delete engine; }

size_t pbgen_input_count(const pbgen_engine* engine) { return engine->engine.graph().inputs.size(); }

size_t pbgen_output_count(const pbgen_engine* engine) { return engine->engine.graph().outputs.size(); }

pbgen_value pbgen_input_info(const pbgen_engine* engine, size_t i) {
    const pbgen::Input& input = engine->engine.graph().inputs[i];
    return {input.name.c_str(), to_c(input.shape), input.integer, static_cast<pbgen_noise>(input.noise)};
}

pbgen_value pbgen_output_info(const pbgen_engine* engine, size_t i) {
    const pbgen::Graph& graph = engine->engine.graph();
    return {graph.outputs[i].name.c_str(), to_c(graph.shape(graph.outputs[i].value)), 0, PBGEN_GIVEN};
}

int pbgen_output_shapes(pbgen_engine* engine, const pbgen_shape* shapes, pbgen_shape* outputs) {
    return guard(1, [&] {
        for (const pbgen::Shape& shape : engine->engine.output_shapes(Shapes(engine, shapes).get())) *outputs++ = to_c(shape);
        return 0;
    });
}

int pbgen_noise_shapes(const pbgen_engine* engine, pbgen_shape* shapes) {
    return guard(1, [&] {
        const pbgen::Graph& graph = engine->engine.graph();
        const Shapes given(engine, shapes);
        for (const pbgen::Shape& shape : pbgen::complete(graph, {given.get(), given.get() + graph.inputs.size()})) *shapes++ = to_c(shape);
        return 0;
    });
}

int pbgen_run(pbgen_engine* engine, const float* const* inputs, const pbgen_shape* shapes, size_t batch,
              float* const* outputs) {
    return run(engine, inputs, shapes, batch, outputs, nullptr, nullptr);
}

size_t pbgen_workspace_bytes(pbgen_engine* engine, const pbgen_shape* shapes, size_t batch) {
    return guard(size_t{0}, [&] { return engine->engine.workspace_bytes(Shapes(engine, shapes).get(), batch); });
}

int pbgen_run_in(pbgen_engine* engine, const float* const* inputs, const pbgen_shape* shapes, size_t batch,
                 float* const* outputs, void* workspace) {
    return run(engine, inputs, shapes, batch, outputs, workspace, nullptr);
}

size_t pbgen_tile_count(pbgen_engine* engine, const pbgen_shape* shapes, size_t tile) {
    return guard(size_t{0}, [&] {
        return engine->engine.tiles(Shapes(engine, shapes).get(), static_cast<int64_t>(std::min<size_t>(tile, INT32_MAX)));
    });
}

int pbgen_run_tile(pbgen_engine* engine, const float* const* inputs, const pbgen_shape* shapes, size_t tile, size_t index,
                   float* const* outputs) {
    return guard(1, [&] {
        engine->engine.run_tile(inputs, Shapes(engine, shapes).get(), static_cast<int64_t>(std::min<size_t>(tile, INT32_MAX)),
                                index, outputs);
        return 0;
    });
}

void pbgen_draw(pbgen_noise kind, uint64_t seed, uint64_t first, size_t count, float* numbers) {
    if (kind == PBGEN_UNIFORM)
        pbgen::draw_uniform(seed, first, count, numbers);
    else
        pbgen::draw_latents(seed, first, count, numbers);
}

size_t pbgen_layer_count(const pbgen_engine* engine) { return engine->engine.layers().size(); }

pbgen_layer pbgen_layer_info(const pbgen_engine* engine, size_t layer) {
    const pbgen::LayerInfo& info = engine->engine.layers()[layer];
    return {info.name.c_str(), info.kernel.c_str(), info.weight_bytes, info.bits};
}

int pbgen_layer_operations(pbgen_engine* engine, const pbgen_shape* shapes, uint64_t* operations) {
    return guard(1, [&] {
        const std::vector<uint64_t> all = engine->engine.operations(Shapes(engine, shapes).get());
        std::copy(all.begin(), all.end(), operations);
        return 0;
    });
}

int pbgen_time_layers(pbgen_engine* engine, const float* const* inputs, const pbgen_shape* shapes, size_t batch,
                      float* const* outputs, double* seconds) {
    return run(engine, inputs, shapes, batch, outputs, nullptr, seconds);
}

size_t pbgen_resident_bytes(const pbgen_engine* engine) { return engine->engine.resident_bytes(); }

const char* pbgen_error(void) { return pbgen::kept_error(); }
