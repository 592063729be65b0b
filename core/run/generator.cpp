#include "generator.h"

#include <algorithm>
#include <chrono>

#include "error.h"

namespace pbgen {
namespace {

size_t size_of(const pbgen_shape& shape) {
    size_t size = 1;
    for (size_t i = 0; i < shape.rank; ++i) size *= shape.dims[i];
    return size;
}

}  // namespace

Generator::Generator(const std::string& file, unsigned threads, pbgen_activations activations)
    : file_(file), engine_(pbgen_open(file.c_str(), threads, activations)) {
    if (!engine_) fail(pbgen_error());
    for (size_t i = 0; i < pbgen_input_count(engine_.get()); ++i) {
        const pbgen_value input = pbgen_input_info(engine_.get(), i);
        if (input.integer || size_of(input.shape) == 0)
            fail(file_, ": its input ", quote(input.name), " is no latent vector of a fixed size; use the C library, or Python");
    }
}

std::vector<float> Generator::images(uint64_t seed, uint64_t first, size_t count) const {
    return run(latents(seed, first, count), count);
}

double Generator::time(size_t count) const {
    using Clock = std::chrono::steady_clock;
    constexpr size_t fewest = 5, most = 100;
    constexpr double longest = 2000;
    const Inputs z = latents(0, 0, count);
    run(z, count);  // takes memory and starts the threads
    std::vector<double> times;
    for (double sum = 0; times.size() < fewest || (times.size() < most && sum < longest); sum += times.back()) {
        const Clock::time_point begin = Clock::now();
        run(z, count);
        times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
    }
    const auto middle = times.begin() + static_cast<ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
}

// Each input has a seed of its own (src/pbgen/latents.py).
Generator::Inputs Generator::latents(uint64_t seed, uint64_t first, size_t count) const {
    Inputs inputs;
    for (size_t i = 0; i < pbgen_input_count(engine_.get()); ++i, seed += 0xD1B54A32D192ED03) {
        const pbgen_value input = pbgen_input_info(engine_.get(), i);
        const size_t size = size_of(input.shape);
        inputs.emplace_back(count * size);
        pbgen_draw(input.noise, seed, first * size, count * size, inputs.back().data());
    }
    return inputs;
}

// The first output; others are made and dropped.
std::vector<float> Generator::run(const Inputs& inputs, size_t count) const {
    std::vector<const float*> in;
    for (const std::vector<float>& input : inputs) in.push_back(input.data());
    std::vector<pbgen_shape> shapes(pbgen_output_count(engine_.get()));
    std::vector<std::vector<float>> outputs;
    std::vector<float*> out;
    if (pbgen_output_shapes(engine_.get(), nullptr, shapes.data())) fail(file_, ": ", pbgen_error());
    for (const pbgen_shape& shape : shapes) outputs.emplace_back(count * size_of(shape));
    for (std::vector<float>& output : outputs) out.push_back(output.data());
    if (pbgen_run(engine_.get(), in.data(), nullptr, count, out.data())) fail(file_, ": ", pbgen_error());
    return std::move(outputs[0]);
}

}  // namespace pbgen
