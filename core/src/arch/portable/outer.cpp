#include "../vector/outer.h"

namespace pbgen {

// Of 16 registers, 12 hold sums.
using Vector = float __attribute__((vector_size(16)));
const OuterProducts portable_outer_products = Outer<Vector, 6, 2>::table;

}  // namespace pbgen
