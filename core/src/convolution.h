// Runs a layer with weights: convolution, transposed convolution, linear.
#pragma once

#include <memory>
#include <string>

#include "arch/kernels.h"
#include "graph.h"
#include "phases.h"
#include "threads.h"
#include "weights.h"

namespace pbgen {

class Convolution {
public:
    Convolution(const Node& node, const Shape& input, std::shared_ptr<const Weights> weights, const Epilogue& epilogue,
                const Kernels& kernels);

    // Numbers of scratch memory that an image needs.
    size_t scratch() const;

    // `input` and `output` are images with the channels innermost.
    void run(const float* input, size_t images, float* scratch, float* output, Threads& threads) const;

    // For people: the method and the instruction set.
    std::string description() const;

private:
    struct Tile;

    void build_tables(const float* input, size_t pixels, float* tables, Threads& threads) const;
    void finish_untouched(size_t images, float* output, Threads& threads) const;
    void run_tile(Tile& tile, const float* source, float* output) const;
    void add_tap(Tile& tile, const Tap& row, const Tap& column, const float* source) const;
    void accumulate(const Tile& tile, size_t tap, const float** sources, float* const* sums, size_t count) const;
    void finish_tile(const Tile& tile, float* output) const;

    Shape input_, output_;
    std::shared_ptr<const Weights> weights_;
    Phases rows_, columns_;
    int64_t kernel_width_;
    Epilogue epilogue_;
    const Kernels& kernels_;
    size_t source_stride_;  // numbers that a pixel takes where the kernel reads: channels, or their tables
    size_t group_stride_;   // likewise, of one group
};

}  // namespace pbgen
