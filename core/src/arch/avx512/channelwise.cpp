// Each channel by itself, and short runs: bound by memory, so that vectors of 32 bytes do.
#ifdef __x86_64__
#include "../vector/channelwise.h"
#include "../vector/runs.h"

namespace pbgen::avx512 {

const Product* channelwise(bool one_bit) { return pbgen::channelwise(one_bit); }

void add_runs(const float* const* from, size_t sources, size_t from_step, size_t count, size_t length, float* to,
              size_t to_step) {
    pbgen::add_runs(from, sources, from_step, count, length, to, to_step);
}

}  // namespace pbgen::avx512
#endif
