// The C interface: no exception leaves it.
#include <exception>
#include <new>
#include <string>

#include "container.h"
#include "engine.h"
#include "error.h"
#include "pbgen.h"

struct pbgen_engine {
    pbgen::Engine engine;
};

namespace {

thread_local std::string last_error;

// Calls `function`; where it throws, keeps the message for pbgen_error() and returns `failure`.
template <class Result, class Function>
Result guard(Result failure, const Function& function) noexcept {
    try {
        try {
            return function();
        } catch (const std::bad_alloc&) {
            last_error = "out of memory";
        } catch (const std::exception& error) {
            last_error = error.what();
        }
    } catch (...) {
        last_error.clear();
    }
    return failure;
}

// Opens what `read` returns; an error about it gets the name of what was opened.
template <class Read>
pbgen_engine* open(const char* name, const Read& read, unsigned threads, pbgen_activations activations) {
    const pbgen::Kernels& kernels = pbgen::choose_kernels();
    try {
        return new pbgen_engine{{read(), kernels, threads, activations == PBGEN_INT8}};
    } catch (const pbgen::Error& error) {
        pbgen::fail(name, ": ", error.what());
    }
}

pbgen_shape to_c(const pbgen::Shape& shape) {
    pbgen_shape result = {shape.rank, {1, 1, 1}};
    result.dims[0] = static_cast<size_t>(shape.channels);
    if (shape.rank == 3) result.dims[1] = static_cast<size_t>(shape.height);
    if (shape.rank >= 2) result.dims[shape.rank - 1] = static_cast<size_t>(shape.width);
    return result;
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

pbgen_shape pbgen_input_shape(const pbgen_engine* engine) { return to_c(engine->engine.input_shape()); }

pbgen_shape pbgen_output_shape(const pbgen_engine* engine) { return to_c(engine->engine.output_shape()); }

int pbgen_run(pbgen_engine* engine, const float* input, size_t batch, float* output) {
    return pbgen_run_in(engine, input, batch, output, nullptr);
}

size_t pbgen_workspace_bytes(const pbgen_engine* engine, size_t batch) { return engine->engine.workspace_bytes(batch); }

int pbgen_run_in(pbgen_engine* engine, const float* input, size_t batch, float* output, void* workspace) {
    return guard(1, [&] {
        engine->engine.run(input, batch, output, workspace);
        return 0;
    });
}

size_t pbgen_layer_count(const pbgen_engine* engine) { return engine->engine.layers().size(); }

pbgen_layer pbgen_layer_info(const pbgen_engine* engine, size_t layer) {
    const pbgen::Layer& info = *engine->engine.layers()[layer];
    return {info.name().c_str(), info.kernel().c_str(), info.operations(), info.weight_bytes()};
}

int pbgen_time_layers(pbgen_engine* engine, const float* input, size_t batch, float* output, double* seconds) {
    return guard(1, [&] {
        engine->engine.run(input, batch, output, nullptr, seconds);
        return 0;
    });
}

size_t pbgen_resident_bytes(const pbgen_engine* engine) { return engine->engine.resident_bytes(); }

const char* pbgen_error(void) { return last_error.c_str(); }
