#include "fold.h"

#include <algorithm>

namespace pbgen {
namespace {

// Adds the contributions of one row of input pixels through one row of taps to a row of output pixels.
void add_row(const float* products, const Geometry& x, int64_t taps, int64_t inputs, int64_t channels, float* row,
             int64_t row_size) {
    // Without dilation, an input pixel's contributions lie side by side in the output.
    const int64_t runs = x.dilation == 1 ? 1 : x.kernel, run = x.dilation == 1 ? x.kernel * channels : channels;
    for (int64_t i = 0; i < inputs; ++i, products += taps * channels)
        for (int64_t k = 0; k < runs; ++k) {
            const int64_t at = (i * x.stride - x.padding + k * x.dilation) * channels;
            const int64_t begin = std::max<int64_t>(0, -at), end = std::min(run, row_size - at);
            for (int64_t j = begin; j < end; ++j) row[at + j] += products[k * channels + j];
        }
}

}  // namespace

void fold(const float* products, const Range& input_rows, size_t images, const Geometry& y, const Geometry& x,
          const Shape& input, const Shape& output, float* result, Threads& threads) {
    const int64_t channels = output.channels, taps = y.kernel * x.kernel;
    const int64_t row_products = input.width * taps * channels, row_size = output.width * channels;
    // The output rows that these input rows reach.
    const int64_t reach = (y.kernel - 1) * y.dilation, last = (input_rows.end - 1) * y.stride - y.padding + reach;
    const int64_t begin = std::max<int64_t>(0, input_rows.begin * y.stride - y.padding);
    const int64_t end = std::min(output.height, last + 1);
    if (begin >= end) return;
    const auto count = static_cast<size_t>(end - begin);
    threads.parallel_for(images * count, [&](size_t item) {
        const auto image = static_cast<int64_t>(item / count), o = begin + static_cast<int64_t>(item % count);
        float* row = result + (image * output.height + o) * row_size;
        for (int64_t k = y.kernel - 1; k >= 0; --k) {  // from the first input row to the last
            const int64_t at = o + y.padding - k * y.dilation, i = at / y.stride;
            if (at < 0 || at % y.stride || i < input_rows.begin || i >= input_rows.end) continue;
            const float* from = products + (image * input_rows.size() + i - input_rows.begin) * row_products;
            add_row(from + k * x.kernel * channels, x, taps, input.width, channels, row, row_size);
        }
    });
}

}  // namespace pbgen
