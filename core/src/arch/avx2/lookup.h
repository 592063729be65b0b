// The product of this folder's own.
#pragma once

#include "../kernels.h"

namespace pbgen::avx2 {

extern const Product lookup;

}  // namespace pbgen::avx2
