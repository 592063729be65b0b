// What the test programs feed to engines.
#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

#include "pbgen.h"

inline size_t size_of(const pbgen_shape& shape) {
    size_t size = 1;
    for (size_t i = 0; i < shape.rank; ++i) size *= shape.dims[i];
    return size;
}

// Some input: numbers from -1 to 1.
inline std::vector<float> numbers(size_t count) {
    std::vector<float> numbers(count);
    for (size_t i = 0; i < count; ++i) numbers[i] = static_cast<float>(i % 17) / 8 - 1;
    return numbers;
}

// To the bit: also where there are NaNs.
inline bool same(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}
