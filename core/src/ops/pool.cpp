// Windows of pixels made one: their largest, or their mean.
//
// Axes that are not pooled are walked; the one that lies together in memory, channels as a rule, is computed many numbers at
// a time, row by row of the window. Adaptive pooling has a window for each output pixel.
#include <limits>

#include "../ops.h"
#include "loops.h"

namespace pbgen {
namespace {

constexpr int64_t most_columns = 256;
constexpr int64_t most_in_a_row = 64;  // that are added up in single precision

// The input pixels of a window along an axis, and its share in a mean's divisor.
struct Taps {
    int64_t first, count, step, divisor;
};

struct Axis {
    int64_t inputs, in_step, size, out_step;
    bool pooled, adaptive;
    Window window;

    Taps taps(int64_t at, bool padded) const {
        if (!pooled) return {at, 1, 1, 1};
        if (adaptive) {
            const int64_t first = at * inputs / size, end = divide_up((at + 1) * inputs, size);
            return {first, end - first, 1, end - first};
        }
        const int64_t begin = at * window.stride - window.padding, step = window.dilation;
        const int64_t skipped = begin < 0 ? divide_up(-begin, step) : 0;
        const auto up_to = [&](int64_t end) {
            return std::min(window.kernel, begin < end ? divide_up(end - begin, step) : 0);
        };
        const int64_t count = up_to(inputs) - skipped;
        return {begin + skipped * step, count, step, padded ? up_to(inputs + window.padding) : count};
    }
};

class Pool {
public:
    Pool(const Reads& in, bool mean, bool padded, const Writes& out, const Kernels& kernels)
        : mean_(mean), padded_(padded), in_(in.data), out_(out.data), kernels_(kernels) {
        for (size_t i = 0; i < out.shape.rank; ++i)
            axes_[i] = {in.shape[i], in.strides[i], out.shape[i], out.strides[i], false, false, {}};
        rank_ = out.shape.rank;
    }

    void window(size_t axis, const Window& window) { axes_[axis].pooled = true, axes_[axis].window = window; }
    void adapt(size_t axis) { axes_[axis].pooled = axes_[axis].adaptive = true; }

    // A dimension that is not pooled and lies together in memory is computed many numbers at a time.
    void run(Threads& threads) {
        for (size_t i = 0; i < rank_; ++i)
            if (!axes_[i].pooled && axes_[i].in_step == 1 && axes_[i].size > columns_.size) columns_ = axes_[i];
        bool taken = false;
        size_t left = 0;
        for (size_t i = 0; i < rank_; ++i) {
            const Axis& axis = axes_[i];
            if (!taken && !axis.pooled && axis.in_step == 1 && axis.size == columns_.size && columns_.size > 1)
                taken = true;
            else
                axes_[left++] = axis;
        }
        rank_ = left;
        int64_t pixels = 1, taps = 1;
        for (size_t i = 0; i < rank_; ++i) {
            pixels *= axes_[i].size;
            const Axis& axis = axes_[i];
            if (axis.pooled) taps *= axis.adaptive ? divide_up(axis.inputs, axis.size) : axis.window.kernel;
        }
        for_parts(pixels, taps * columns_.size, threads, [&](int64_t begin, int64_t end) {
            Place place(*this, begin);
            for (int64_t i = begin; i < end; ++i, place.next()) pixel(place);
        });
    }

private:
    // An output pixel, and the input pixels that it is made of.
    struct Place {
        const Pool& pool;
        int64_t at[max_rank];
        Taps taps[max_rank];

        Place(const Pool& all, int64_t number) : pool(all) {
            for (size_t i = pool.rank_; i-- > 0; number /= pool.axes_[i].size) move(i, number % pool.axes_[i].size);
        }
        void move(size_t axis, int64_t to) {
            at[axis] = to;
            taps[axis] = pool.axes_[axis].taps(to, pool.padded_);
        }
        void next() {
            for (size_t i = pool.rank_; i-- > 0;) {
                if (at[i] + 1 < pool.axes_[i].size) return move(i, at[i] + 1);
                move(i, 0);
            }
        }
    };

    void pixel(const Place& place) const {
        const float* from = in_;
        float* to = out_;
        int64_t divisor = 1;
        for (size_t i = 0; i < rank_; ++i) {
            from += place.taps[i].first * axes_[i].in_step;
            to += place.at[i] * axes_[i].out_step;
            divisor *= place.taps[i].divisor;
        }
        if (columns_.size == 1) {
            *to = pool_one(place.taps, from, static_cast<double>(divisor));
            return;
        }
        for (int64_t c = 0; c < columns_.size; c += most_columns) {
            const int64_t count = std::min(most_columns, columns_.size - c);
            pool(place.taps, from + c, static_cast<float>(divisor), to + c * columns_.out_step, count);
        }
    }

    float pool_one(const Taps* taps, const float* from, double divisor) const {
        double result = mean_ ? 0 : -std::numeric_limits<double>::infinity();
        each_row(taps, from, [&](const float* row, int64_t rows, int64_t step) {
            for (; rows > 0; --rows, row += step)
                if (mean_)
                    result += *row;
                else if (*row > result || *row != *row)
                    result = *row;
        });
        return static_cast<float>(result / (mean_ ? divisor : 1));
    }

    // Long sums are put together in double precision.
    void pool(const Taps* taps, const float* from, float divisor, float* to, int64_t count) const {
        float some[most_columns];
        double sums[most_columns];
        const float start = mean_ ? 0 : -std::numeric_limits<float>::infinity();
        std::fill_n(some, count, start);
        int64_t held = 0;
        bool is_long = false;
        const auto put_away = [&] {
            if (!is_long) std::fill_n(sums, count, 0);
            is_long = true;
            for (int64_t c = 0; c < count; ++c) sums[c] += some[c];
            std::fill_n(some, count, start);
            held = 0;
        };
        each_row(taps, from, [&](const float* row, int64_t rows, int64_t step) {
            while (rows > 0) {
                if (mean_ && held == most_in_a_row) put_away();
                const int64_t now = mean_ ? std::min(rows, most_in_a_row - held) : rows;
                kernels_.fold_rows(mean_ ? Fold::sum : Fold::max, row, static_cast<size_t>(now),
                                   static_cast<ptrdiff_t>(step), static_cast<size_t>(count), some);
                held += now;
                rows -= now;
                row += now * step;
            }
        });
        if (is_long) put_away();
        for (int64_t c = 0; c < count; ++c)
            to[c * columns_.out_step] = is_long ? static_cast<float>(sums[c] / divisor)
                                        : mean_ ? some[c] / divisor
                                                : some[c];
    }

    // Calls run(first, count, step) for the last pooled dimension's pixels, at each place of the others.
    template <class Run>
    void each_row(const Taps* taps, const float* from, const Run& run) const {
        size_t pooled[max_rank], count = 0;
        for (size_t i = 0; i < rank_; ++i)
            if (taps[i].count > 1) pooled[count++] = i;
        if (count == 0) return run(from, 1, 0);
        const size_t last = pooled[--count];
        int64_t at[max_rank] = {};
        for (;;) {
            run(from, taps[last].count, taps[last].step * axes_[last].in_step);
            size_t i = count;
            for (; i-- > 0;) {
                const size_t axis = pooled[i];
                const int64_t step = taps[axis].step * axes_[axis].in_step;
                from += step;
                if (++at[axis] < taps[axis].count) break;
                from -= at[axis] * step;
                at[axis] = 0;
            }
            if (i == SIZE_MAX) return;
        }
    }

    const bool mean_, padded_;
    const float* const in_;
    float* const out_;
    const Kernels& kernels_;
    size_t rank_;
    Axis axes_[max_rank];
    Axis columns_ = {1, 0, 1, 0, false, false, {}};
};

}  // namespace

void pool(const Reads& in, bool mean, const Window* windows, size_t count, bool padded, const Writes& out,
          const Kernels& kernels, Threads& threads) {
    Pool pool(in, mean, padded, out, kernels);
    for (size_t i = 0; i < count; ++i) pool.window(out.shape.rank - count + i, windows[i]);
    pool.run(threads);
}

void adaptive_pool(const Reads& in, bool mean, size_t first, size_t count, const Writes& out, const Kernels& kernels,
                   Threads& threads) {
    Pool pool(in, mean, false, out, kernels);
    for (size_t i = 0; i < count; ++i) pool.adapt(first + i);
    pool.run(threads);
}

}  // namespace pbgen
