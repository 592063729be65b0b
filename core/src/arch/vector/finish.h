// What is done with a layer's sums, and the range of its inputs.
#pragma once

#include "math.h"

namespace pbgen {
namespace {

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
