// Many numbers made one, and few rows made one by weights.
#pragma once

#include "../kernels.h"
#include "math.h"

namespace pbgen {
namespace {

template <class Function>
inline void with_fold(Fold kind, const Function& function) {
    switch (kind) {
        case Fold::sum: return function([](auto a, auto b) { return a + b; });
        case Fold::max: return function([](auto a, auto b) { return greater(a, b); });
        case Fold::min: return function([](auto a, auto b) { return less(a, b); });
    }
}

template <size_t vectors, class Join>
inline void fold_vectors(const float* values, size_t rows, size_t step, float* totals, Join join) {
    Floats some[vectors];
    UNROLL for (size_t v = 0; v < vectors; ++v) some[v] = load<Floats>(totals + v * lanes);
    for (; rows; --rows, values += step)
        UNROLL for (size_t v = 0; v < vectors; ++v) some[v] = join(some[v], load<Floats>(values + v * lanes));
    UNROLL for (size_t v = 0; v < vectors; ++v) store(totals + v * lanes, some[v]);
}

void fold_rows(Fold kind, const float* values, size_t rows, ptrdiff_t step, size_t columns, float* totals) {
    with_fold(kind, [=](auto join) {
        const auto stride = static_cast<size_t>(step);
        size_t c = 0;
        for (; c + 4 * lanes <= columns; c += 4 * lanes) fold_vectors<4>(values + c, rows, stride, totals + c, join);
        for (; c + lanes <= columns; c += lanes) fold_vectors<1>(values + c, rows, stride, totals + c, join);
        for (; c < columns; ++c) {
            float some = totals[c];
            const float* at = values + c;
            for (size_t row = 0; row < rows; ++row, at += step) some = join(some, *at);
            totals[c] = some;
        }
    });
}

// Of sums of how far `rows` numbers lie from one, and of the squares of that, those of how far they lie from another; of
// vectors and of single numbers.
template <class Number>
inline void add_moments(Number from, Number sum, Number square, double rows, Number origin, Number& sums, Number& squares) {
    const Number far = from - origin;
    sums += sum + rows * far;
    squares += square + far * (2.0 * sum + rows * far);
}

// In half as many lanes.
using Doubles = double __attribute__((vector_size(vector_bytes)));
using HalfFloats = float __attribute__((vector_size(vector_bytes / 2)));

inline Doubles load_doubles(const float* from) { return __builtin_convertvector(load<HalfFloats>(from), Doubles); }

template <size_t vectors>
inline void vector_moments(const float* values, size_t rows, size_t step, float* near, const float* origin,
                           double* sums, double* squares) {
    Floats from[vectors], sum[vectors], square[vectors];
    UNROLL for (size_t v = 0; v < vectors; ++v) {
        from[v] = load<Floats>(near + v * lanes);
        sum[v] = square[v] = Floats{};
    }
    for (size_t row = 0; row < rows; ++row, values += step)
        UNROLL for (size_t v = 0; v < vectors; ++v) {
            const Floats far = load<Floats>(values + v * lanes) - from[v];
            sum[v] += far;
            square[v] += far * far;
        }
    const auto count = static_cast<float>(rows);
    UNROLL for (size_t v = 0; v < vectors; ++v) {
        in_order(sum[v]);  // else GCC keeps them in memory all the time, for the halves
        in_order(square[v]);
        float numbers[3][lanes];
        store(numbers[0], from[v]);
        store(numbers[1], sum[v]);
        store(numbers[2], square[v]);
        UNROLL for (size_t lane = 0; lane < lanes; lane += lanes / 2) {
            const size_t i = v * lanes + lane;
            auto all = load<Doubles>(sums + i), all_squares = load<Doubles>(squares + i);
            add_moments(load_doubles(numbers[0] + lane), load_doubles(numbers[1] + lane), load_doubles(numbers[2] + lane), count,
                        load_doubles(origin + i), all, all_squares);
            store(sums + i, all);
            store(squares + i, all_squares);
        }
        store(near + v * lanes, from[v] + sum[v] / count);
    }
}

void moments(const float* values, size_t rows, ptrdiff_t step, size_t columns, float* near, const float* origin,
             double* sums, double* squares) {
    const auto stride = static_cast<size_t>(step);
    const auto some = [&](auto add, size_t c) {
        add(values + c, rows, stride, near + c, origin + c, sums + c, squares + c);
    };
    size_t c = 0;
    for (; c + 4 * lanes <= columns; c += 4 * lanes) some(vector_moments<4>, c);
    for (; c + lanes <= columns; c += lanes) some(vector_moments<1>, c);
    for (; c < columns; ++c) {
        float sum = 0, square = 0;
        for (size_t row = 0; row < rows; ++row) {
            const float far = values[row * stride + c] - near[c];
            sum += far;
            square += far * far;
        }
        const auto count = static_cast<float>(rows);
        add_moments<double>(near[c], sum, square, count, origin[c], sums[c], squares[c]);
        near[c] += sum / count;
    }
}

// In four chains of vectors, which hide an addition's latency and keep sums short.
float fold(Fold kind, const float* values, size_t count) {
    float result = 0;
    with_fold(kind, [&](auto join) {
        constexpr size_t chains = 4;
        size_t i = 0;
        float total;
        if (count >= lanes) {
            Floats some[chains];
            size_t used = 0;
            for (; used < chains && i + lanes <= count; ++used, i += lanes) some[used] = load<Floats>(values + i);
            for (; i + chains * lanes <= count; i += chains * lanes)
                UNROLL for (size_t chain = 0; chain < chains; ++chain)
                    some[chain] = join(some[chain], load<Floats>(values + i + chain * lanes));
            for (; i + lanes <= count; i += lanes) some[0] = join(some[0], load<Floats>(values + i));
            for (size_t chain = 1; chain < used; ++chain) some[0] = join(some[0], some[chain]);
            float folded[lanes];
            store(folded, some[0]);
            UNROLL for (size_t half = lanes / 2; half; half /= 2)
                for (size_t lane = 0; lane < half; ++lane) folded[lane] = join(folded[lane], folded[lane + half]);
            total = folded[0];
        } else {
            total = values[i++];
        }
        for (; i < count; ++i) total = join(total, values[i]);
        result = total;
    });
    return result;
}

// result[c] = sum over t of weights[t] rows[t][c].
void mix(const float* const* rows, const float* weights, size_t count, size_t columns, float* result) {
    size_t c = 0;
    for (; c + lanes <= columns; c += lanes) {
        Floats sum = weights[0] * load<Floats>(rows[0] + c);
        for (size_t t = 1; t < count; ++t) sum += weights[t] * load<Floats>(rows[t] + c);
        store(result + c, sum);
    }
    for (; c < columns; ++c) {
        float sum = weights[0] * rows[0][c];
        for (size_t t = 1; t < count; ++t) sum += weights[t] * rows[t][c];
        result[c] = sum;
    }
}

}  // namespace
}  // namespace pbgen
