// pbgen._core: the C interface as Python sees it. Checks nothing that src/pbgen/engine.py has checked.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "pbgen.h"

namespace nb = nanobind;

void bind_training(nb::module_& module);  // training.cpp

namespace {

using Floats = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Seconds = nb::ndarray<double, nb::c_contig, nb::device::cpu>;

// A path in the message may hold bytes that are not UTF-8.
nb::str decode(const char* text) {
    return nb::steal<nb::str>(PyUnicode_DecodeUTF8(text, static_cast<Py_ssize_t>(strlen(text)), "replace"));
}

[[noreturn]] void raise_error() {
    PyErr_SetObject(PyExc_RuntimeError, decode(pbgen_error()).ptr());
    throw nb::python_error();
}

nb::tuple to_tuple(const pbgen_shape& shape) {
    nb::list dims;
    for (size_t i = 0; i < shape.rank; ++i) dims.append(shape.dims[i]);
    return nb::tuple(dims);
}

class Engine {
public:
    Engine(nb::bytes path, unsigned threads, bool int8) {
        {
            const nb::gil_scoped_release release;
            engine_ = pbgen_open(path.c_str(), threads, int8 ? PBGEN_INT8 : PBGEN_FLOAT32);
        }
        if (!engine_) raise_error();
    }
    ~Engine() { pbgen_close(engine_); }
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    void run(Floats input, Output output) {
        const size_t batch = input.shape(0);
        int status;
        {
            const nb::gil_scoped_release release;
            status = pbgen_run(engine_, input.data(), batch, output.data());
        }
        if (status) raise_error();
    }

    void time_layers(Floats input, Output output, Seconds seconds) {
        const size_t batch = input.shape(0);
        int status;
        {
            const nb::gil_scoped_release release;
            status = pbgen_time_layers(engine_, input.data(), batch, output.data(), seconds.data());
        }
        if (status) raise_error();
    }

    nb::tuple input_shape() const { return to_tuple(pbgen_input_shape(engine_)); }
    nb::tuple output_shape() const { return to_tuple(pbgen_output_shape(engine_)); }
    size_t resident_bytes() const { return pbgen_resident_bytes(engine_); }

    // (name, kernel, operations, bytes of weights) of each layer
    nb::list layers() const {
        nb::list result;
        for (size_t i = 0; i < pbgen_layer_count(engine_); ++i) {
            const pbgen_layer layer = pbgen_layer_info(engine_, i);
            result.append(
                nb::make_tuple(decode(layer.name), decode(layer.kernel), layer.operations, layer.weight_bytes));
        }
        return result;
    }

private:
    pbgen_engine* engine_ = nullptr;
};

}  // namespace

NB_MODULE(_core, module) {
    nb::class_<Engine>(module, "Engine")
        .def(nb::init<nb::bytes, unsigned, bool>(), nb::arg("path"), nb::arg("threads"), nb::arg("int8"))
        .def("run", &Engine::run, nb::arg("input"), nb::arg("output"))
        .def("time_layers", &Engine::time_layers, nb::arg("input"), nb::arg("output"), nb::arg("seconds"))
        .def_prop_ro("input_shape", &Engine::input_shape)
        .def_prop_ro("output_shape", &Engine::output_shape)
        .def_prop_ro("resident_bytes", &Engine::resident_bytes)
        .def_prop_ro("layers", &Engine::layers);
    bind_training(module);
}
