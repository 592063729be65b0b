// One-bit weights and sums of 8 bits for processors that cannot permute bytes: tables in memory, in vectors of 32 bytes.
#ifdef __x86_64__
#include "../vector/lookup.h"

namespace pbgen::avx512 {

const Product& memory_lookup() { return integer_lookup_product; }

}  // namespace pbgen::avx512
#endif
