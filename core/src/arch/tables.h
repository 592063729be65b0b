// The instruction sets of this build. Each is one translation unit with compiler flags of its own, so it may include
// nothing with inline functions: the linker could take its copy, with instructions that a processor lacks, for all.
#pragma once

#include "kernels.h"

namespace pbgen {

extern const Kernels portable_kernels;
extern const Kernels avx512_kernels;

}  // namespace pbgen
