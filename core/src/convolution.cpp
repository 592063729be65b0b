#include "convolution.h"

#include <algorithm>
#include <cstring>

namespace pbgen {
namespace {

constexpr int64_t most_pixels = tile_pixels;

// That are given to a product at a time.
constexpr size_t most_taps = 16;

// Multiply-adds that are worth a thread's turn.
constexpr size_t fewest_operations = 200'000;

template <class Integer>
Integer divide_up(Integer a, Integer b) {
    return (a + b - 1) / b;
}

// How many images, rows and columns a tile has: as square as may be, because neighbours read the same input pixels. Rows and
// columns depend on the layer alone, and so does the order of each sum.
struct TileShape {
    int64_t images, rows, columns;

    TileShape(int64_t all_images, int64_t band_rows, int64_t all_rows, int64_t all_columns) {
        columns = equal_part(all_columns, all_rows == 1 ? most_pixels : 8);
        rows = std::min(band_rows, most_pixels / columns);
        images = equal_part(all_images, most_pixels / (rows * columns));
    }

    size_t pixels() const { return static_cast<size_t>(images * rows * columns); }

    // The largest part when `total` is cut into equal parts of at most `most`.
    static int64_t equal_part(int64_t total, int64_t most) {
        return divide_up(total, divide_up(total, most));
    }
};

// Part `index` of a range cut into parts of `size`, the last one shorter.
Range part(size_t index, int64_t size, const Range& all) {
    const int64_t begin = all.begin + static_cast<int64_t>(index) * size;
    return {begin, std::min(begin + size, all.end)};
}

// Takes the last digit, of base `base`, from a number. A division takes long, and most bases are 1.
size_t take_digit(size_t& number, size_t base) {
    if (base == 1) return 0;
    const size_t digit = number % base;
    number /= base;
    return digit;
}

}  // namespace

// A few output pixels of one phase, for some blocks of output channels. Their sums stay in the first-level cache, and
// share every weight that is loaded.
struct Convolution::Tile {
    Phase row_phase, column_phase;
    Range images;
    Area area;
    size_t group, first_block, end_block;
    size_t sum_bytes;  // of a block
    bool started;      // whether there are sums, perhaps zeros
    const Quantization* quantizations;
    alignas(64) uint8_t sums[tile_bytes];

    uint8_t* block_sums(size_t block) { return sums + (block - first_block) * sum_bytes; }
    const uint8_t* block_sums(size_t block) const { return sums + (block - first_block) * sum_bytes; }

    size_t pixels() const { return static_cast<size_t>(images.size() * area.rows.size() * area.columns.size()); }

    // Which of the tile's pixels an output position is.
    size_t pixel(int64_t image, int64_t i, int64_t j) const {
        return static_cast<size_t>(((image - images.begin) * area.rows.size() + i - area.rows.begin) *
                                       area.columns.size() + j - area.columns.begin);
    }

    const Quantization& quantization(size_t pixel) const {
        return quantizations[images.begin + static_cast<int64_t>(pixel) / (area.rows.size() * area.columns.size())];
    }
};

// A tap of the kernel, and where its inputs lie (TapWeights).
struct Convolution::TapShift {
    size_t tap;
    ptrdiff_t shift;
};

// Where some of a tile's pixels have their inputs.
struct Convolution::Meetings {
    const void* sources[tile_pixels];
    uint8_t pixels[tile_pixels];
    size_t count = 0;
};

Convolution::Convolution(const Phases& rows, const Phases& columns, const Image& input, const Image& output,
                         std::shared_ptr<const Weights> weights, const Epilogue& epilogue, const Kernels& kernels)
    : rows_(rows),
      columns_(columns),
      input_(input),
      output_(output),
      weights_(std::move(weights)),
      epilogue_(epilogue),
      kernels_(kernels) {
    const Product& product = weights_->product;
    const size_t inputs = static_cast<size_t>(input_.channels) / weights_->groups;
    const size_t prepared = product.prepare ? product.source_bytes(inputs) : 0;
    at_once_ = prepared && weights_->taps == 1 && weights_->blocks() == 1 && prepared <= tile_bytes / tile_pixels;
    group_bytes_ = prepared && !at_once_ ? prepared : inputs * sizeof(float);
    block_bytes_ = weights_->channelwise ? product.block * sizeof(float) : 0;
    const size_t tap_bytes = product.weight_bytes(inputs, weights_->block_channels(0));
    taps_together_ = std::min({most_taps, weights_->taps, product.together / tap_bytes});
    if (!weights_->scales()) return;
    scale_.assign(weights_->scales(), weights_->scales() + output_.channels);
    for (size_t i = 0; epilogue.scale && i < scale_.size(); ++i) scale_[i] *= epilogue.scale[i];
    epilogue_.scale = scale_.data();
}

int64_t Convolution::tile_rows() const { return TileShape(1, positions(), positions(), columns_.longest()).rows; }

size_t Convolution::source_bytes() const {
    return weights_->product.prepare && !at_once_ ? weights_->groups * group_bytes_ : 0;
}

void Convolution::prepare(const Rows<const float>& input, size_t images, const Quantization* quantizations,
                          const Rows<uint8_t>& sources, Threads& threads) const {
    const Weights& w = *weights_;
    // A column, as a sound is, is one line of pixels rather than many of one.
    const bool column = input_.width == 1;
    const Range rows = sources.rows;
    const int64_t lines = column ? 1 : rows.size(), length = column ? rows.size() : input_.width;
    const int64_t from_step = column ? input.layout.row : input.layout.pixel;
    const int64_t to_step = column ? sources.layout.row : sources.layout.pixel;
    // Enough parts of a line to keep the threads busy, and about as much work in each as a thread should take at a time.
    const auto step = static_cast<int64_t>(std::max<size_t>(1, 4096 / (w.groups * w.inputs)));
    const int64_t parts = divide_up(length, step);
    threads.parallel_for(images * static_cast<size_t>(lines * parts), [&](size_t i) {
        const auto item = static_cast<int64_t>(i);
        const int64_t image = item / parts / lines, y = rows.begin + item / parts % lines, begin = item % parts * step;
        const int64_t count = std::min(step, length - begin);
        const float* from = input.at(image, y, 0) + begin * from_step;
        uint8_t* to = sources.at(image, y, 0) + begin * to_step;
        for (size_t group = 0; group < w.groups; ++group)
            w.product.prepare({from + group * w.inputs, from_step, to + group * group_bytes_, to_step, count}, w.inputs,
                              quantizations[image]);
    });
}

// Tables take more than numbers.
size_t Convolution::usual_source_bytes() const {
    const size_t input_bytes = rounded() == Rounded::nothing ? 12 : rounded() == Rounded::sums ? 4 : 2;
    return source_bytes() ? static_cast<size_t>(input_.channels) * input_bytes : 0;
}

void Convolution::begin(size_t images, const Output& output, Threads& threads) const {
    if (rows_.complete() && columns_.complete()) return;
    const auto channels = static_cast<size_t>(output_.channels), width = static_cast<size_t>(output_.width);
    const auto height = static_cast<size_t>(output_.height);
    threads.parallel_for(images * height, [&](size_t i) {
        const Grid row = {1, width, static_cast<size_t>(output.layout.pixel), 0};
        float* values = output.pixels + output.layout.at(static_cast<int64_t>(i / height), static_cast<int64_t>(i % height), 0);
        for (size_t x = 0; x < width; ++x) std::memset(values + x * row.step, 0, channels * sizeof(float));
        Extremes extremes;
        kernels_.finish(values, row.step, channels, epilogue_, values, row, &extremes);
        if (output.extremes) output.extremes[i / height].add(extremes);
    });
}

void Convolution::run(const Rows<const uint8_t>& sources, size_t images, const Range& band, const Share& share,
                      const Quantization* quantizations, const Output& output, uint8_t*, Threads& threads) const {
    // An item is a phase, some blocks and a tile. Each thread has a part of the image, if there are tiles enough; there,
    // neighbouring items share weights, and the phases with most work come first.
    const auto all_images = static_cast<int64_t>(images);
    const TileShape shape(all_images, band.size(), positions(), columns_.longest());
    const auto image_parts = static_cast<size_t>(divide_up(all_images, shape.images));
    const auto row_parts = static_cast<size_t>(divide_up(band.size(), shape.rows));
    const auto column_parts = static_cast<size_t>(divide_up(columns_.longest(), shape.columns));
    const auto row_phases = static_cast<size_t>(rows_.count()), column_phases = static_cast<size_t>(columns_.count());
    const size_t tiles = image_parts * row_parts * column_parts, parts = std::min<size_t>(tiles, threads.count());
    const size_t part_tiles = divide_up(tiles, parts), groups = weights_->groups;
    const size_t some_blocks = blocks_together(shape.pixels(), tiles * row_phases * column_phases * groups,
                                               std::max<size_t>(threads.count(), share.count));
    const size_t block_parts = divide_up(weights_->blocks(), some_blocks);
    const size_t items = share.of(parts * row_phases * column_phases * groups * block_parts * part_tiles);
    if (items == 0) return;
    const auto run_item = [&](size_t item) {
        item = share.item(item);
        Tile tile;
        tile.quantizations = quantizations;
        const size_t part_tile = take_digit(item, part_tiles);
        tile.first_block = take_digit(item, block_parts) * some_blocks;
        tile.end_block = std::min(weights_->blocks(), tile.first_block + some_blocks);
        tile.group = take_digit(item, groups);
        tile.column_phase = columns_[static_cast<int64_t>(take_digit(item, column_phases))];
        tile.row_phase = rows_[static_cast<int64_t>(take_digit(item, row_phases))];
        size_t index = item * part_tiles + part_tile;
        if (index >= tiles) return;
        const size_t column = take_digit(index, column_parts), row = take_digit(index, row_parts);
        tile.images = part(index, shape.images, {0, all_images});
        tile.area.rows = part(row, shape.rows, {band.begin, std::min(band.end, tile.row_phase.count)});
        tile.area.columns = part(column, shape.columns, {0, tile.column_phase.count});
        // Phases differ in size: the last tile may be empty.
        if (!tile.area.empty()) run_tile(tile, sources, output);
    };
    // A thread takes some small items at a time.
    const size_t taps = divide_up(weights_->taps, row_phases * column_phases);
    const size_t work = shape.pixels() * taps * weights_->inputs * some_blocks * weights_->block_channels(0);
    const size_t step = std::clamp<size_t>(fewest_operations / work, 1, divide_up(items, size_t{16}));
    threads.parallel_for(divide_up(items, step), [&](size_t i) {
        for (size_t item = i * step; item < std::min(items, (i + 1) * step); ++item) run_item(item);
    });
}

// So many share the list of inputs that pixels meet: all whose sums fit into a tile, but of `others` parts of the work, in
// threads, there should be enough.
size_t Convolution::blocks_together(size_t pixels, size_t others, size_t threads) const {
    constexpr size_t fewest = 4;  // of a thread
    if (block_bytes_) return 1;
    const size_t most = tile_bytes / weights_->product.sum_bytes(weights_->product.block, pixels);
    const size_t parts = divide_up(fewest * threads, others);
    return std::clamp<size_t>(weights_->blocks() / parts, 1, std::max<size_t>(1, most));
}

void Convolution::run_tile(Tile& tile, const Rows<const uint8_t>& sources, const Output& output) const {
    tile.sum_bytes = weights_->product.sum_bytes(weights_->block_channels(tile.first_block), tile.pixels());
    const Area inner = taps_together_ > 1 ? inner_area(tile) : Area{};
    tile.started = !weights_->product.start || tile.row_phase.taps * tile.column_phase.taps == 0 || !(inner == tile.area);
    if (tile.started) std::memset(tile.sums, 0, tile.sum_bytes * (tile.end_block - tile.first_block));
    add_taps(tile, inner, sources);
    for (size_t block = tile.first_block; block < tile.end_block; ++block) finish_block(tile, block, output);
}

// Only the pixels whose input lies inside the image take part: no work is spent on the border.
void Convolution::add_taps(Tile& tile, const Area& inner, const Rows<const uint8_t>& sources) const {
    if (!inner.empty()) add_inner_taps(tile, inner, sources);
    if (inner == tile.area) return;
    for (int64_t r = 0; r < tile.row_phase.taps; ++r)
        for (int64_t c = 0; c < tile.column_phase.taps; ++c) {
            const Tap row = tile.row_phase.tap(r), column = tile.column_phase.tap(c);
            const Area area = {inside(tile.area.rows, rows_.input_step(), row.delta, input_.height),
                               inside(tile.area.columns, columns_.input_step(), column.delta, input_.width)};
            const TapShift tap = {tap_index(row, column), 0};
            accumulate(tile, &tap, 1, meetings(tile, area, inner, row, column, sources));
        }
}

// The positions at which every tap is inside the image.
Area Convolution::inner_area(const Tile& tile) const {
    const auto inner = [](const Range& range, const Phases& phases, const Phase& phase, int64_t size) {
        const Range first = inside(range, phases.input_step(), phase.first_tap.delta, size);
        return inside(first, phases.input_step(), phase.tap(phase.taps - 1).delta, size);
    };
    return {inner(tile.area.rows, rows_, tile.row_phase, input_.height),
            inner(tile.area.columns, columns_, tile.column_phase, input_.width)};
}

void Convolution::add_inner_taps(Tile& tile, const Area& inner, const Rows<const uint8_t>& sources) const {
    const Tap first_row = tile.row_phase.first_tap, first_column = tile.column_phase.first_tap;
    const Meetings met = meetings(tile, inner, {}, first_row, first_column, sources);
    TapShift taps[most_taps];
    size_t count = 0;
    for (int64_t r = 0; r < tile.row_phase.taps; ++r)
        for (int64_t c = 0; c < tile.column_phase.taps; ++c) {
            const Tap row = tile.row_phase.tap(r), column = tile.column_phase.tap(c);
            const int64_t shift = sources.layout.at(0, row.delta - first_row.delta, column.delta - first_column.delta);
            taps[count++] = {tap_index(row, column), static_cast<ptrdiff_t>(shift)};
            if (count < taps_together_) continue;
            accumulate(tile, taps, count, met);
            count = 0;
        }
    accumulate(tile, taps, count, met);
}

// For one tap, the positions of `area` that are not in `without`.
Convolution::Meetings Convolution::meetings(const Tile& tile, const Area& area, const Area& without, const Tap& row,
                                            const Tap& column, const Rows<const uint8_t>& sources) const {
    const size_t first = tile.group * group_bytes_ + tile.first_block * block_bytes_;
    const int64_t down = rows_.input_step() * sources.layout.row, across = columns_.input_step() * sources.layout.pixel;
    Meetings met;
    const auto add_run = [&](const uint8_t* source, int64_t step, size_t pixel, int64_t count) {
        for (int64_t j = 0; j < count; ++j) met.sources[met.count + j] = source + j * step;
        for (int64_t j = 0; j < count; ++j) met.pixels[met.count + j] = static_cast<uint8_t>(pixel + j);
        met.count += static_cast<size_t>(count);
    };
    const auto add = [&](int64_t image, const Range& rows, const Range& columns) {
        if (rows.size() <= 0 || columns.size() <= 0) return;
        const int64_t y = rows.begin * rows_.input_step() + row.delta, x = columns.begin * columns_.input_step() + column.delta;
        const uint8_t* source = sources.at(image, y, x) + first;
        const size_t pixel = tile.pixel(image, rows.begin, columns.begin);
        // A column, as a sound is, is one run rather than many of one pixel.
        if (tile.area.columns.size() == 1) return add_run(source, down, pixel, rows.size());
        for (int64_t i = 0; i < rows.size(); ++i)
            add_run(source + i * down, across, pixel + i * tile.area.columns.size(), columns.size());
    };
    for (int64_t image = tile.images.begin; image < tile.images.end; ++image) {
        if (without.empty()) {
            add(image, area.rows, area.columns);
            continue;
        }
        add(image, {area.rows.begin, without.rows.begin}, area.columns);
        for (int64_t i = without.rows.begin; i < without.rows.end; ++i) {
            add(image, {i, i + 1}, {area.columns.begin, without.columns.begin});
            add(image, {i, i + 1}, {without.columns.end, area.columns.end});
        }
        add(image, {without.rows.end, area.rows.end}, area.columns);
    }
    return met;
}

size_t Convolution::tap_index(const Tap& row, const Tap& column) const {
    return static_cast<size_t>(row.kernel * columns_.geometry().kernel + column.kernel);
}

void Convolution::accumulate(Tile& tile, const TapShift* taps, size_t count, const Meetings& met) const {
    if (count == 0 || met.count == 0) return;
    const Weights& w = *weights_;
    const auto add = [&](const void* const* sources) {
        for (size_t block = tile.first_block; block < tile.end_block; ++block) {
            TapWeights weights[most_taps];
            for (size_t t = 0; t < count; ++t) weights[t] = {w.tap(tile.group, block, taps[t].tap), taps[t].shift};
            const auto accumulate = tile.started ? w.product.accumulate : w.product.start;
            accumulate(weights, count, w.inputs, w.block_channels(block), sources, met.pixels, met.count, tile.block_sums(block));
        }
        tile.started = true;
    };
    if (!at_once_) return add(met.sources);
    alignas(64) uint8_t prepared[tile_bytes];
    const void* sources[tile_pixels];
    const size_t bytes = w.product.source_bytes(w.inputs);
    for (size_t i = 0; i < met.count; ++i) {
        const auto* values = static_cast<const float*>(met.sources[i]);
        uint8_t* source = prepared + i * bytes;
        w.product.prepare({values, 0, source, 0, 1}, w.inputs, tile.quantization(met.pixels[i]));
        sources[i] = source;
    }
    add(sources);
}

void Convolution::finish_block(const Tile& tile, size_t block, const Output& output) const {
    const Weights& w = *weights_;
    const size_t channels = w.block_outputs(block);
    const size_t channel = tile.group * w.outputs + block * w.block();
    const Epilogue epilogue = epilogue_.from(channel);

    const auto number = [](int64_t size) { return static_cast<size_t>(size); };
    const Layout& layout = output.layout;
    const Grid grid = {number(tile.area.rows.size()), number(tile.area.columns.size()),
                       number(columns_.output_step() * layout.pixel), number(rows_.output_step() * layout.row), output.streams};
    const int64_t y = tile.row_phase.first + tile.area.rows.begin * rows_.output_step();
    const int64_t x = tile.column_phase.first + tile.area.columns.begin * columns_.output_step();
    const size_t count = grid.rows * grid.columns;
    size_t pixel = 0;
    alignas(64) float rows[tile_bytes / sizeof(float)];
    for (int64_t image = tile.images.begin; image < tile.images.end; ++image, pixel += count) {
        float* to = output.pixels + layout.at(image, y, x);
        const float scale = tile.quantizations[image].scale;
        Extremes extremes, *found = output.extremes ? &extremes : nullptr;
        if (w.product.finish && w.planes == 1) {
            w.product.finish(tile.block_sums(block), channels, pixel, scale, epilogue, to + channel, grid, found);
        } else {
            const float* sums = w.product.collect(tile.block_sums(block), channels, w.planes, pixel, count, scale, rows);
            kernels_.finish(sums, w.product.block, channels, epilogue, to + channel, grid, found);
        }
        if (output.extremes) output.extremes[image].add(extremes);
    }
}

}  // namespace pbgen
