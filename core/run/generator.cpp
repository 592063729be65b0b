#include "generator.h"

#include <algorithm>
#include <chrono>

#include "error.h"
#include "latents.h"

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
}

std::vector<float> Generator::images(uint64_t seed, uint64_t first, size_t count) const {
    return run(latents(seed, first, count), count);
}

double Generator::time(size_t count) const {
    using Clock = std::chrono::steady_clock;
    constexpr size_t fewest = 5, most = 100;
    constexpr double longest = 2000;
    const std::vector<float> z = latents(0, 0, count);
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

std::vector<float> Generator::latents(uint64_t seed, uint64_t first, size_t count) const {
    const size_t size = size_of(pbgen_input_shape(engine_.get()));
    std::vector<float> latents(count * size);
    draw_latents(seed, first * size, latents.size(), latents.data());
    return latents;
}

std::vector<float> Generator::run(const std::vector<float>& latents, size_t count) const {
    std::vector<float> images(count * size_of(output_shape()));
    if (pbgen_run(engine_.get(), latents.data(), count, images.data())) fail(file_, ": ", pbgen_error());
    return images;
}

}  // namespace pbgen
