// Where the numbers of a value, or of part of it, stand in a run: somewhere, seen through strides.
#pragma once

#include "../image.h"
#include "../strided.h"

namespace pbgen {

struct Place {
    enum class Of : uint8_t { buffer, input, output, constant };
    Of of;
    size_t index;   // of the buffer, input, output or tensor
    int64_t image;  // how far it is from one image to the next: all that lies there; 0 for constants
    int64_t offset;
    Shape shape;
    Strides strides;
};

bool is_same(const Place& place, const Place& other);

// Whether layers can read it as it lies: the channels of a pixel side by side, and rows and pixels in order.
bool is_image(const Place& place);
// Of such an image.
Layout layout(const Place& place);

// Whether it can be read with these strides, and nothing else lies beside it in each image.
bool is_packed(const Place& place, const Strides& strides);

}  // namespace pbgen
