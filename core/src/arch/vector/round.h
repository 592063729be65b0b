// Rounding, to even where two integers are equally near.
#pragma once

#include "../kernels.h"
#include "vec.h"

namespace pbgen {
namespace {

// For |x| < 2^22: there are no digits behind the point that the sum could keep.
inline Floats round(Floats x) {
    const Floats shift = splat(12582912);
    return x + shift - shift;
}

inline Ints to_integers(Floats x) { return __builtin_convertvector(x, Ints); }

// What is not a number becomes the lowest.
inline Ints quantize(Floats x, const Quantization& quantization) {
    const Floats low = splat(static_cast<float>(quantization.low)), high = splat(static_cast<float>(quantization.high));
    x *= splat(quantization.inverse);
    x = x > low ? x : low;
    x = x < high ? x : high;
    return to_integers(round(x));
}

}  // namespace
}  // namespace pbgen
