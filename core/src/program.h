// What is computed of each element by itself: a list of instructions (docs/format.md, "Element by element").
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pbgen {

enum class Instruction : uint8_t {
    // one operand
    neg, abs, sign, sqrt, rsqrt, exp, expm1, log, log1p, sin, cos, tanh, sigmoid, erf, floor, ceil, round, relu,
    // two
    add, sub, mul, div, pow, max, min, mod, leaky, lt, le, gt, ge, eq, ne,
    // three
    where,
};

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
