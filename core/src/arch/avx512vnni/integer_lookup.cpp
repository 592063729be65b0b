// The same source with VNNI: one instruction for a multiplication and an addition.
#include "../avx512/integer_lookup.cpp"
