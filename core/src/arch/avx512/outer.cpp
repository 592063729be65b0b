#ifdef __x86_64__
#include "../vector/outer.h"

namespace pbgen {

// Of 32 registers, 28 hold sums.
using Vector = float __attribute__((vector_size(64)));
const OuterProducts avx512_outer_products = Outer<Vector, 14, 2>::table;

}  // namespace pbgen
#endif
