// Many small images as one picture: the same pixels as src/pbgen/pictures.py makes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pbgen {

struct Picture {
    size_t channels, height, width;
    std::vector<uint8_t> pixels;  // row-major, the channels innermost
};

// What a generator has for black and for white.
struct Range {
    double low, high;
};

// Images row by row on white, eight to a row, small gaps between them.
class Grid {
public:
    // Throws Error where the picture would be too large.
    Grid(size_t count, size_t channels, size_t height, size_t width, Range range);

    // `image`: [channels][height][width] numbers. Those of the range become 0 .. 255; what lies outside is clipped.
    void place(size_t index, const float* image);

    const Picture& picture() const { return picture_; }

private:
    uint8_t to_pixel(float value) const;

    size_t height_, width_, columns_;  // of an image, and images in a row
    float low_, high_, scale_;
    Picture picture_;
};

}  // namespace pbgen
