// The instructions of a program, each over many numbers.
#pragma once

#include "../instruction.h"
#include "math.h"

namespace pbgen {
namespace {

// Vector by vector; an operand that is one number stays where it is.
struct Cursor {
    const float* at;
    size_t step;

    explicit Cursor(const Operand& operand) : at(operand.numbers), step(operand.one ? 0 : lanes) {}
    inline Floats next() {
        const Floats x = load<Floats>(at);
        at += step;
        return x;
    }
};

template <class Function>
inline void one(const Operand* operands, size_t count, float* result, Function function) {
    Cursor a(operands[0]);
    for (size_t i = 0; i < count; i += lanes) store(result + i, function(a.next()));
}

template <class Function>
inline void two(const Operand* operands, size_t count, float* result, Function function) {
    Cursor a(operands[0]), b(operands[1]);
    for (size_t i = 0; i < count; i += lanes) store(result + i, function(a.next(), b.next()));
}

template <class Compare>
inline void truth(const Operand* operands, size_t count, float* result, Compare compare) {
    two(operands, count, result, [=](Floats a, Floats b) { return compare(a, b) ? splat(1) : Floats{}; });
}

// x to a power of twice a small whole number. A square root of -infinity is NaN, as torch has it for 0.5.
void small_power(const Operand* operands, size_t count, float* result, int twice) {
    const int times = (twice < 0 ? -twice : twice) / 2;
    const bool half = twice % 2 != 0, below = twice < 0;
    one(operands, count, result, [=](Floats x) {
        Floats product = half ? sqrt(x) : splat(1);
        for (int i = 0; i < times; ++i) product *= x;
        return below ? 1 / product : product;
    });
}

void power(const Operand* operands, size_t count, float* result) {
    if (operands[1].one) {
        const float twice = 2 * *operands[1].numbers;
        for (int small = -8; small <= 8; ++small)
            if (twice == static_cast<float>(small)) return small_power(operands, count, result, small);
    }
    two(operands, count, result, [](Floats a, Floats b) {
        return each_lane([](float x, float y) { return __builtin_powf(x, y); }, a, b);
    });
}

// With the divisor's sign. By fmod(), because the quotient's last digits are missing where it is large; a fraction, the
// commonest, is exact without.
void modulo(const Operand* operands, size_t count, float* result) {
    if (operands[1].one && *operands[1].numbers == 1)
        return one(operands, count, result, [](Floats x) { return x - floor(x); });
    two(operands, count, result, [](Floats a, Floats b) {
        const Floats rest = each_lane([](float x, float y) { return __builtin_fmodf(x, y); }, a, b);
        const Ints other_sign = (rest < 0) ^ (b < 0);
        return ((rest != 0) & other_sign) != 0 ? rest + b : rest;
    });
}

// Comparisons with a NaN are false.
void calculate_vectors(Instruction instruction, const Operand* o, size_t n, float* out) {
    switch (instruction) {
        case Instruction::neg: return one(o, n, out, [](Floats x) { return -x; });
        case Instruction::abs: return one(o, n, out, [](Floats x) { return magnitude(x); });
        case Instruction::sign:
            return one(o, n, out, [](Floats x) { return x > 0 ? splat(1) : x < 0 ? splat(-1) : Floats{}; });
        case Instruction::sqrt: return one(o, n, out, [](Floats x) { return sqrt(x); });
        case Instruction::rsqrt: return one(o, n, out, [](Floats x) { return 1 / sqrt(x); });
        case Instruction::exp: return one(o, n, out, [](Floats x) { return exp(x); });
        case Instruction::expm1: return one(o, n, out, [](Floats x) { return expm1(x); });
        case Instruction::log: return one(o, n, out, [](Floats x) { return log(x); });
        case Instruction::log1p: return one(o, n, out, [](Floats x) { return log1p(x); });
        case Instruction::sin: return one(o, n, out, [](Floats x) { return sine(x, 0); });
        case Instruction::cos: return one(o, n, out, [](Floats x) { return sine(x, 1); });
        case Instruction::tanh: return one(o, n, out, [](Floats x) { return tanh(x); });
        case Instruction::sigmoid: return one(o, n, out, [](Floats x) { return sigmoid(x); });
        case Instruction::erf: return one(o, n, out, [](Floats x) { return erf(x); });
        case Instruction::floor: return one(o, n, out, [](Floats x) { return floor(x); });
        case Instruction::ceil: return one(o, n, out, [](Floats x) { return ceil(x); });
        case Instruction::round: return one(o, n, out, [](Floats x) { return round_any(x); });
        case Instruction::relu: return one(o, n, out, [](Floats x) { return x < 0 ? Floats{} : x; });
        case Instruction::add: return two(o, n, out, [](Floats a, Floats b) { return a + b; });
        case Instruction::sub: return two(o, n, out, [](Floats a, Floats b) { return a - b; });
        case Instruction::mul: return two(o, n, out, [](Floats a, Floats b) { return a * b; });
        case Instruction::div: return two(o, n, out, [](Floats a, Floats b) { return a / b; });
        case Instruction::pow: return power(o, n, out);
        case Instruction::max: return two(o, n, out, [](Floats a, Floats b) { return greater(a, b); });
        case Instruction::min: return two(o, n, out, [](Floats a, Floats b) { return less(a, b); });
        case Instruction::mod: return modulo(o, n, out);
        case Instruction::leaky: return two(o, n, out, [](Floats a, Floats b) { return a >= 0 ? a : a * b; });
        case Instruction::lt: return truth(o, n, out, [](Floats a, Floats b) { return a < b; });
        case Instruction::le: return truth(o, n, out, [](Floats a, Floats b) { return a <= b; });
        case Instruction::gt: return truth(o, n, out, [](Floats a, Floats b) { return a > b; });
        case Instruction::ge: return truth(o, n, out, [](Floats a, Floats b) { return a >= b; });
        case Instruction::eq: return truth(o, n, out, [](Floats a, Floats b) { return a == b; });
        case Instruction::ne: return truth(o, n, out, [](Floats a, Floats b) { return a != b; });
        case Instruction::where: {
            Cursor condition(o[0]), a(o[1]), b(o[2]);
            for (size_t i = 0; i < n; i += lanes) {
                const Floats x = a.next(), y = b.next();
                store(out + i, condition.next() != 0 ? x : y);
            }
            return;
        }
    }
}

size_t operand_count(Instruction instruction) {
    if (instruction == Instruction::where) return 3;
    return instruction >= Instruction::add ? 2 : 1;
}

// The last few numbers by way of whole vectors, computed like all others: memory may end behind them.
void calculate(Instruction instruction, const Operand* operands, size_t count, float* result) {
    const size_t whole = count / lanes * lanes, rest = count - whole;
    if (whole) calculate_vectors(instruction, operands, whole, result);
    if (!rest) return;
    float numbers[3][lanes], last[lanes];
    Operand padded[3];
    for (size_t i = 0; i < operand_count(instruction); ++i) {
        const Operand& from = operands[i];
        for (size_t lane = 0; lane < lanes; ++lane)
            numbers[i][lane] = from.one ? *from.numbers : lane < rest ? from.numbers[whole + lane] : 0;
        padded[i] = {numbers[i], from.one};
    }
    calculate_vectors(instruction, padded, lanes, last);
    for (size_t lane = 0; lane < rest; ++lane) result[whole + lane] = last[lane];
}

}  // namespace
}  // namespace pbgen
