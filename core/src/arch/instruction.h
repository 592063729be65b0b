// What a program does with numbers (docs/format.md, "Element by element").
#pragma once

#include <cstddef>
#include <cstdint>

namespace pbgen {

enum class Instruction : uint8_t {
    // one operand
    neg, abs, sign, sqrt, rsqrt, exp, expm1, log, log1p, sin, cos, tanh, sigmoid, erf, floor, ceil, round, relu,
    // two
    add, sub, mul, div, pow, max, min, mod, leaky, lt, le, gt, ge, eq, ne,
    // three
    where,
};

// As many numbers as are asked for, one after another; or one number, `most_lanes` times.
struct Operand {
    const float* numbers;
    bool one;
};

// Numbers in the longest vector.
constexpr size_t most_lanes = 16;

}  // namespace pbgen
