// Seeing the same numbers in another way, without moving them.
#pragma once

#include "../strided.h"

namespace pbgen {

// Strides under which the numbers of an array, in row-major order of `from`, are an array of shape `to`. Returns false
// where there are none.
bool reshape_strides(const Shape& from, const Strides& strides, const Shape& to, Strides* result);

// Whether numbers with these strides lie where those with `others` do.
bool same_places(const Shape& shape, const Strides& strides, const Strides& others);

// Without gaps, the dimensions in the order of `like`'s strides.
Strides dense_like(const Shape& shape, const Strides& like);

}  // namespace pbgen
