#include "fold.h"

#include <algorithm>

namespace pbgen {
namespace {

// Of input pixels, that are added up at a time.
constexpr size_t most_rows = 8;

// Both for b > 0.
int64_t divide_down(int64_t a, int64_t b) { return a / b - (a % b < 0); }
int64_t divide_up(int64_t a, int64_t b) { return -divide_down(-a, b); }

}  // namespace

Range Fold::contributors(int64_t row) const {
    const int64_t at = row + y.padding, taps = (y.kernel - 1) * y.dilation;
    return {std::clamp<int64_t>(divide_up(at - taps, y.stride), 0, input.height),
            std::clamp<int64_t>(divide_down(at, y.stride) + 1, 0, input.height)};
}

Fold::Part Fold::part(const Range& outputs) const {
    const int64_t begin = contributors(outputs.begin).begin;
    return {outputs, {begin, std::max(begin, contributors(outputs.end - 1).end)}};
}

Range Fold::reach(const Part& part, const Range& band) const {
    const int64_t taps = (y.kernel - 1) * y.dilation + 1;
    const Range& all = part.outputs;
    const int64_t begin = band.begin * y.stride - y.padding;
    const int64_t end = (band.end - 1) * y.stride - y.padding + std::max(taps, y.stride);
    const Range rows = {band.begin == part.inputs.begin ? all.begin : std::clamp(begin, all.begin, all.end),
                        band.end == part.inputs.end ? all.end : std::clamp(end, all.begin, all.end)};
    return rows.size() > 0 ? rows : Range{};
}

bool Fold::add_row(const float* products, const Part& part, const Range& band, int64_t row, float* values,
                   const Kernels& kernels) const {
    const int64_t at = row + y.padding;
    const Range all = contributors(row);
    if (all.begin >= band.begin || band.begin == part.inputs.begin)
        std::fill_n(values, output.width * output.channels, 0.0f);
    const float* rows[most_rows];
    size_t count = 0;
    for (int64_t i = std::max(all.begin, band.begin); i < std::min(all.end, band.end); ++i) {
        const int64_t tap = at - i * y.stride;
        if (tap % y.dilation) continue;
        const int64_t pixel = (i - band.begin) * input.width * y.kernel + tap / y.dilation;
        rows[count++] = products + pixel * x.kernel * output.channels;
        if (count < most_rows) continue;
        add_taps(rows, count, values, kernels);
        count = 0;
    }
    if (count) add_taps(rows, count, values, kernels);
    return all.end <= band.end;
}

// Taps are taken together whose contributions lie side by side, and those of neighbouring pixels apart.
void Fold::add_taps(const float* const* products, size_t rows, float* values, const Kernels& kernels) const {
    const int64_t channels = output.channels, pixel = y.kernel * x.kernel * channels;
    for (int64_t tap = 0, taps; tap < x.kernel; tap += taps) {
        const int64_t shift = tap * x.dilation - x.padding;  // of the output pixel, less stride times the input pixel
        taps = x.dilation > 1 ? 1 : std::min(x.kernel - tap, x.stride - (shift % x.stride + x.stride) % x.stride);
        const int64_t first = std::max<int64_t>(0, divide_up(-shift, x.stride));
        const int64_t whole = std::min(input.width, divide_down(output.width - taps - shift, x.stride) + 1);
        const auto add = [&](int64_t i, int64_t runs, int64_t length) {
            const float* from[most_rows];
            for (size_t row = 0; row < rows; ++row) from[row] = products[row] + tap * channels + i * pixel;
            kernels.add_runs(from, rows, static_cast<size_t>(pixel), static_cast<size_t>(runs),
                             static_cast<size_t>(length * channels), values + (i * x.stride + shift) * channels,
                             static_cast<size_t>(x.stride * channels));
        };
        if (first < whole) add(first, whole - first, taps);
        const int64_t cut = std::max(first, whole), left = output.width - (cut * x.stride + shift);
        if (cut < input.width && left > 0) add(cut, 1, left);
    }
}

}  // namespace pbgen
