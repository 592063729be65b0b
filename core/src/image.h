// Images as layers see them, and the geometry of convolutions between them.
#pragma once

#include <cstdint>

namespace pbgen {

// In memory the channels are innermost. A sound is an image of height or width 1; positions of a linear layer are pixels.
struct Image {
    int64_t channels = 1, height = 1, width = 1;

    int64_t pixels() const { return height * width; }
    int64_t size() const { return channels * pixels(); }
};

// How far it is from one image, row or pixel to the next; a pixel's channels lie side by side.
struct Layout {
    int64_t image = 0, row = 0, pixel = 0;

    int64_t at(int64_t i, int64_t y, int64_t x) const { return i * image + y * row + x * pixel; }
    bool operator==(const Layout& other) const { return image == other.image && row == other.row && pixel == other.pixel; }
};

// Without gaps.
inline Layout packed(const Image& image, int64_t pixel) {
    return {image.pixels() * pixel, image.width * pixel, pixel};
}
inline Layout packed(const Image& image) { return packed(image, image.channels); }

// Along one dimension of the image. A linear layer is a convolution with kernel 1.
struct Geometry {
    int64_t kernel = 1, stride = 1, padding = 0, dilation = 1;
};

struct LayerShape {
    bool transposed = false;
    Geometry y, x;
    int64_t groups = 1;
    Image input, output;
};

}  // namespace pbgen
