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

// Images row by row on white, eight to a row, small gaps between them.
class Grid {
public:
    // Throws Error where the picture would be too large.
    Grid(size_t count, size_t channels, size_t height, size_t width);

    // `image`: [channels][height][width] numbers. -1 .. 1 become 0 .. 255; what lies outside is clipped.
    void place(size_t index, const float* image);

    const Picture& picture() const { return picture_; }

private:
    size_t height_, width_, columns_;  // of an image, and images in a row
    Picture picture_;
};

}  // namespace pbgen
