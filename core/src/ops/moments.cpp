// Mean and variance of each channel of an image, as instance norms want them, in one pass.
//
// Some pixels at a time, in single precision: how far they lie from the mean of those before, and the square of that. So
// nothing is lost where numbers are large and close to each other. In double precision that is told of how far they lie from
// the image's first pixel, and added up.
#include "../ops.h"
#include "loops.h"

namespace pbgen {
namespace {

constexpr int64_t most_pixels = 64, most_channels = 256, most_parts = 16, part_runs = 8;

// Of some runs of pixels.
struct Sums {
    double far[most_channels], squares[most_channels];

    void clear() {
        std::fill_n(far, most_channels, 0.0);
        std::fill_n(squares, most_channels, 0.0);
    }
};

}  // namespace

// An image has the same parts however many threads there are.
void moments(const float* pixels, const Image& image, const Layout& layout, float* means, float* variances,
             const Kernels& kernels, Threads& threads) {
    const bool together = layout.row == image.width * layout.pixel;
    const int64_t lines = together ? 1 : image.height, length = image.pixels() / lines;
    const int64_t line_runs = divide_up(length, most_pixels), runs = lines * line_runs;
    const int64_t parts = std::clamp<int64_t>(runs / part_runs, 1, most_parts);  // each reads its first run twice
    const auto all = static_cast<double>(image.pixels());
    for (int64_t channel = 0; channel < image.channels; channel += most_channels) {
        const float* first = pixels + channel;
        const int64_t channels = std::min(image.channels - channel, most_channels);
        Sums sums[most_parts];
        for_parts(parts, runs / parts * most_pixels * channels, threads, [&](int64_t begin, int64_t end) {
            float near[most_channels];
            const auto add = [&](int64_t run, Sums& to) {
                const int64_t at = run % line_runs * most_pixels, some = std::min(length - at, most_pixels);
                kernels.moments(first + run / line_runs * layout.row + at * layout.pixel, static_cast<size_t>(some),
                                layout.pixel, static_cast<size_t>(channels), near, first, to.far, to.squares);
            };
            for (int64_t part = begin; part < end; ++part) {
                const int64_t first_run = part * runs / parts;
                std::copy_n(first, channels, near);
                sums[part].clear();
                add(first_run, sums[part]);  // for its mean
                sums[part].clear();
                for (int64_t run = first_run; run < (part + 1) * runs / parts; ++run) add(run, sums[part]);
            }
        });
        for (int64_t c = 0; c < channels; ++c) {
            double far = 0, squares = 0;
            for (int64_t part = 0; part < parts; ++part) far += sums[part].far[c], squares += sums[part].squares[c];
            far /= all;
            means[channel + c] = static_cast<float>(first[c] + far);
            const double variance = squares / all - far * far;
            variances[channel + c] = variance < 0 ? 0 : static_cast<float>(variance);
        }
    }
}

}  // namespace pbgen
