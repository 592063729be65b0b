#ifdef __aarch64__
#include "../vector/outer.h"

namespace pbgen {

// Of 32 registers, 24 hold sums.
using Vector = float __attribute__((vector_size(16)));
const OuterProducts neon_outer_products = Outer<Vector, 8, 3>::table;

}  // namespace pbgen
#endif
