// Prints the processors that the quotas below a folder pay for: cores FOLDER...
#include <climits>
#include <cstdio>

#include "../src/cores.h"

int main(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        const unsigned cores = pbgen::quota_cores(argv[i]);
        cores == UINT_MAX ? std::puts("unlimited") : std::printf("%u\n", cores);
    }
}
