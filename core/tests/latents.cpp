// Prints numbers of the sequence that a seed begins: latents normal|uniform SEED FIRST COUNT.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "pbgen.h"

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    std::vector<float> numbers(std::strtoull(argv[4], nullptr, 10));
    const pbgen_noise kind = argv[1][0] == 'u' ? PBGEN_UNIFORM : PBGEN_NORMAL;
    pbgen_draw(kind, std::strtoull(argv[2], nullptr, 10), std::strtoull(argv[3], nullptr, 10), numbers.size(), numbers.data());
    for (float number : numbers) std::printf("%.9g\n", static_cast<double>(number));
}
