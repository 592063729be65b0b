// What the test programs feed to engines.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "pbgen.h"

// More than memory may hold.
inline uint64_t size_of(const pbgen_shape& shape) {
    uint64_t size = 1;
    for (size_t i = 0; i < shape.rank; ++i) size *= shape.dims[i];
    return size;
}

// Some input: numbers from -1 to 1.
inline std::vector<float> numbers(uint64_t count) {
    std::vector<float> numbers(static_cast<size_t>(count));
    for (size_t i = 0; i < count; ++i) numbers[i] = static_cast<float>(i % 17) / 8 - 1;
    return numbers;
}

// A call of an engine with some input of its sizes, `free` where they are free.
class Call {
public:
    Call(pbgen_engine* engine, size_t batch, size_t free = 8) : engine_(engine), batch_(batch) {
        for (size_t i = 0; i < pbgen_input_count(engine); ++i) {
            shapes_.push_back(pbgen_input_info(engine, i).shape);
            for (size_t axis = 0; axis < shapes_[i].rank; ++axis)
                if (shapes_[i].dims[axis] == 0) shapes_[i].dims[axis] = free;
        }
        output_shapes_.resize(pbgen_output_count(engine));
        works_ = !pbgen_noise_shapes(engine, shapes_.data()) &&
                 !pbgen_output_shapes(engine, shapes_.data(), output_shapes_.data());
    }

    // Of inputs and outputs, all images together.
    uint64_t size() const {
        uint64_t size = 0;
        for (const std::vector<pbgen_shape>* shapes : {&shapes_, &output_shapes_})
            for (const pbgen_shape& shape : *shapes) size += batch_ * size_of(shape);
        return size;
    }
    // Takes the memory; before any run.
    void fill() {
        for (const pbgen_shape& shape : shapes_) inputs_.push_back(numbers(batch_ * size_of(shape)));
        for (const pbgen_shape& shape : output_shapes_) outputs_.emplace_back(static_cast<size_t>(batch_ * size_of(shape)));
        for (std::vector<float>& input : inputs_) in_.push_back(input.data());
        for (std::vector<float>& output : outputs_) out_.push_back(output.data());
    }

    // Whether the engine takes these sizes; if not, pbgen_error() says why.
    bool works() const { return works_; }
    size_t workspace_bytes() const { return pbgen_workspace_bytes(engine_, shapes_.data(), batch_); }
    uint64_t operations() const {
        std::vector<uint64_t> layers(pbgen_layer_count(engine_));
        pbgen_layer_operations(engine_, shapes_.data(), layers.data());
        uint64_t sum = 0;
        for (uint64_t operations : layers) sum += operations;
        return sum;
    }
    int run() { return pbgen_run(engine_, in_.data(), shapes_.data(), batch_, out_.data()); }
    int run_in(void* workspace) {
        return pbgen_run_in(engine_, in_.data(), shapes_.data(), batch_, out_.data(), workspace);
    }
    // The same of the first image, in tiles, a few of them; where it is not local, nothing.
    void run_tiles(size_t tile) {
        const size_t count = pbgen_tile_count(engine_, shapes_.data(), tile);
        for (size_t i = 0; i < std::min<size_t>(count, 8); ++i)
            pbgen_run_tile(engine_, in_.data(), shapes_.data(), tile, i, out_.data());
    }
    // All outputs, one after another.
    std::vector<float> output() const {
        std::vector<float> all;
        for (const std::vector<float>& output : outputs_) all.insert(all.end(), output.begin(), output.end());
        return all;
    }

private:
    pbgen_engine* engine_;
    size_t batch_;
    bool works_;
    std::vector<pbgen_shape> shapes_, output_shapes_;
    std::vector<std::vector<float>> inputs_, outputs_;
    std::vector<const float*> in_;
    std::vector<float*> out_;
};

// To the bit: also where there are NaNs.
inline bool same(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}
