// Threads where there are none but the caller's.
#include "../src/cores.h"
#include "../src/threads.h"

namespace pbgen {

class Threads::Pool {};

unsigned forks() { return 0; }

unsigned usable_cores() { return 1; }

Threads::Threads(unsigned) : forks_(0), count_(1) {}

Threads::~Threads() = default;

void Threads::run(size_t count, Call call, const void* context) {
    for (size_t i = 0; i < count; ++i) call(context, i);
}

}  // namespace pbgen
