// The operators without weights. All images have the channels innermost.
#pragma once

#include <cstddef>

#include "arch/kernels.h"
#include "graph.h"
#include "plan.h"
#include "threads.h"

namespace pbgen {

// One call of an operator on a number of images.
struct Call {
    const Node& node;
    const Graph& graph;
    const MemoryPlan& plan;
    float* workspace;
    float* output;
    size_t images;
    Threads& threads;

    const float* input(size_t i) const { return workspace + plan.values[node.inputs[i]] * images; }
    const Shape& input_shape(size_t i) const { return graph.shape(node.inputs[i]); }
};

void run_affine(const Call& call, const Epilogue& epilogue, const Kernels& kernels);
void run_add(const Call& call);
void run_concat(const Call& call);
void run_reshape(const Call& call);
void run_upsample(const Call& call);
void run_pixel_shuffle(const Call& call);

// Images between channels first and channels innermost.
void channels_to_innermost(const Shape& shape, const float* in, size_t images, float* out, Threads& threads);
void channels_to_first(const Shape& shape, const float* in, size_t images, float* out, Threads& threads);

}  // namespace pbgen
