// pbgen._core: the C interface as Python sees it. Checks nothing that src/pbgen/engine.py has checked.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <vector>

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

// A free dimension is None.
nb::tuple to_tuple(const pbgen_shape& shape) {
    nb::list dims;
    for (size_t i = 0; i < shape.rank; ++i) dims.append(shape.dims[i] ? nb::cast(shape.dims[i]) : nb::none());
    return nb::tuple(dims);
}

std::vector<pbgen_shape> to_shapes(const std::vector<std::vector<size_t>>& inputs) {
    std::vector<pbgen_shape> shapes;
    for (const std::vector<size_t>& dims : inputs) {
        pbgen_shape shape = {dims.size(), {}};
        std::copy(dims.begin(), dims.end(), shape.dims);
        shapes.push_back(shape);
    }
    return shapes;
}

nb::list to_list(const std::vector<pbgen_shape>& shapes) {
    nb::list result;
    for (const pbgen_shape& shape : shapes) result.append(to_tuple(shape));
    return result;
}

// Arrays (N, ...), as the C interface takes them.
template <class Array, class Number>
struct Arrays {
    std::vector<Number*> data;
    std::vector<pbgen_shape> shapes;

    explicit Arrays(const std::vector<Array>& arrays) {
        for (const Array& array : arrays) {
            data.push_back(array.data());
            pbgen_shape shape = {array.ndim() - 1, {}};
            for (size_t i = 0; i < shape.rank; ++i) shape.dims[i] = array.shape(i + 1);
            shapes.push_back(shape);
        }
    }
};

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

    void run(const std::vector<Floats>& inputs, const std::vector<Output>& outputs) {
        const Arrays<Floats, const float> in(inputs);
        const Arrays<Output, float> out(outputs);
        const size_t batch = inputs[0].shape(0);
        int status;
        {
            const nb::gil_scoped_release release;
            status = pbgen_run(engine_, in.data.data(), in.shapes.data(), batch, out.data.data());
        }
        if (status) raise_error();
    }

    void time_layers(const std::vector<Floats>& inputs, const std::vector<Output>& outputs, Seconds seconds) {
        const Arrays<Floats, const float> in(inputs);
        const Arrays<Output, float> out(outputs);
        const size_t batch = inputs[0].shape(0);
        int status;
        {
            const nb::gil_scoped_release release;
            status = pbgen_time_layers(engine_, in.data.data(), in.shapes.data(), batch, out.data.data(), seconds.data());
        }
        if (status) raise_error();
    }

    // Of the outputs, for arrays with these shapes, the batch left out.
    nb::list output_shapes(const std::vector<std::vector<size_t>>& inputs) {
        std::vector<pbgen_shape> shapes = to_shapes(inputs), outputs(pbgen_output_count(engine_));
        if (pbgen_output_shapes(engine_, shapes.data(), outputs.data())) raise_error();
        return to_list(outputs);
    }

    // Of all inputs: those of noise follow from the others, whatever stands in their place.
    nb::list complete_shapes(const std::vector<std::vector<size_t>>& inputs) {
        std::vector<pbgen_shape> shapes = to_shapes(inputs);
        if (pbgen_noise_shapes(engine_, shapes.data())) raise_error();
        return to_list(shapes);
    }

    // Of each layer, for one image.
    std::vector<uint64_t> operations(const std::vector<std::vector<size_t>>& inputs) {
        const std::vector<pbgen_shape> shapes = to_shapes(inputs);
        std::vector<uint64_t> operations(pbgen_layer_count(engine_));
        if (pbgen_layer_operations(engine_, shapes.data(), operations.data())) raise_error();
        return operations;
    }

    size_t tiles(const std::vector<std::vector<size_t>>& inputs, size_t tile) {
        const std::vector<pbgen_shape> shapes = to_shapes(inputs);
        const size_t count = pbgen_tile_count(engine_, shapes.data(), tile);
        if (!count) raise_error();
        return count;
    }

    // Of one image.
    void run_tile(const std::vector<Floats>& inputs, const std::vector<Output>& outputs, size_t tile, size_t index) {
        const Arrays<Floats, const float> in(inputs);
        const Arrays<Output, float> out(outputs);
        int status;
        {
            const nb::gil_scoped_release release;
            status = pbgen_run_tile(engine_, in.data.data(), in.shapes.data(), tile, index, out.data.data());
        }
        if (status) raise_error();
    }

    // (name, shape, whether integers, kind of noise) of each
    nb::list inputs() const {
        nb::list result;
        for (size_t i = 0; i < pbgen_input_count(engine_); ++i) {
            const pbgen_value value = pbgen_input_info(engine_, i);
            result.append(nb::make_tuple(decode(value.name), to_tuple(value.shape), value.integer != 0,
                                         static_cast<int>(value.noise)));
        }
        return result;
    }

    // (name, shape) of each
    nb::list outputs() const {
        nb::list result;
        for (size_t i = 0; i < pbgen_output_count(engine_); ++i) {
            const pbgen_value value = pbgen_output_info(engine_, i);
            result.append(nb::make_tuple(decode(value.name), to_tuple(value.shape)));
        }
        return result;
    }

    size_t resident_bytes() const { return pbgen_resident_bytes(engine_); }

    // (name, kernel, bytes of weights, bits of a weight) of each layer
    nb::list layers() const {
        nb::list result;
        for (size_t i = 0; i < pbgen_layer_count(engine_); ++i) {
            const pbgen_layer layer = pbgen_layer_info(engine_, i);
            result.append(nb::make_tuple(decode(layer.name), decode(layer.kernel), layer.weight_bytes, layer.bits));
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
        .def("run", &Engine::run, nb::arg("inputs"), nb::arg("outputs"))
        .def("time_layers", &Engine::time_layers, nb::arg("inputs"), nb::arg("outputs"), nb::arg("seconds"))
        .def("output_shapes", &Engine::output_shapes, nb::arg("inputs"))
        .def("complete_shapes", &Engine::complete_shapes, nb::arg("inputs"))
        .def("operations", &Engine::operations, nb::arg("inputs"))
        .def("tiles", &Engine::tiles, nb::arg("inputs"), nb::arg("tile"))
        .def("run_tile", &Engine::run_tile, nb::arg("inputs"), nb::arg("outputs"), nb::arg("tile"), nb::arg("index"))
        .def_prop_ro("inputs", &Engine::inputs)
        .def_prop_ro("outputs", &Engine::outputs)
        .def_prop_ro("resident_bytes", &Engine::resident_bytes)
        .def_prop_ro("layers", &Engine::layers);
    bind_training(module);
}
