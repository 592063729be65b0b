// Weights of 8 bits by dot products: part of the instruction set avx2-vnni.
#pragma once

#include "../kernels.h"

namespace pbgen::avx2 {

extern const Product byte_broadcast;

}  // namespace pbgen::avx2
