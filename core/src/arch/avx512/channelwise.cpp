// Each channel by itself: bound by memory, so that vectors of 32 bytes do.
#ifdef __x86_64__
#include "../vector/channelwise.h"

namespace pbgen::avx512 {

const Product* channelwise() { return &channelwise_product; }

}  // namespace pbgen::avx512
#endif
