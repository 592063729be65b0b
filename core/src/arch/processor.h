// What this processor has. Asked in a file of its own, which is compiled for every processor: what is compiled for some
// instruction set may use it anywhere, before it is known to be there.
#pragma once

#include <cstdint>

namespace pbgen {

// Whether little of so many bytes that are read and written will be found in the caches again, a quarter of which is for others.
// Never where the processor does not tell what third cache it has a part in.
bool outgrows_caches(uint64_t bytes);
// What was written past the caches comes late, but before this. (Workers say that they are done by an operation that waits
// for it, too.)
void await_streams();

#ifdef __x86_64__
bool has_avx2();
bool has_avx2_vnni();  // dot products of bytes, without AVX-512
bool has_avx512();
bool is_intel();
bool has_avx512_vbmi();  // permutations and dot products of bytes, too
#endif
#ifdef __aarch64__
bool has_dotprod();
#endif

}  // namespace pbgen
