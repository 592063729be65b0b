#include "../ops.h"
#include "loops.h"

namespace pbgen {

void copy(const Reads& in, const Writes& out, Threads& threads) {
    const Strides* strides[] = {&in.strides, &out.strides};
    Loops loops(out.shape, strides, 2, 1);
    loops.cut(4096);
    const int64_t tile = loops.block[loops.rows_axis()] * loops.block[loops.columns_axis()];
    for_parts(loops.blocks(), tile, threads, [&](int64_t begin, int64_t end) {
        Walk walk(loops, begin);
        for (int64_t i = begin; i < end; ++i, walk.next())
            copy_block(in.data + walk.offset(0), loops.steps(0), out.data + walk.offset(1), loops.steps(1), walk.rows(),
                       walk.columns());
    });
}

}  // namespace pbgen
