// What makes compilers take loops over registers as they are written. Each instruction set compiles it with flags of its
// own, so all of it has internal linkage.
#pragma once

namespace pbgen {
namespace {

// Unrolled early, so that arrays of registers stay in registers.
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

// Where sums are handed on that should stay in registers.
#define INLINE inline __attribute__((always_inline))

// Makes the compiler compute this vector here, among others of the kind in the order in which they are written. Left to
// itself it begins so many things at once that it runs out of registers.
template <class Vector>
inline void in_order(Vector& value) {
#ifdef __SSE2__
    asm("" : "+v"(value));
#elif defined(__aarch64__)
    asm("" : "+w"(value));
#else
    (void)value;
#endif
}

}  // namespace
}  // namespace pbgen
