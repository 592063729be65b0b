// The instruction sets of this build. Each is a folder whose files have compiler flags of their own, so they may include
// nothing with inline functions: the linker could take its copy, with instructions that a processor lacks, for all.
#pragma once

#include "kernels.h"

namespace pbgen {

extern const Kernels portable_kernels;
extern const Kernels avx2_kernels;
extern const Kernels avx2_vnni_kernels;
extern const Kernels avx512_kernels;
extern const Kernels avx512_vbmi_kernels;
extern const Kernels neon_kernels;
extern const Kernels neon_dotprod_kernels;
extern const Kernels wasm_kernels;  // those of a module

}  // namespace pbgen
