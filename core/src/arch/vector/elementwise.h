// The instructions of a program, over many numbers.
#pragma once

#include "../instruction.h"
#include "../kernels.h"
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

// Of those that are not light. Comparisons with a NaN are false.
void calculate_vectors(Instruction instruction, const Operand* o, size_t n, float* out) {
    switch (instruction) {
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
        case Instruction::pow: return power(o, n, out);
        case Instruction::mod: return modulo(o, n, out);
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
        default: return;
    }
}

// Some neighbouring vectors, in registers, are what a light instruction makes of them and of as many of its other operand.
template <size_t some>
INLINE void apply(const Link& link, size_t at, Floats (&x)[some]) {
    const size_t step = link.others[0].one ? 0 : lanes, begin = link.others[0].one ? 0 : at;
    const auto other = [&](size_t k) { return load<Floats>(link.others[0].numbers + begin + k * step); };
    const auto both = [&](auto function) {
        UNROLL for (size_t k = 0; k < some; ++k) x[k] = function(x[k], other(k));
    };
    const auto each = [&](auto function) { UNROLL for (size_t k = 0; k < some; ++k) x[k] = function(x[k]); };
    const auto either = [&](auto function) {
        if (!link.second) return both(function);
        both([=](Floats a, Floats b) { return function(b, a); });
    };
    switch (link.instruction) {
        case Instruction::neg: return each([](Floats a) { return -a; });
        case Instruction::abs: return each([](Floats a) { return magnitude(a); });
        case Instruction::relu: return each([](Floats a) { return a < 0 ? Floats{} : a; });
        case Instruction::add: return both([](Floats a, Floats b) { return a + b; });
        case Instruction::mul: return both([](Floats a, Floats b) { return a * b; });
        case Instruction::sub: return either([](Floats a, Floats b) { return a - b; });
        case Instruction::div: return either([](Floats a, Floats b) { return a / b; });
        case Instruction::max: return both([](Floats a, Floats b) { return greater(a, b); });
        case Instruction::min: return both([](Floats a, Floats b) { return less(a, b); });
        case Instruction::leaky: return both([](Floats a, Floats b) { return a * (a >= 0 ? splat(1) : b); });
        default: return;
    }
}

template <size_t some, class Ends>
INLINE void calculate_some(const Chain& chain, size_t at, float* result, Ends* ends) {
    const size_t step = chain.first.one ? 0 : lanes;
    const float* first = chain.first.numbers + (chain.first.one ? 0 : at);
    Floats x[some];
    UNROLL for (size_t k = 0; k < some; ++k) x[k] = load<Floats>(first + k * step);
    for (size_t i = 0; i < chain.length; ++i) apply(chain.links[i], at, x);
    if (chain.streams)
        UNROLL for (size_t k = 0; k < some; ++k) store_past(result + at + k * lanes, x[k]);
    else
        UNROLL for (size_t k = 0; k < some; ++k) store(result + at + k * lanes, x[k]);
    if (ends) ends->add(x);
}

// So many vectors at a time that it takes no time to see which instruction is next.
template <class Ends>
void calculate_light(const Chain& chain, size_t count, float* result, Ends* given) {
    constexpr size_t some = 8;
    Ends found, *ends = given ? &found : nullptr;
    size_t at = 0;
    for (; at + some * lanes <= count; at += some * lanes) calculate_some<some>(chain, at, result, ends);
    for (; at < count; at += lanes) calculate_some<1>(chain, at, result, ends);
    if (given) *given = found;
}

template <class Ends>
void calculate_whole(const Chain& chain, size_t count, float* result, Ends* ends) {
    if (chain.length == 0 || is_light(chain.links[0].instruction)) return calculate_light(chain, count, result, ends);
    const Operand operands[] = {chain.first, chain.links[0].others[0], chain.links[0].others[1]};
    calculate_vectors(chain.links[0].instruction, operands, count, result);
    for (size_t at = 0; ends && at < count; at += lanes) ends->add(load<Floats>(result + at));
}

// The last few numbers by way of whole vectors, computed like all others: memory may end behind them.
template <class Ends>
void calculate(const Chain& chain, size_t count, float* result, Extremes* extremes) {
    const size_t whole = count / lanes * lanes, rest = count - whole;
    Ends ends;
    if (whole) calculate_whole(chain, whole, result, extremes ? &ends : nullptr);
    if (rest) {
        float numbers[1 + 2 * most_links][lanes], last[lanes];
        float (*to)[lanes] = numbers;
        const auto pad = [&](const Operand& from) {
            for (size_t lane = 0; lane < lanes; ++lane)
                (*to)[lane] = from.one ? *from.numbers : lane < rest ? from.numbers[whole + lane] : 0;
            return Operand{*to++, from.one};
        };
        Link links[most_links];
        const Chain padded = {pad(chain.first), links, chain.length};
        for (size_t i = 0; i < chain.length; ++i) {
            links[i] = chain.links[i];
            for (size_t j = 0; j + 1 < operand_count(links[i].instruction); ++j) links[i].others[j] = pad(links[i].others[j]);
        }
        calculate_whole<Ends>(padded, lanes, last, nullptr);
        for (size_t lane = 0; lane < rest; ++lane) result[whole + lane] = last[lane];
        if (extremes) ends.add(load_first(last, rest));
    }
    if (extremes) ends.add_to(*extremes);
}

}  // namespace
}  // namespace pbgen
