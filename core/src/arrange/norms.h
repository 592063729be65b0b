// Which values are the mean and the variance of each channel of an image, as instance norms want them: both are made
// in one pass over it.
#pragma once

#include <vector>

#include "../bind.h"

namespace pbgen {

enum class Moment : uint8_t { neither, mean, variance };

// By value. A mean's variance is the value after it, made of the same image and of the mean.
std::vector<Moment> find_moments(const Graph& graph, const std::vector<Shape>& shapes);

}  // namespace pbgen
