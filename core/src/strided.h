// Numbers in memory seen as an array of up to eight dimensions, each with a stride of its own.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pbgen {

constexpr size_t max_rank = 8;

// A shape with all its sizes known; dimensions beyond `rank` are 1.
struct Shape {
    size_t rank = 0;
    int64_t dims[max_rank] = {1, 1, 1, 1, 1, 1, 1, 1};

    int64_t& operator[](size_t i) { return dims[i]; }
    int64_t operator[](size_t i) const { return dims[i]; }
    // Each dimension is at most 2^28, and so is the product: graph.cpp sees to it.
    int64_t size() const {
        int64_t product = 1;
        for (size_t i = 0; i < rank; ++i) product *= dims[i];
        return product;
    }
    bool operator==(const Shape& other) const {
        for (size_t i = 0; i < rank; ++i)
            if (dims[i] != other.dims[i]) return false;
        return rank == other.rank;
    }
    bool operator!=(const Shape& other) const { return !(*this == other); }
};

// Strides count numbers. They may be 0, where a number stands for many, or negative.
struct Strides {
    int64_t steps[max_rank] = {};

    int64_t& operator[](size_t i) { return steps[i]; }
    int64_t operator[](size_t i) const { return steps[i]; }
};

inline Strides row_major(const Shape& shape) {
    Strides strides;
    int64_t step = 1;
    for (size_t i = shape.rank; i-- > 0; step *= shape[i]) strides[i] = step;
    return strides;
}

// [1, C, ...] with the channels innermost: as layers read and write images.
inline Strides channels_innermost(const Shape& shape) {
    Strides strides;
    int64_t step = shape.rank > 1 ? shape[1] : 1;
    for (size_t i = shape.rank; i-- > 2; step *= shape[i]) strides[i] = step;
    if (shape.rank > 1) strides[1] = 1;
    strides[0] = step;
    return strides;
}

// Whether an array is one image or sound of some channels.
inline bool has_channels(const Shape& shape) { return (shape.rank == 3 || shape.rank == 4) && shape[0] == 1; }

template <class Number>
struct Strided {
    Number* data;  // of the number at 0, 0, ...
    Shape shape;
    Strides strides;
};

using Reads = Strided<const float>;
using Writes = Strided<float>;

}  // namespace pbgen
