// Weights of 8 bits by dot products: part of the instruction set neon-dotprod.
#pragma once

#include "../kernels.h"

namespace pbgen::neon {

extern const Product byte_broadcast;

}  // namespace pbgen::neon
