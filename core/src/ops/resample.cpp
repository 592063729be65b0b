// Images made larger or smaller, as torch does: nearest, linear or cubic, along one axis.
//
// An output pixel is a sum of up to four input pixels, whose weights hang on its place along the axis alone. The other axes
// are walked, the one that lies together in memory many numbers at a time.
#include <cmath>
#include <cstdlib>

#include "../ops.h"
#include "loops.h"

namespace pbgen {
namespace {

constexpr size_t most_taps = 4;

// The input pixels that an output pixel is made of, as offsets in memory, and their weights.
struct Mixture {
    int64_t offsets[most_taps];
    float weights[most_taps];
};

size_t taps(Resampling mode) { return mode == Resampling::cubic ? 4 : mode == Resampling::linear ? 2 : 1; }

// Positions are rounded as torch rounds them, once: far along, the last digit is a part of a pixel.
float position(int64_t pixel, float step, bool align_corners) {
    if (align_corners) return static_cast<float>(pixel) * step;
    return static_cast<float>(static_cast<double>(static_cast<float>(pixel) + 0.5f) * step - 0.5);
}

// Whatever the step, the result is a pixel.
int64_t below(float at, int64_t pixels) {
    const float last = static_cast<float>(pixels);
    return static_cast<int64_t>(std::floor(std::max(-last, std::min(at, last))));
}

int64_t clamp(int64_t pixel, int64_t pixels) { return std::max<int64_t>(0, std::min(pixel, pixels - 1)); }

// Keys' kernel with a = -0.75: for distances up to 1, and from 1 to 2.
float near_weight(float x) { return ((-0.75f + 2) * x - (-0.75f + 3)) * x * x + 1; }
float far_weight(float x) { return ((-0.75f * x + 5 * 0.75f) * x - 8 * 0.75f) * x + 4 * 0.75f; }

Mixture mixture(Resampling mode, int64_t pixel, float step, bool align_corners, int64_t pixels, int64_t stride) {
    Mixture m = {};
    if (mode == Resampling::nearest || mode == Resampling::nearest_exact) {
        const float at = (static_cast<float>(pixel) + (mode == Resampling::nearest ? 0.0f : 0.5f)) * step;
        m.offsets[0] = clamp(below(at, pixels), pixels) * stride;
        m.weights[0] = 1;
        return m;
    }
    const bool cubic = mode == Resampling::cubic;
    float at = position(pixel, step, align_corners);
    if (!cubic) at = std::max(0.0f, at);
    const int64_t low = std::min(below(at, pixels), pixels - 1);
    const float rest = std::min(std::max(at - static_cast<float>(low), 0.0f), 1.0f);
    if (cubic) {
        const float weights[] = {far_weight(rest + 1), near_weight(rest), near_weight(1 - rest), far_weight(2 - rest)};
        std::copy_n(weights, most_taps, m.weights);
    } else {
        m.weights[0] = 1 - rest;
        m.weights[1] = rest;
    }
    for (size_t t = 0; t < taps(mode); ++t)
        m.offsets[t] = clamp(low + static_cast<int64_t>(t) - (cubic ? 1 : 0), pixels) * stride;
    return m;
}

// The dimensions that lie further apart than `axis`, and the others.
struct Sides {
    Shape outer, inner;

    Sides(const Writes& out, size_t axis) : outer(out.shape), inner(out.shape) {
        outer[axis] = inner[axis] = 1;
        for (size_t i = 0; i < out.shape.rank; ++i)
            (std::abs(out.strides[i]) > std::abs(out.strides[axis]) ? inner : outer)[i] = 1;
    }
};

class Resampler {
public:
    Resampler(const Reads& in, size_t axis, const Writes& out, size_t taps, const Kernels& kernels)
        : sides_(out, axis),
          strides_{&in.strides, &out.strides},
          outer_(sides_.outer, strides_, 2, 1),
          inner_(sides_.inner, strides_, 2, 1),
          in_(in),
          out_(out),
          step_(out.strides[axis]),
          taps_(taps),
          kernels_(kernels) {
        inner_.cut(4096);
    }

    int64_t outer() const { return outer_.blocks(); }
    int64_t inner() const { return sides_.inner.size(); }

    // Pixels `begin` .. `end` - 1 of the axis, for some of the outer positions. `mixtures`: from `begin` on.
    void run(const Mixture* mixtures, int64_t begin, int64_t end, int64_t first, int64_t last) const {
        Walk walk(outer_, first);
        for (int64_t i = first; i < last; ++i, walk.next()) {
            const float* from = in_.data + walk.offset(0);
            float* to = out_.data + walk.offset(1);
            const bool single = inner() == 1;
            for (int64_t pixel = begin; pixel < end; ++pixel) {
                const Mixture& m = mixtures[pixel - begin];
                float* result = to + pixel * step_;
                if (single)
                    *result = mix_one(from, m);
                else
                    mix(from, m, result);
            }
        }
    }

private:
    float mix_one(const float* from, const Mixture& m) const {
        float sum = m.weights[0] * from[m.offsets[0]];
        for (size_t t = 1; t < taps_; ++t) sum += m.weights[t] * from[m.offsets[t]];
        return sum;
    }

    void mix(const float* from, const Mixture& m, float* to) const {
        const Steps in = inner_.steps(0), out = inner_.steps(1);
        const int64_t tiles = inner_.blocks();
        Walk walk(inner_, 0);
        for (int64_t tile = 0; tile < tiles; ++tile, walk.next()) {
            const float* start = from + walk.offset(0);
            float* result = to + walk.offset(1);
            if (taps_ == 1) {
                copy_block(start + m.offsets[0], in, result, out, walk.rows(), walk.columns());
                continue;
            }
            for (int64_t r = 0; r < walk.rows(); ++r, start += in.row, result += out.row) {
                if (in.column == 1 && out.column == 1) {
                    const float* rows[most_taps];
                    for (size_t t = 0; t < taps_; ++t) rows[t] = start + m.offsets[t];
                    kernels_.mix(rows, m.weights, taps_, static_cast<size_t>(walk.columns()), result);
                } else {
                    for (int64_t c = 0; c < walk.columns(); ++c)
                        result[c * out.column] = mix_one(start + c * in.column, m);
                }
            }
        }
    }

    const Sides sides_;
    const Strides* strides_[2];
    const Loops outer_;
    Loops inner_;
    const Reads& in_;
    const Writes& out_;
    const int64_t step_;
    const size_t taps_;
    const Kernels& kernels_;
};

}  // namespace

void resample(const Reads& in, size_t axis, Resampling mode, float step, bool align_corners, const Writes& out,
              const Kernels& kernels, Threads& threads) {
    constexpr int64_t most_pixels = 256;
    const Resampler resampler(in, axis, out, taps(mode), kernels);
    const int64_t pixels = out.shape[axis];
    const int64_t some = std::max<int64_t>(1, std::min(most_pixels, fewest_numbers / resampler.inner()));
    const int64_t lines = std::max<int64_t>(1, fewest_numbers / (std::min(some, pixels) * resampler.inner()));
    const int64_t outer_parts = divide_up(resampler.outer(), lines), parts = divide_up(pixels, some);
    threads.parallel_for(static_cast<size_t>(outer_parts * parts), [&](size_t i) {
        const int64_t begin = static_cast<int64_t>(i) % parts * some, end = std::min(pixels, begin + some);
        const int64_t first = static_cast<int64_t>(i) / parts * lines;
        Mixture mixtures[most_pixels];
        for (int64_t pixel = begin; pixel < end; ++pixel)
            mixtures[pixel - begin] = mixture(mode, pixel, step, align_corners, in.shape[axis], in.strides[axis]);
        resampler.run(mixtures, begin, end, first, std::min(resampler.outer(), first + lines));
    });
}

}  // namespace pbgen
