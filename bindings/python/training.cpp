// pbgen._core's part for training: raw pointers in, checked in src/pbgen/training/products.py.
#include "training.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#ifndef _WIN32
#include <dlfcn.h>
#endif

#include <array>
#include <memory>
#include <tuple>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using pbgen::Images;
using pbgen::Pair;
using pbgen::Side;
using pbgen::Signs;
using pbgen::Threads;
using pbgen::WeightShape;

// torch's own threads, where it has loaded an OpenMP runtime of GCC's kind.
Threads::Fork find_fork() {
#ifdef _WIN32
    return nullptr;
#else
    return reinterpret_cast<Threads::Fork>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
#endif
}

// A forked child has not that runtime's threads, though the runtime thinks so and would wait for them.
std::shared_ptr<Threads> make_threads(unsigned count) {
    const Threads::Fork fork = pbgen::forks() ? nullptr : find_fork();
    return fork ? std::make_shared<Threads>(fork, count) : std::make_shared<Threads>(count);
}

// torch's number of threads may change, and all layers share one pool. Called with the GIL, and so are the functions of
// Recycled: nothing else guards what is static here. A child that is forked from Python finds it whole, as whoever forks
// has the GIL, where it might find a mutex locked for ever.
std::shared_ptr<Threads> shared_threads(unsigned count) {
    static std::shared_ptr<Threads> threads;
    if (!threads || threads->count() != count || threads->forked()) threads = make_threads(count);
    return threads;
}

const float* floats(size_t address) { return reinterpret_cast<const float*>(address); }
float* writable(size_t address) { return reinterpret_cast<float*>(address); }

using Two = std::array<int64_t, 2>;

WeightShape make_shape(size_t groups, size_t small, size_t large, Two kernel, Two stride, Two padding, Two dilation) {
    return {groups, small, large, {kernel[0], stride[0], padding[0], dilation[0]},
            {kernel[1], stride[1], padding[1], dilation[1]}};
}

Images make_images(size_t count, Two small, Two large) { return {count, small[0], small[1], large[0], large[1]}; }

Side side(bool large) { return large ? Side::large : Side::small; }

// Memory for gradients, kept for the next one when torch lets go of it: new memory costs a page fault for each 4 KiB,
// which takes longer than to fill it.
class Recycled {
public:
    using Memory = pbgen::Aligned<float>;

    static nb::ndarray<nb::pytorch, float> take(size_t count) {
        auto* memory = new Memory(find(count));
        nb::capsule owner(memory, [](void* p) noexcept { give_back(static_cast<Memory*>(p)); });
        return nb::ndarray<nb::pytorch, float>(memory->data(), {count}, owner);
    }

private:
    // As many as there are layers of a size whose gradients live at the same time.
    static std::vector<Memory>& kept() {
        static std::vector<Memory> memory;
        return memory;
    }

    static Memory find(size_t count) {
        for (Memory& memory : kept())
            if (memory.size() == count) {
                std::swap(memory, kept().back());
                Memory found = std::move(kept().back());
                kept().pop_back();
                return found;
            }
        return Memory(count);
    }

    static void give_back(Memory* memory) {
        kept().push_back(std::move(*memory));
        delete memory;
    }
};

using Met = std::tuple<size_t, Two, Two, size_t, size_t>;  // images, sizes, addresses: small and large

void weight_gradient(const WeightShape& shape, const std::vector<Met>& met, size_t gradient, unsigned threads) {
    const std::shared_ptr<Threads> pool = shared_threads(threads);
    const nb::gil_scoped_release release;
    std::vector<Pair> pairs;
    for (const auto& [count, small, large, small_images, large_images] : met)
        pairs.push_back({make_images(count, small, large), floats(small_images), floats(large_images)});
    pbgen::weight_gradient(shape, pairs, writable(gradient), *pool);
}

}  // namespace

void bind_training(nb::module_& module) {
    nb::class_<WeightShape>(module, "WeightShape")
        .def("__init__",
             [](WeightShape* self, size_t groups, size_t small, size_t large, Two kernel, Two stride, Two padding,
                Two dilation) {
                 new (self) WeightShape(make_shape(groups, small, large, kernel, stride, padding, dilation));
             },
             "groups"_a, "small"_a, "large"_a, "kernel"_a, "stride"_a, "padding"_a, "dilation"_a);
    nb::class_<Signs>(module, "Signs")
        .def("__init__",
             [](Signs* self, const WeightShape& shape, size_t weights, size_t planes, unsigned threads) {
                 const std::shared_ptr<Threads> pool = shared_threads(threads);
                 const nb::gil_scoped_release release;
                 new (self) Signs(shape, floats(weights), planes, *pool);
             },
             "shape"_a, "weights"_a, "planes"_a, "threads"_a)
        .def("run",
             [](Signs& self, bool to_large, size_t count, Two small, Two large, size_t input, size_t scale,
                size_t output, unsigned threads) {
                 const std::shared_ptr<Threads> pool = shared_threads(threads);
                 const nb::gil_scoped_release release;
                 self.run(side(to_large), make_images(count, small, large), floats(input), floats(scale), writable(output),
                          *pool);
             },
             "to_large"_a, "count"_a, "small"_a, "large"_a, "input"_a, "scale"_a, "output"_a, "threads"_a);
    module.def("weight_gradient", &weight_gradient, "shape"_a, "pairs"_a, "gradient"_a, "threads"_a);
    module.def(
        "signed_sums",
        [](const WeightShape& shape, bool large, size_t values, size_t weights, size_t sums, unsigned threads) {
            const std::shared_ptr<Threads> pool = shared_threads(threads);
            const nb::gil_scoped_release release;
            pbgen::signed_sums(shape, side(large), floats(values), floats(weights), writable(sums), *pool);
        },
        "shape"_a, "large"_a, "values"_a, "weights"_a, "sums"_a, "threads"_a);
    module.def(
        "straight_through",
        [](const WeightShape& shape, bool large, size_t weights, size_t scale, size_t shift, size_t gradient,
           unsigned threads) {
            const std::shared_ptr<Threads> pool = shared_threads(threads);
            const nb::gil_scoped_release release;
            pbgen::straight_through(shape, side(large), floats(weights), floats(scale), floats(shift), writable(gradient),
                                    *pool);
        },
        "shape"_a, "large"_a, "weights"_a, "scale"_a, "shift"_a, "gradient"_a, "threads"_a);
    module.def("recycled_memory", &Recycled::take, "count"_a);
    module.def("kernels", [] { return pbgen::choose_kernels().name; });
}
