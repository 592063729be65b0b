// For products that prepare one pixel's inputs after another's.
#pragma once

#include "kernels.h"

namespace pbgen {
namespace {

template <void (*prepare)(const float* values, size_t inputs, const Quantization& quantization, void* source)>
void each_pixel(const PixelRun& run, size_t inputs, const Quantization& quantization) {
    for (int64_t i = 0; i < run.count; ++i)
        prepare(run.values + i * run.step, inputs, quantization, run.sources + i * run.source_step);
}

}  // namespace
}  // namespace pbgen
