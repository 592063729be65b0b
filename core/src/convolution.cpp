#include "convolution.h"

#include <algorithm>
#include <cstring>

namespace pbgen {
namespace {

// Output pixels computed together. Their sums stay in the first-level cache, and share every weight that is loaded.
constexpr int64_t tile_pixels = 32;

// Input channels unpacked at a time.
constexpr size_t piece = 256;

struct Range {
    int64_t begin, end;

    int64_t size() const { return end - begin; }
};

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How many images, rows and columns a tile has: as square as may be, because neighbours read the same input pixels.
struct TileShape {
    int64_t images, rows, columns;

    TileShape(int64_t all_images, int64_t all_rows, int64_t all_columns) {
        columns = equal_part(all_columns, all_rows == 1 ? tile_pixels : 8);
        rows = equal_part(all_rows, tile_pixels / columns);
        images = equal_part(all_images, tile_pixels / (rows * columns));
    }

    // The largest part when `total` is cut into equal parts of at most `most`.
    static int64_t equal_part(int64_t total, int64_t most) {
        return divide_up(total, divide_up(total, most));
    }
};

// Part `index` of 0 .. total - 1, cut into parts of `size`, the last one shorter.
Range part(size_t index, int64_t size, int64_t total) {
    const int64_t begin = static_cast<int64_t>(index) * size;
    return {begin, std::min(begin + size, total)};
}

// Those positions j of `range` for which j * step + delta is in 0 .. size - 1.
Range inside(const Range& range, int64_t step, int64_t delta, int64_t size) {
    const int64_t low = std::max<int64_t>(0, -delta), high = std::max<int64_t>(0, size - delta);
    return {std::max(range.begin, divide_up(low, step)), std::min(range.end, divide_up(high, step))};
}

// Takes the last digit, of base `base`, from a number.
size_t take_digit(size_t& number, size_t base) {
    const size_t digit = number % base;
    number /= base;
    return digit;
}

}  // namespace

// A few output pixels of one phase, for one block of output channels.
struct Convolution::Tile {
    Phase row_phase, column_phase;
    Range images, rows, columns;   // output positions of the phase
    size_t group, first, vectors;  // the block: which group, and which of its vectors
    alignas(64) float sums[tile_pixels][max_vectors * lanes];

    // Which row of the sums is that of an output position.
    size_t pixel(int64_t image, int64_t i, int64_t j) const {
        return static_cast<size_t>(((image - images.begin) * rows.size() + i - rows.begin) * columns.size() + j -
                                   columns.begin);
    }
    size_t pixels() const { return static_cast<size_t>(images.size() * rows.size() * columns.size()); }
};

Convolution::Convolution(const Node& node, const Shape& input, std::shared_ptr<const Weights> weights,
                         const Epilogue& epilogue, const Kernels& kernels)
    : input_(input),
      output_(node.shape),
      weights_(std::move(weights)),
      rows_(node.y, node.op == Op::conv_transpose, node.shape.height),
      columns_(node.x, node.op == Op::conv_transpose, node.shape.width),
      kernel_width_(node.x.kernel),
      epilogue_(epilogue),
      kernels_(kernels) {
    group_stride_ = weights_->method == Method::lookup ? weights_->depth * table_entries : weights_->inputs;
    source_stride_ = weights_->groups * group_stride_;
}

size_t Convolution::scratch() const {
    return weights_->method == Method::lookup ? static_cast<size_t>(input_.pixels()) * source_stride_ : 0;
}

std::string Convolution::description() const {
    static constexpr const char* names[] = {"one-bit lookup", "one-bit unpacked", "float32 broadcast", "float32 dot"};
    return std::string(names[static_cast<size_t>(weights_->method)]) + " (" + kernels_.name + ")";
}

void Convolution::run(const float* input, size_t images, float* scratch, float* output, Threads& threads) const {
    const float* source = input;
    if (weights_->method == Method::lookup) {
        build_tables(input, images * static_cast<size_t>(input_.pixels()), scratch, threads);
        source = scratch;
    }
    if (!rows_.complete() || !columns_.complete()) finish_untouched(images, output, threads);

    // An item is a phase, a block and a tile: neighbours share weights, and the phases with most work come first.
    const auto all_images = static_cast<int64_t>(images);
    const TileShape shape(all_images, rows_.longest(), columns_.longest());
    const auto image_parts = static_cast<size_t>(divide_up(all_images, shape.images));
    const auto row_parts = static_cast<size_t>(divide_up(rows_.longest(), shape.rows));
    const auto column_parts = static_cast<size_t>(divide_up(columns_.longest(), shape.columns));
    const size_t blocks = (weights_->vectors + max_vectors - 1) / max_vectors;
    const auto row_phases = static_cast<size_t>(rows_.count()), column_phases = static_cast<size_t>(columns_.count());
    const size_t items =
        row_phases * column_phases * weights_->groups * blocks * image_parts * row_parts * column_parts;
    threads.parallel_for(items, [&](size_t item) {
        Tile tile;
        const size_t column = take_digit(item, column_parts), row = take_digit(item, row_parts);
        tile.images = part(take_digit(item, image_parts), shape.images, all_images);
        tile.first = take_digit(item, blocks) * max_vectors;
        tile.vectors = weights_->block_vectors(tile.first);
        tile.group = take_digit(item, weights_->groups);
        tile.column_phase = columns_[static_cast<int64_t>(take_digit(item, column_phases))];
        tile.row_phase = rows_[static_cast<int64_t>(item)];
        tile.rows = part(row, shape.rows, tile.row_phase.count);
        tile.columns = part(column, shape.columns, tile.column_phase.count);
        // Phases differ in size: the last tile may be empty.
        if (tile.rows.size() > 0 && tile.columns.size() > 0) run_tile(tile, source, output);
    });
}

void Convolution::build_tables(const float* input, size_t pixels, float* tables, Threads& threads) const {
    const Weights& w = *weights_;
    // About as much work for an index as a thread should take at a time.
    const size_t step = std::max<size_t>(1, 4096 / (w.groups * w.inputs));
    threads.parallel_for((pixels + step - 1) / step, [&](size_t index) {
        for (size_t pixel = index * step; pixel < std::min(pixels, (index + 1) * step); ++pixel)
            for (size_t group = 0; group < w.groups; ++group)
                kernels_.build_tables(input + (pixel * w.groups + group) * w.inputs, w.inputs,
                                      tables + pixel * source_stride_ + group * group_stride_);
    });
}

// Where some pixels have no taps: all become what the epilogue makes of 0, and the phases overwrite theirs.
void Convolution::finish_untouched(size_t images, float* output, Threads& threads) const {
    const size_t channels = static_cast<size_t>(output_.channels), pixels = static_cast<size_t>(output_.pixels());
    std::memset(output, 0, images * pixels * channels * sizeof(float));
    const size_t row = static_cast<size_t>(output_.width) * channels;
    threads.parallel_for(images * static_cast<size_t>(output_.height), [&](size_t i) {
        float* values = output + i * row;
        for (; values != output + (i + 1) * row; values += channels)
            kernels_.finish(values, channels, epilogue_, values);
    });
}

void Convolution::run_tile(Tile& tile, const float* source, float* output) const {
    std::memset(tile.sums, 0, tile.pixels() * sizeof tile.sums[0]);
    source += tile.group * group_stride_;
    for (int64_t row = 0; row < tile.row_phase.taps; ++row)
        for (int64_t column = 0; column < tile.column_phase.taps; ++column)
            add_tap(tile, tile.row_phase.tap(row), tile.column_phase.tap(column), source);
    finish_tile(tile, output);
}

// Only the pixels whose input lies inside the image take part: no work is spent on the border.
void Convolution::add_tap(Tile& tile, const Tap& row, const Tap& column, const float* source) const {
    const Range rows = inside(tile.rows, rows_.input_step(), row.delta, input_.height);
    const Range columns = inside(tile.columns, columns_.input_step(), column.delta, input_.width);
    const float* sources[tile_pixels];
    float* sums[tile_pixels];
    size_t count = 0;
    for (int64_t image = tile.images.begin; image < tile.images.end; ++image)
        for (int64_t i = rows.begin; i < rows.end; ++i) {
            const int64_t from = (image * input_.height + i * rows_.input_step() + row.delta) * input_.width;
            for (int64_t j = columns.begin; j < columns.end; ++j) {
                const int64_t pixel = from + j * columns_.input_step() + column.delta;
                sources[count] = source + static_cast<size_t>(pixel) * source_stride_;
                sums[count++] = tile.sums[tile.pixel(image, i, j)];
            }
        }
    const size_t tap = static_cast<size_t>(row.kernel * kernel_width_ + column.kernel);
    if (count) accumulate(tile, tap, sources, sums, count);
}

void Convolution::accumulate(const Tile& tile, size_t tap, const float** sources, float* const* sums,
                             size_t count) const {
    const Weights& w = *weights_;
    const size_t at = w.offset(tile.group, tile.first, tap);
    switch (w.method) {
        case Method::lookup:
            return kernels_.lookup(w.words.data() + at, w.depth, tile.vectors, sources, sums, count);
        case Method::broadcast:
            return kernels_.broadcast(w.floats.data() + at, w.depth, tile.vectors, sources, sums, count);
        case Method::dot: return kernels_.dot(w.floats.data() + at, w.depth, tile.vectors, sources, sums, count);
        case Method::unpacked: break;
    }
    alignas(64) float weights[max_vectors * piece];
    for (size_t input = 0; input < w.inputs; input += piece) {
        const size_t depth = std::min(piece, w.inputs - input);
        w.unpack(tile.group, tile.first, tap, input, depth, weights);
        kernels_.dot(weights, depth, tile.vectors, sources, sums, count);
        for (size_t p = 0; p < count; ++p) sources[p] += depth;
    }
}

void Convolution::finish_tile(const Tile& tile, float* output) const {
    const Weights& w = *weights_;
    const size_t first = tile.first * w.vector_outputs, channel = tile.group * w.outputs + first;
    const size_t channels = std::min(tile.vectors * w.vector_outputs, w.outputs - first);
    Epilogue epilogue = epilogue_;
    if (epilogue.scale) epilogue.scale += channel;
    if (epilogue.shift) epilogue.shift += channel;

    float* outputs[tile_pixels];
    size_t count = 0;
    for (int64_t image = tile.images.begin; image < tile.images.end; ++image)
        for (int64_t i = tile.rows.begin; i < tile.rows.end; ++i)
            for (int64_t j = tile.columns.begin; j < tile.columns.end; ++j) {
                const int64_t y = tile.row_phase.first + i * rows_.output_step();
                const int64_t x = tile.column_phase.first + j * columns_.output_step();
                const int64_t to = (image * output_.height + y) * output_.width + x;
                outputs[count++] = output + static_cast<size_t>(to * output_.channels) + channel;
            }
    if (w.vector_outputs == 1) return kernels_.finish_dots(tile.sums[0], count, channels, epilogue, outputs);
    for (size_t p = 0; p < count; ++p) kernels_.finish(tile.sums[p], channels, epilogue, outputs[p]);
}

}  // namespace pbgen
