#include "kernels.h"

#include <cstdlib>
#include <string>
#include <string_view>

#include "../error.h"
#include "tables.h"

namespace pbgen {
namespace {

// Best first.
const Kernels* const all_kernels[] = {
#ifdef __x86_64__
    &avx512_vbmi_kernels, &avx512_kernels,
#ifdef PBGEN_AVX_VNNI
    &avx2_vnni_kernels,
#endif
    &avx2_kernels,
#endif
#ifdef __aarch64__
    &neon_dotprod_kernels, &neon_kernels,
#endif
#ifdef __wasm__
    &wasm_kernels,
#else
    &portable_kernels,
#endif
};

const Kernels& kernels_called(std::string_view name) {
    std::string names;
    for (const Kernels* kernels : all_kernels) {
        names += names.empty() ? kernels->name : std::string(", ") + kernels->name;
        if (name != kernels->name) continue;
        if (!kernels->supported()) fail("PBGEN_ARCH: this processor cannot run ", quote(name));
        return *kernels;
    }
    fail("PBGEN_ARCH: no instruction set ", quote(name), "; this build has ", names);
}

}  // namespace

const Kernels& choose_kernels() {
    const char* forced = std::getenv("PBGEN_ARCH");
    if (forced && *forced) return kernels_called(forced);
    for (const Kernels* kernels : all_kernels)
        if (kernels->supported()) return *kernels;
    fail("this processor can run none of the instruction sets of this build");
}

}  // namespace pbgen
