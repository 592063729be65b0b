// Prints numbers of the sequence that a seed begins: latents SEED FIRST COUNT.
#include "../src/latents.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    std::vector<float> numbers(std::strtoull(argv[3], nullptr, 10));
    pbgen::draw_latents(std::strtoull(argv[1], nullptr, 10), std::strtoull(argv[2], nullptr, 10), numbers.size(),
                        numbers.data());
    for (float number : numbers) std::printf("%.9g\n", static_cast<double>(number));
}
