// Sums, means, largest and smallest numbers along some axes, of what a program makes of its inputs.
//
// Walked in tiles as all operators without weights (loops.h): the program makes a tile, the kernel folds its rows or its columns,
// and a tile's totals are joined to those of the ones before. Where few numbers are made of many, parts of each are
// folded by different threads, the same parts however many threads there are.
#include <cmath>
#include <limits>

#include "../ops.h"
#include "tile_maker.h"

namespace pbgen {
namespace {

constexpr int64_t most_columns = 256;      // whose totals are kept at a time
constexpr int64_t most_numbers = 1024;     // of a tile, whose totals are of single precision
constexpr int64_t partial_numbers = 8192;  // totals of parts of a reduction

// Single numbers are put together in double precision, a tile's before in single: chains are short.
struct Folding {
    Fold kind;

    double start() const {
        constexpr double infinity = std::numeric_limits<double>::infinity();
        return kind == Fold::sum ? 0 : kind == Fold::max ? -infinity : infinity;
    }
    double join(double a, double b) const {
        if (kind == Fold::sum) return a + b;
        return (kind == Fold::max ? a > b : a < b) || a != a ? a : b;
    }
};

class Reducer {
public:
    Reducer(Reduction kind, const Program& program, const Reads* inputs, const Shape& shape, const Writes& out,
            const Kernels& kernels)
        : folding_{kind == Reduction::max   ? Fold::max
                   : kind == Reduction::min ? Fold::min
                                            : Fold::sum},
          formula_(program),
          strides_(inputs, program.inputs, shape, out),
          loops_(shape, strides_.all, program.inputs + 1, leader(inputs, program.inputs, shape)),
          out_(out.data),
          kernels_(kernels) {
        for (size_t i = 0; i < program.inputs; ++i) data_[i] = inputs[i].data;
        divisor_ = kind == Reduction::mean ? static_cast<double>(shape.size() / out.shape.size()) : 1;
        cut();
    }

    void run(Threads& threads) const {
        // An item makes some numbers; a few large ones are cut into parts, in the same way whatever the threads.
        const int64_t items = loops_part_, tiles = loops_.blocks() / items;
        const int64_t parts = std::min({divide_up(fewest_items, items), divide_up(tiles, fewest_tiles),
                                        std::max<int64_t>(1, partial_numbers / (items * width()))});
        const int64_t tile = loops_.block[loops_.rows_axis()] * loops_.block[loops_.columns_axis()];
        const int64_t cost = tile * divide_up(tiles, parts) * static_cast<int64_t>(1 + formula_.length() / 4);
        if (parts == 1)
            return for_parts(items, cost, threads, [&](int64_t begin, int64_t end) {
                TileMaker maker(formula_, loops_, data_, kernels_);
                double totals[totals_numbers];
                for (int64_t item = begin; item < end; ++item) {
                    fold(item * tiles, (item + 1) * tiles, maker, totals);
                    write(item * tiles, totals);
                }
            });
        double partial[partial_numbers];
        for_parts(items * parts, cost, threads, [&](int64_t begin, int64_t end) {
            TileMaker maker(formula_, loops_, data_, kernels_);
            for (int64_t i = begin; i < end; ++i) {
                const int64_t first = i / parts * tiles, part = i % parts;
                fold(first + part * tiles / parts, first + (part + 1) * tiles / parts, maker, partial + i * width());
            }
        });
        for (int64_t item = 0; item < items; ++item) {
            double* totals = partial + item * parts * width();
            for (int64_t part = 1; part < parts; ++part)
                for (int64_t i = 0; i < width(); ++i)
                    totals[i] = folding_.join(totals[i], totals[part * width() + i]);
            write(item * tiles, totals);
        }
    }

private:
    static constexpr int64_t fewest_items = 16, fewest_tiles = 4;
    static constexpr int64_t totals_numbers = 1024;

    // Of the inputs and of the output, which does not move along what is reduced.
    struct AllStrides {
        Strides out;
        const Strides* all[max_arrays];

        AllStrides(const Reads* inputs, size_t count, const Shape& shape, const Writes& writes) : out(writes.strides) {
            for (size_t axis = 0; axis < shape.rank; ++axis)
                if (writes.shape[axis] != shape[axis]) out[axis] = 0;
            for (size_t i = 0; i < count; ++i) all[i] = &inputs[i].strides;
            all[count] = &out;
        }
    };

    // The input that has most numbers.
    static size_t leader(const Reads* inputs, size_t count, const Shape& shape) {
        size_t best = count;
        int64_t most = 0;
        for (size_t i = 0; i < count; ++i) {
            int64_t numbers = 1;
            for (size_t axis = 0; axis < shape.rank; ++axis) numbers *= inputs[i].strides[axis] ? shape[axis] : 1;
            if (numbers > most) best = i, most = numbers;
        }
        return best;
    }

    bool reduced(size_t axis) const { return loops_.dims[axis] > 1 && loops_.strides[last()][axis] == 0; }

    // The innermost dimension such, and the size of all of them.
    size_t innermost(bool is_reduced, size_t before) const {
        while (before-- > 0)
            if (reduced(before) == is_reduced && loops_.dims[before] > 1) return before;
        return loops_.rank;
    }

    // A tile's rows are as a rule reduced, too; where the columns are all that is reduced and not many, they are not.
    void cut() {
        const size_t columns_axis = loops_.columns_axis();
        const int64_t numbers = std::min(most_numbers, TileMaker::numbers(formula_));
        const bool short_rows = reduced(columns_axis) && innermost(true, columns_axis) == loops_.rank &&
                                loops_.dims[columns_axis] <= numbers / 2;
        const size_t rows_axis = innermost(!short_rows, columns_axis);
        if (rows_axis < loops_.rank) loops_.make_rows(rows_axis);
        int64_t &rows = loops_.block[loops_.rows_axis()], &columns = loops_.block[columns_axis];
        columns = std::min({loops_.dims[columns_axis], numbers, reduced(columns_axis) ? numbers : most_columns});
        rows = rows_axis < loops_.rank ? std::min(loops_.dims[loops_.rows_axis()], numbers / columns) : 1;
        loops_part_ = loops_.part(last());
    }

    // How many numbers an item makes, at most.
    int64_t width() const {
        const bool rows = reduced(loops_.rows_axis()), columns = reduced(loops_.columns_axis());
        return (rows ? 1 : loops_.block[loops_.rows_axis()]) * (columns ? 1 : loops_.block[loops_.columns_axis()]);
    }

    size_t last() const { return formula_.inputs(); }

    void fold(int64_t begin, int64_t end, TileMaker& maker, double* totals) const {
        std::fill_n(totals, width(), folding_.start());
        const bool rows = reduced(loops_.rows_axis()), columns = reduced(loops_.columns_axis());
        if (!columns) return fold_columns(begin, end, maker, totals);
        Walk walk(loops_, begin);
        for (int64_t i = begin; i < end; ++i, walk.next()) {
            const float* values = maker.make(walk);
            if (rows || walk.rows() == 1)
                totals[0] = folding_.join(totals[0], fold(values, walk.rows() * walk.columns()));
            else
                for (int64_t row = 0; row < walk.rows(); ++row)
                    totals[row] = folding_.join(totals[row], fold(values + row * walk.columns(), walk.columns()));
        }
    }

    float fold(const float* values, int64_t count) const {
        return kernels_.fold(folding_.kind, values, static_cast<size_t>(count));
    }

    // Rows of some tiles are put together in single precision, and that is joined in double. Where the columns are few,
    // several rows are taken for a longer one.
    void fold_columns(int64_t begin, int64_t end, TileMaker& maker, double* totals) const {
        constexpr int64_t deepest = 64;
        float sums[most_columns];
        int64_t depth = 0, width = 0, columns = 1;
        const auto join = [&] {
            for (int64_t first = 0; first < width; first += columns) join_all(sums + first, columns, totals);
            depth = width = 0;
        };
        const auto add = [&](const float* values, int64_t rows, int64_t wide) {
            if (wide != width || depth >= deepest) {
                join();
                width = wide;
                std::fill_n(sums, width, static_cast<float>(folding_.start()));
            }
            kernels_.fold_rows(folding_.kind, values, static_cast<size_t>(rows), static_cast<ptrdiff_t>(wide),
                               static_cast<size_t>(wide), sums);
            depth += rows;
        };
        Walk walk(loops_, begin);
        for (int64_t i = begin; i < end; ++i, walk.next()) {
            const float* values = maker.make(walk);
            columns = walk.columns();  // which are those of the totals: all tiles have the same
            const int64_t together = std::min(walk.rows(), std::max<int64_t>(1, 64 / columns));
            const int64_t whole = walk.rows() / together, rest = walk.rows() % together;
            add(values, whole, together * columns);
            if (rest) add(values + whole * together * columns, rest, columns);
        }
        join();
    }

    void join_all(const float* sums, int64_t count, double* totals) const {
        if (folding_.kind == Fold::sum)
            for (int64_t i = 0; i < count; ++i) totals[i] += sums[i];
        else
            for (int64_t i = 0; i < count; ++i) totals[i] = folding_.join(totals[i], sums[i]);
    }

    void write(int64_t block, const double* totals) const {
        const Walk walk(loops_, block);
        const Steps steps = loops_.steps(last());
        float* to = out_ + walk.offset(last());
        const int64_t rows = reduced(loops_.rows_axis()) ? 1 : walk.rows();
        const int64_t columns = reduced(loops_.columns_axis()) ? 1 : walk.columns();
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t c = 0; c < columns; ++c)
                to[r * steps.row + c * steps.column] = static_cast<float>(*totals++ / divisor_);
    }

    Folding folding_;
    Formula formula_;
    AllStrides strides_;
    Loops loops_;
    int64_t loops_part_ = 1;
    const float* data_[max_program_inputs];
    float* out_;
    const Kernels& kernels_;
    double divisor_;
};

}  // namespace

void reduce(Reduction kind, const Program& program, const Reads* inputs, const Shape& shape, const Writes& out,
            const Kernels& kernels, Threads& threads) {
    Reducer(kind, program, inputs, shape, out, kernels).run(threads);
}

}  // namespace pbgen
