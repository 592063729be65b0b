// Transposed convolution as one matrix product and a sum: every input pixel makes its contribution to each tap and
// output channel, which are the output channels of a layer of one tap, and every output pixel adds up its own.
//
// For few output channels: the product has as many columns as there are taps and channels, and fills the lanes.
#pragma once

#include "arch/kernels.h"
#include "graph.h"
#include "phases.h"
#include "threads.h"

namespace pbgen {

struct Fold {
    Geometry y, x;  // of the transposed convolution
    Shape input, output;

    // Some rows of the output, and the rows of input pixels that contribute to them.
    struct Part {
        Range outputs, inputs;
    };
    Part part(const Range& outputs) const;

    // Adds the contributions of some rows of input pixels to a part of the output, [images][output pixels][channels], and
    // calls finish(row) for each row of it that is then complete. The bands of a part's rows come in order.
    // `products`: [images][rows][input width][taps][channels]. An output adds up in the order of the input rows.
    template <class Finish>
    void add(const float* products, const Part& part, const Range& band, size_t images, float* result,
             const Kernels& kernels, Threads& threads, const Finish& finish) const {
        const Range rows = reach(part, band);
        const auto count = static_cast<size_t>(rows.size());
        threads.parallel_for(images * count, [&](size_t item) {
            const auto image = static_cast<int64_t>(item / count), row = rows.begin + static_cast<int64_t>(item % count);
            float* values = result + (image * output.height + row) * output.width * output.channels;
            const float* from = products + image * band.size() * input.width * y.kernel * x.kernel * output.channels;
            if (add_row(from, part, band, row, values, kernels)) finish(values);
        });
    }

private:
    // Rows of input pixels between which those lie that contribute to an output row.
    Range contributors(int64_t row) const;

    // The output rows of a part that a band reaches, or after which no other does.
    Range reach(const Part& part, const Range& band) const;

    // Adds all that a band contributes to an output row; returns whether it is complete.
    bool add_row(const float* products, const Part& part, const Range& band, int64_t row, float* values,
                 const Kernels& kernels) const;

    // Adds what some rows of input pixels contribute, each through one row of taps.
    void add_taps(const float* const* products, size_t rows, float* values, const Kernels& kernels) const;
};

}  // namespace pbgen
