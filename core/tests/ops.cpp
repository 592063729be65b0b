// Runs operators on arrays that standard input gives, for Python to compare.
//
// A request is a line of words: the operator, the number of threads, attributes, and the arrays, the output last: for
// each its rank, dimensions, strides, where its first number lies in memory, and how many numbers that memory has. The
// memories follow, as float32. The reply is a line, `ok` or `no`, and the output's memory.
#include <algorithm>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

#include "../src/aligned.h"
#include "../src/error.h"
#include "../src/ops.h"

using namespace pbgen;

namespace {

template <class T = int64_t>
T word() {
    T value;
    std::cin >> value;
    return value;
}

template <class T>
T choice() {
    return static_cast<T>(word<int>());
}

// Memory that ends where the numbers end, for sanitizers to watch.
struct Array {
    Shape shape;
    Strides strides;
    int64_t first;
    std::vector<float> memory;

    Array() {
        shape.rank = word<size_t>();
        for (size_t i = 0; i < shape.rank; ++i) shape[i] = word();
        for (size_t i = 0; i < shape.rank; ++i) strides[i] = word();
        first = word();
        memory.resize(word<size_t>());
    }
    Reads reads() const { return {memory.data() + first, shape, strides}; }
    Writes writes() { return {memory.data() + first, shape, strides}; }
};

struct Arrays {
    std::vector<Array> all;

    explicit Arrays(size_t count) : all(count) {
        std::cin.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
        for (Array& array : all)
            std::cin.read(reinterpret_cast<char*>(array.memory.data()),
                          static_cast<std::streamsize>(array.memory.size() * sizeof(float)));
    }
    std::vector<Reads> inputs() const {
        std::vector<Reads> inputs;
        for (size_t i = 0; i + 1 < all.size(); ++i) inputs.push_back(all[i].reads());
        return inputs;
    }
    Writes out() { return all.back().writes(); }
};

Program read_program() {
    Program program;
    program.inputs = word<size_t>();
    program.numbers.resize(word<size_t>());
    program.steps.resize(word<size_t>());
    for (float& number : program.numbers) number = word<float>();
    for (Step& step : program.steps) {
        step.instruction = choice<Instruction>();
        for (uint16_t& operand : step.operands) operand = word<uint16_t>();
    }
    return program;
}

Shape read_shape() {
    Shape shape;
    shape.rank = word<size_t>();
    for (size_t i = 0; i < shape.rank; ++i) shape[i] = word();
    return shape;
}

bool run(const std::string& name, const Kernels& kernels, std::vector<float>& result) {
    const auto with = [&](size_t count, const auto& task) {
        Arrays arrays(count);
        const bool fine = task(arrays.inputs(), arrays.out());
        result = arrays.all.back().memory;
        return fine;
    };
    Threads threads(word<unsigned>());
    if (name == "copy")
        return with(2, [&](const auto& in, const Writes& out) { return copy(in[0], out, threads), true; });
    if (name == "map") {
        const Program program = read_program();
        return with(program.inputs + 1, [&](const auto& in, const Writes& out) {
            return map(program, in.data(), out, kernels, threads), true;
        });
    }
    if (name == "extremes") {  // of a map that makes them as its first input lies
        const Program program = read_program();
        return with(program.inputs + 1, [&](const auto& in, const Writes& out) {
            std::vector<float> made(static_cast<size_t>(in[0].shape.size()));
            SharedExtremes found;
            map(program, in.data(), {made.data(), in[0].shape, in[0].strides}, kernels, threads, &found);
            const Extremes extremes = found.get();
            const float numbers[] = {extremes.low, extremes.high, extremes.four};
            return std::copy_n(numbers, 3, out.data), true;
        });
    }
    if (name == "reduce") {
        const auto kind = choice<Reduction>();
        const Program program = read_program();
        const Shape shape = read_shape();
        return with(program.inputs + 1, [&](const auto& in, const Writes& out) {
            return reduce(kind, program, in.data(), shape, out, kernels, threads), true;
        });
    }
    if (name == "moments")
        return with(2, [&](const auto& in, const Writes& out) {
            const Shape& shape = in[0].shape;
            const Image image = {shape[1], shape[2], shape[3]};
            const Layout layout = {0, in[0].strides[2], in[0].strides[3]};
            return moments(in[0].data, image, layout, out.data, out.data + shape[1], kernels, threads), true;
        });
    if (name == "range") {
        const float start = word<float>(), step = word<float>();
        return with(1, [&](const auto&, const Writes& out) { return range(start, step, out), true; });
    }
    if (name == "pad") {
        const Shape before = read_shape();
        const auto mode = choice<Padding>();
        const float value = word<float>();
        return with(2, [&](const auto& in, const Writes& out) {
            return pad(in[0], before.dims, mode, value, out, threads), true;
        });
    }
    if (name == "take") {
        const auto axis = word<size_t>();
        return with(3, [&](const auto& in, const Writes& out) { return take(in[0], axis, in[1], out, threads); });
    }
    if (name == "resample") {
        const auto axis = word<size_t>();
        const auto mode = choice<Resampling>();
        const float step = word<float>();
        const bool align_corners = word<int>() != 0;
        return with(2, [&](const auto& in, const Writes& out) {
            return resample(in[0], axis, mode, step, align_corners, out, kernels, threads), true;
        });
    }
    if (name == "pool") {
        const bool mean = word<int>() != 0, padded = word<int>() != 0;
        std::vector<Window> windows(word<size_t>());
        for (Window& window : windows) window = {word(), word(), word(), word()};
        return with(2, [&](const auto& in, const Writes& out) {
            return pool(in[0], mean, windows.data(), windows.size(), padded, out, kernels, threads), true;
        });
    }
    if (name == "adaptive_pool") {
        const bool mean = word<int>() != 0;
        const auto first = word<size_t>(), count = word<size_t>();
        return with(2, [&](const auto& in, const Writes& out) {
            return adaptive_pool(in[0], mean, first, count, out, kernels, threads), true;
        });
    }
    if (name == "matmul")
        return with(3, [&](const auto& in, const Writes& out) {
            Aligned<uint8_t> scratch(matmul_scratch(in[0].shape, in[1].shape, kernels, threads.count()));
            return matmul(in[0], in[1], out, scratch.data(), kernels, threads), true;
        });
    return false;
}

}  // namespace

int main() try {
    std::ios::sync_with_stdio(false);
    const Kernels& kernels = choose_kernels();
    for (std::string name; std::cin >> name;) {
        std::vector<float> result;
        std::cout << (run(name, kernels, result) ? "ok\n" : "no\n");
        std::cout.write(reinterpret_cast<const char*>(result.data()),
                        static_cast<std::streamsize>(result.size() * sizeof(float)));
        std::cout.flush();
    }
} catch (const Error& error) {
    std::cerr << error.what() << '\n';
    return 2;
}
