// Transposed convolution as one matrix product and a sum: every input pixel makes its contribution to each tap and
// output channel, which are the output channels of a layer of one tap, and every output pixel adds up its own.
//
// For few output channels: the product has as many columns as there are taps and channels, and fills the lanes.
#pragma once

#include "graph.h"
#include "phases.h"
#include "threads.h"

namespace pbgen {

// Adds the contributions of some rows of input pixels to the output, [images][output pixels][channels].
// `products`: [images][rows][input width][taps][channels]. An output adds up in the order of the input rows.
void fold(const float* products, const Range& input_rows, size_t images, const Geometry& y, const Geometry& x,
          const Shape& input, const Shape& output, float* result, Threads& threads);

}  // namespace pbgen
