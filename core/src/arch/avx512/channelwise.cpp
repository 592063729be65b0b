// Each channel by itself: bound by memory, so that vectors of 32 bytes do.
#ifdef __x86_64__
#include "../vector/channelwise.h"

namespace pbgen::avx512 {

const Product* channelwise(bool one_bit) { return pbgen::channelwise(one_bit); }

}  // namespace pbgen::avx512
#endif
