// What is done with a layer's sums, and the range of its inputs.
#pragma once

#include "ends.h"

namespace pbgen {
namespace {

// No activation, ReLU and leaky ReLU: what is negative is multiplied by a slope, or becomes 0. Comparisons with a NaN are
// false, so it stays.
struct Bend {
    float slope;
    Ints kept;

    explicit Bend(const Epilogue& epilogue)
        : slope(epilogue.activation == Activation::leaky_relu ? epilogue.slope : 1),
          kept(Ints{} - (epilogue.activation != Activation::relu)) {}

    template <class Get>
    Floats operator()(Floats x, const Get&) const {
        return x < 0 ? (Floats)((Ints)(x * slope) & kept) : x;
    }
};

// Leaky ReLU with a slope of each channel (PReLU).
struct BendEach {
    const float* slopes;

    template <class Get>
    Floats operator()(Floats x, const Get& of_channels) const {
        return x < 0 ? x * of_channels(slopes) : x;
    }
};

template <bool with_ends, class Activate>
void finish_all(const float* in, size_t in_step, size_t channels, const Epilogue& epilogue, const Activate& activate,
                float* out, const Grid& grid, Extremes* extremes) {
    Ends ends;
    const auto finish_pixel = [&](const float* from, float* to) {
        const auto result = [&](size_t c, const auto& get) {
            const auto of_channels = [&](const float* values) { return get(values + c); };
            Floats x = of_channels(from);
            if (epilogue.scale) x *= of_channels(epilogue.scale);
            if (epilogue.shift) x += of_channels(epilogue.shift);
            return activate(x, of_channels);
        };
        size_t c = 0;
        for (; c + lanes <= channels; c += lanes) {
            const Floats x = result(c, load<Floats, float>);
            store(to + c, x);
            if constexpr (with_ends) ends.add(x);
        }
        if (c == channels) return;
        const Floats last = result(c, [=](const float* at) { return load_first(at, channels - c); });
        for (size_t lane = 0; c + lane < channels; ++lane) to[c + lane] = last[lane];
        if constexpr (with_ends) ends.add(load_first(to + c, channels - c));
    };
    for (size_t row = 0; row < grid.rows; ++row)
        for (size_t p = 0; p < grid.columns; ++p, in += in_step)
            finish_pixel(in, out + row * grid.row_step + p * grid.step);
    if constexpr (with_ends) ends.add_to(*extremes);
}

void finish(const float* in, size_t in_step, size_t channels, const Epilogue& epilogue, float* out, const Grid& grid,
            Extremes* extremes) {
    const auto with = [&](auto activate) {
        const auto finish_with = extremes ? finish_all<true, decltype(activate)> : finish_all<false, decltype(activate)>;
        finish_with(in, in_step, channels, epilogue, activate, out, grid, extremes);
    };
    const Activation activation = epilogue.activation;
    if (activation == Activation::tanh || activation == Activation::sigmoid)
        with([=](Floats x, const auto&) { return activation == Activation::tanh ? tanh(x) : sigmoid(x); });
    else if (epilogue.slopes)
        with(BendEach{epilogue.slopes});
    else
        with(Bend(epilogue));
}

Extremes extremes(const float* values, size_t count) {
    Ends ends;
    size_t i = 0;
    for (; i + 4 * lanes <= count; i += 4 * lanes) {
        Floats x[4];
        UNROLL for (size_t k = 0; k < 4; ++k) x[k] = load<Floats>(values + i + k * lanes);
        ends.add(x);
    }
    for (; i + lanes <= count; i += lanes) ends.add(load<Floats>(values + i));
    if (i < count) ends.add(load_first(values + i, count - i));
    Extremes result;
    ends.add_to(result);
    return result;
}

}  // namespace
}  // namespace pbgen
