// A packed generator, with vectors and sizes where the C interface has pointers and shapes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pbgen.h"

namespace pbgen {

class Generator {
public:
    // Throws Error, as the other functions do.
    Generator(const std::string& file, unsigned threads, pbgen_activations activations);

    // Of an image.
    pbgen_shape output_shape() const { return pbgen_output_info(engine_.get(), 0).shape; }

    // Images first .. first + count - 1 of those that the seed gives.
    std::vector<float> images(uint64_t seed, uint64_t first, size_t count) const;

    // Milliseconds that it takes to make `count` images at once: the median of many runs.
    double time(size_t count) const;

private:
    struct Close {
        void operator()(pbgen_engine* engine) const { pbgen_close(engine); }
    };

    using Inputs = std::vector<std::vector<float>>;

    Inputs latents(uint64_t seed, uint64_t first, size_t count) const;
    std::vector<float> run(const Inputs& inputs, size_t count) const;

    std::string file_;
    std::unique_ptr<pbgen_engine, Close> engine_;
};

}  // namespace pbgen
