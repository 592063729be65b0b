#include "grid.h"

#include <algorithm>
#include <cmath>

#include "error.h"

namespace pbgen {
namespace {

constexpr size_t most_columns = 8;
constexpr size_t gap = 2;                        // pixels
constexpr size_t max_bytes = size_t{512} << 20;  // of a picture
constexpr uint8_t white = 255;

}  // namespace

Grid::Grid(size_t count, size_t channels, size_t height, size_t width, Range range)
    : height_(height),
      width_(width),
      columns_(std::min(count, most_columns)),
      low_(static_cast<float>(range.low)),
      high_(static_cast<float>(range.high)),
      scale_(static_cast<float>(255 / (range.high - range.low))) {
    const size_t rows = (count + columns_ - 1) / columns_;
    picture_.channels = channels;
    picture_.height = rows * (height + gap) - gap;
    picture_.width = columns_ * (width + gap) - gap;
    if (picture_.width > max_bytes / channels / picture_.height)
        fail("--count ", count, ": the picture would be larger than ", max_bytes >> 20, " MiB; give a smaller count");
    picture_.pixels.assign(picture_.height * picture_.width * channels, white);
}

// Rounds halves to even, as NumPy does. The order of min and max makes NaN a number.
uint8_t Grid::to_pixel(float value) const {
    const float clipped = std::max(low_, std::min(high_, value));
    return static_cast<uint8_t>(std::lrint((clipped - low_) * scale_));
}

void Grid::place(size_t index, const float* image) {
    const size_t top = index / columns_ * (height_ + gap), left = index % columns_ * (width_ + gap);
    const size_t channels = picture_.channels;
    for (size_t c = 0; c < channels; ++c)
        for (size_t y = 0; y < height_; ++y) {
            uint8_t* out = &picture_.pixels[((top + y) * picture_.width + left) * channels + c];
            for (size_t x = 0; x < width_; ++x) out[x * channels] = to_pixel(*image++);
        }
}

}  // namespace pbgen
