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

// Whether it takes no longer than to move its numbers: several of them, one made of the other, move them but once.
constexpr bool is_light(Instruction instruction) {
    switch (instruction) {
        case Instruction::neg:
        case Instruction::abs:
        case Instruction::relu:
        case Instruction::add:
        case Instruction::sub:
        case Instruction::mul:
        case Instruction::div:
        case Instruction::max:
        case Instruction::min:
        case Instruction::leaky: return true;
        default: return false;
    }
}

constexpr size_t operand_count(Instruction instruction) {
    if (instruction == Instruction::where) return 3;
    return instruction >= Instruction::add ? 2 : 1;
}

// What is made of numbers, and of others with them.
struct Link {
    Instruction instruction;
    bool second;  // whether those are its second operand
    Operand others[2];
};

// Nothing, one instruction, or some that are light, at most so many.
constexpr size_t most_links = 16;

struct Chain {
    Operand first;
    const Link* links;
    size_t length;
    bool streams = false;  // whether what it makes is written past the caches, which will not hold it
};

}  // namespace pbgen
