// What is computed of each element by itself: a list of instructions (docs/format.md, "Element by element").
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "arch/instruction.h"

namespace pbgen {

// Operands count inputs first, then numbers, then the results of instructions.
struct Step {
    Instruction instruction;
    uint16_t operands[3];
};

constexpr size_t max_program_inputs = 17;  // a layer's sum, and 16 more
constexpr size_t max_program_numbers = 256;
constexpr size_t max_program_steps = 256;

struct Program {
    size_t inputs = 0;
    std::vector<float> numbers;
    std::vector<Step> steps;  // none: the first input
};

}  // namespace pbgen
