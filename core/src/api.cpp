// The C interface: no exception leaves it.
#include <exception>
#include <new>
#include <string>

#include "engine.h"
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

pbgen_shape to_c(const pbgen::Shape& shape) {
    pbgen_shape result = {shape.rank, {1, 1, 1}};
    result.dims[0] = static_cast<size_t>(shape.channels);
    if (shape.rank == 3) result.dims[1] = static_cast<size_t>(shape.height);
    if (shape.rank >= 2) result.dims[shape.rank - 1] = static_cast<size_t>(shape.width);
    return result;
}

}  // namespace

pbgen_engine* pbgen_open(const char* path, unsigned threads) {
    return guard<pbgen_engine*>(nullptr, [&] { return new pbgen_engine{{path, threads}}; });
}

void pbgen_close(pbgen_engine* engine) { delete engine; }

pbgen_shape pbgen_input_shape(const pbgen_engine* engine) { return to_c(engine->engine.input_shape()); }

pbgen_shape pbgen_output_shape(const pbgen_engine* engine) { return to_c(engine->engine.output_shape()); }

int pbgen_run(pbgen_engine* engine, const float* input, size_t batch, float* output) {
    return guard(1, [&] {
        engine->engine.run(input, batch, output);
        return 0;
    });
}

size_t pbgen_resident_bytes(const pbgen_engine* engine) { return engine->engine.resident_bytes(); }

size_t pbgen_layer_count(const pbgen_engine* engine) { return engine->engine.layers().size(); }

const char* pbgen_layer_name(const pbgen_engine* engine, size_t layer) {
    return engine->engine.layers()[layer].name.c_str();
}

const char* pbgen_layer_kernel(const pbgen_engine* engine, size_t layer) {
    return engine->engine.layers()[layer].kernel.c_str();
}

const char* pbgen_error(void) { return last_error.c_str(); }
