// What is done with a layer's sums, and the range of its inputs.
#pragma once

#include "round.h"

namespace pbgen {
namespace {

inline Floats magnitude(Floats x) { return (Floats)((Ints)x & INT32_MAX); }

// exp(x) for x <= 0, to 2 units in the last place: 2^n times a polynomial of the rest (Cephes). Below -87, 0 or nearly.
inline Floats exp_negative(Floats x) {
    x = x < -87 ? splat(-87) : x;  // a NaN stays
    const Floats n = round(x * 1.44269504088896341f);
    Floats rest = x - n * 0.693359375f;
    rest = rest + n * 2.12194440e-4f;
    Floats sum = splat(1.9875691500e-4f);
    constexpr float coefficients[] = {
        1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 0.5f, 1, 1,
    };
    for (float coefficient : coefficients) sum = sum * rest + coefficient;
    const Words power = (Words)(to_integers(n) + 127) << 23;  // the bits of 2^n
    return sum * (Floats)power;
}

// x + x^3 times a polynomial of x^2, to 2 units in the last place for |x| < 0.625 (Cephes).
inline Floats tanh_near_zero(Floats x) {
    const Floats square = x * x;
    Floats sum = splat(-5.70498872745e-3f);
    constexpr float coefficients[] = {2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f, -3.33332819422e-1f};
    for (float coefficient : coefficients) sum = sum * square + coefficient;
    return sum * square * x + x;
}

// With e = exp(-2 |x|): tanh(|x|) = (1 - e) / (1 + e). Near 0 the difference would have few digits left.
inline Floats tanh(Floats x) {
    const Floats e = exp_negative(magnitude(x) * -2);
    const Ints sign = (Ints)x & INT32_MIN;
    const Floats far = (Floats)((Ints)((1 - e) / (1 + e)) | sign);
    return magnitude(x) < 0.625f ? tanh_near_zero(x) : far;
}

// With e = exp(-|x|): 1 / (1 + e) for x >= 0, e / (1 + e) below.
inline Floats sigmoid(Floats x) {
    const Floats e = exp_negative(-magnitude(x));
    return (x < 0 ? e : splat(1)) / (1 + e);
}

// Comparisons with a NaN are false, so it stays.
inline Floats activate(Floats x, const Epilogue& epilogue) {
    switch (epilogue.activation) {
        case Activation::none: return x;
        case Activation::relu: return x < 0 ? Floats{} : x;
        case Activation::leaky_relu: return x < 0 ? x * epilogue.slope : x;
        case Activation::tanh: return tanh(x);
        case Activation::sigmoid: return sigmoid(x);
    }
    return x;
}

// Comparisons with a NaN are false, so it counts as nothing.
struct Ends {
    Floats low = {}, high = {}, four = {};

    void add(Floats x) {
        low = x < low ? x : low;
        high = x > high ? x : high;
        const Floats two = magnitude(x) + swap_neighbours(magnitude(x)), sum = two + swap_pairs(two);
        four = sum > four ? sum : four;
    }
    void add_to(Extremes& extremes) const {
        for (size_t lane = 0; lane < lanes; ++lane) {
            if (low[lane] < extremes.low) extremes.low = low[lane];
            if (high[lane] > extremes.high) extremes.high = high[lane];
            if (four[lane] > extremes.four) extremes.four = four[lane];
        }
    }
};

void finish_pixel(const float* in, size_t channels, const Epilogue& epilogue, float* out, Ends& ends) {
    const auto result = [&](size_t c, const auto& get) {
        Floats x = get(in + c);
        if (epilogue.scale) x *= get(epilogue.scale + c);
        if (epilogue.shift) x += get(epilogue.shift + c);
        return activate(x, epilogue);
    };
    size_t c = 0;
    for (; c + lanes <= channels; c += lanes) {
        const Floats x = result(c, load<Floats, float>);
        store(out + c, x);
        ends.add(x);
    }
    if (c == channels) return;
    const Floats last = result(c, [=](const float* from) { return load_first(from, channels - c); });
    for (size_t lane = 0; c + lane < channels; ++lane) out[c + lane] = last[lane];
    ends.add(load_first(out + c, channels - c));
}

void finish(const float* in, size_t in_step, size_t channels, const Epilogue& epilogue, float* out, const Grid& grid,
            Extremes* extremes) {
    Ends ends;
    for (size_t row = 0; row < grid.rows; ++row)
        for (size_t p = 0; p < grid.columns; ++p, in += in_step)
            finish_pixel(in, channels, epilogue, out + row * grid.row_step + p * grid.step, ends);
    if (extremes) ends.add_to(*extremes);
}

Extremes extremes(const float* values, size_t count) {
    Ends ends;
    size_t i = 0;
    for (; i + lanes <= count; i += lanes) ends.add(load<Floats>(values + i));
    if (i < count) ends.add(load_first(values + i, count - i));
    Extremes result;
    ends.add_to(result);
    return result;
}

}  // namespace
}  // namespace pbgen
