// What the command line of pbgen-run asks for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "pbgen.h"

namespace pbgen {

struct Options {
    std::string file;
    std::string output;  // empty: no picture
    uint64_t seed = 0;
    size_t count = 64;
    unsigned threads = 0;  // 0: one for each usable core
    pbgen_activations activations = PBGEN_FLOAT32;
    double black = -1, white = 1;  // what the generator has for them
    bool time = false, help = false, version = false;
};

// Throws Error, which names the option, what is wrong with it and what would be right.
Options read_options(int argc, char** argv);

}  // namespace pbgen
