#include "shared_convolution.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "aligned.h"

namespace pbgen {
namespace {

constexpr size_t most_taps = 256;  // of all phases

constexpr auto pixels_of_tile = static_cast<int64_t>(tile_pixels);

// Integers of 16 bits hold the sum of so many entries, each the sum of two.
constexpr size_t most_entries = INT16_MAX / (2 * largest_entry);

// Output channels of a part, if a block is shared out.
constexpr size_t fewest_outputs = 32;

// Most bytes of the sums of blocks that use a table one after another: a part of the second cache.
constexpr size_t most_sum_bytes = size_t{256} << 10, most_blocks = 4;

template <class Integer>
Integer divide_up(Integer a, Integer b) {
    return (a + b - 1) / b;
}

size_t on_cache_lines(size_t bytes) { return divide_up(bytes, cache_line) * cache_line; }

// Rows of a tile: a power of 2, and whole vectors.
int64_t tile_height(const SharedTables& tables, const Phases& rows) {
    const auto least = static_cast<int64_t>(tables.narrow() ? tables.lanes / tables.columns : 1);
    int64_t height = static_cast<int64_t>(tile_pixels / tables.columns);
    while (height / 2 >= std::max(least, rows.longest())) height /= 2;
    return height;
}

// How many times an entry has its rows.
int64_t table_copies(const SharedTables& tables, const Phases& columns) {
    return tables.narrow() ? 1 + columns.deltas().size() : 1;
}

// The pixels of so many rows, as far as taps reach: whole cache lines where rows are laid out by them, or whole vectors.
int64_t copy_pixels(const SharedTables& tables, int64_t rows, const Phases& columns) {
    const auto pitch = static_cast<int64_t>(tables.pitch), line = static_cast<int64_t>(cache_line / tables.number_bytes);
    const int64_t unit = tables.begin || pitch % line == 0 ? line : static_cast<int64_t>(tables.lanes);
    const int64_t last = tables.narrow() ? pitch : static_cast<int64_t>(tables.columns) + columns.deltas().size();
    return divide_up((rows - 1) * pitch + last, unit) * unit;
}

// Whether an entry has room for what taps reach from a tile of that height, and taps look up often enough.
bool serves(const SharedTables& tables, size_t lookups, int64_t height, const Phases& rows, const Phases& columns) {
    const auto width = static_cast<int64_t>(tables.columns), pitch = static_cast<int64_t>(tables.pitch);
    const int64_t most = static_cast<int64_t>(tables.most_pixels), reach = columns.deltas().size();
    const int64_t table_height = height + rows.deltas().size();
    // A sound's table is larger than its tile by as much as its taps reach.
    const int64_t fewest = static_cast<int64_t>(tables.fewest) * (tables.columns == 1 ? table_height : pixels_of_tile) / pixels_of_tile;
    return static_cast<int64_t>(lookups) >= fewest && (tables.narrow() || width + reach <= pitch) && table_height <= most / pitch &&
           table_copies(tables, columns) <= most / copy_pixels(tables, table_height, columns);
}

// Those that take least; nullptr if there are none for such images.
const SharedTables* best(const Product& product, size_t lookups, const Phases& rows, const Phases& columns) {
    const SharedTables* best = nullptr;
    int64_t least = INT64_MAX;
    for (const SharedTables* tables = product.shared; tables != product.shared + product.shared_count; ++tables) {
        const auto width = static_cast<int64_t>(tables->columns), height = pixels_of_tile / width;
        const int64_t vectors = divide_up(rows.longest() * width, static_cast<int64_t>(tables->lanes));
        const int64_t cost = divide_up(columns.longest(), width) * (divide_up(rows.longest(), height) + vectors);
        if (cost >= least || (tables->narrow() && columns.longest() > width)) continue;
        if (!serves(*tables, lookups, tile_height(*tables, rows), rows, columns)) continue;
        least = cost;
        best = tables;
    }
    return best;
}

// Whether there are some at every size. Those of one column are for sounds.
bool always(const Product& product, size_t lookups, bool sound, const Phases& rows, const Phases& columns) {
    return std::any_of(product.shared, product.shared + product.shared_count, [&](const SharedTables& tables) {
        const bool any_width = sound ? tables.columns == 1 : !tables.narrow();
        return any_width && serves(tables, lookups, static_cast<int64_t>(tile_pixels / tables.columns), rows, columns);
    });
}

// Tap by tap further down.
Tap row_tap(const Phase& phase, int64_t i) { return phase.tap(phase.tap_step.delta < 0 ? phase.taps - 1 - i : i); }

size_t lookups(const LayerSize& size) { return size.planes * size.outputs * size.taps; }

}  // namespace

// Some output channels of a block, and where among a tile's sums theirs are, [phases][planes][outputs][tile_pixels]. In
// small images some phases lie side by side, [outputs][phases][pixels].
struct SharedConvolution::Outputs {
    size_t block, first, count, first_sum;
};

// Some neighbouring output positions, in all phases, of some output channels.
struct SharedConvolution::Tile {
    struct PhaseTaps {
        size_t first_tap, rows;  // rows: of the tile
        SharedTaps taps;
    };

    int64_t image;
    Area area;
    size_t group, parts, sum_count;
    Outputs outputs[most_blocks];  // so many parts
    Quantization quantization;
    uint8_t* table;
    uint8_t* sums;
    int32_t* totals;   // the same of 32 bits, if sums have 16
    size_t shifts[most_taps];
    PhaseTaps phases[most_taps];
    size_t most_entries;  // that are added to a sum for each table
    const void* sources[most_table_pixels];
    Range runs[most_table_pixels];  // of pixels of an entry that are not all zeros, in whole vectors
    size_t run_count;
    bool zeros;  // whether there are others
};

// For other sizes, too, the product must be the same: the weights are arranged once.
bool SharedConvolution::suit(const LayerShape& shape, const LayerSize& size, Manner manner, const Product& product) {
    if (!shape.transposed && (shape.y.stride > 1 || shape.x.stride > 1)) return false;
    const auto most = static_cast<int64_t>(most_taps);
    // A sound, or an image of one column, but not if others are wider.
    const bool column = shape.input.width == 1 && shape.output.width == 1 && (manner.sound || !manner.resizes);
    if ((shape.x.kernel == 1 && !column) || shape.x.kernel > most || shape.y.kernel > most / shape.x.kernel) return false;
    const Phases rows = row_phases(shape), columns = column_phases(shape);
    // Sums are loaded and stored once a phase: where it has few taps, that takes too long, by twice as many for a column,
    // whose pixels other tables prepare in runs.
    if ((column ? 1 : 2) * shape.y.kernel * shape.x.kernel < 5 * rows.count() * columns.count()) return false;
    if (product.widen && rows[0].taps * columns[0].taps > static_cast<int64_t>(most_entries)) return false;
    if (manner.resizes) return always(product, lookups(size), manner.sound, rows, columns);
    const SharedTables* tables = best(product, lookups(size), rows, columns);
    if (!tables) return false;
    // Few lanes should be empty.
    const auto width = static_cast<int64_t>(tables->columns), lanes = divide_up(columns.longest(), width) * width;
    return 10 * columns.longest() >= 9 * lanes;
}

std::vector<size_t> SharedConvolution::order(const Phases& rows, const Phases& columns) {
    std::vector<size_t> taps;
    for (int64_t phase = 0; phase < rows.count() * columns.count(); ++phase) {
        const Phase row_phase = rows[phase / columns.count()], column_phase = columns[phase % columns.count()];
        for (int64_t r = 0; r < row_phase.taps; ++r)
            for (int64_t c = 0; c < column_phase.taps; ++c)
                taps.push_back(static_cast<size_t>(row_tap(row_phase, r).kernel * columns.geometry().kernel +
                                                   column_phase.tap(c).kernel));
    }
    return taps;
}

SharedConvolution::SharedConvolution(const Phases& rows, const Phases& columns, const Image& input, const Image& output,
                                     std::shared_ptr<const Weights> weights, const Epilogue& epilogue,
                                     const Kernels& kernels)
    : Convolution(rows, columns, input, output, std::move(weights), epilogue, kernels),
      tables_(*best(weights_->product, lookups({weights_->planes, weights_->inputs, weights_->outputs, weights_->taps}), rows,
                    columns)),
      table_rows_(static_cast<size_t>(tile_height(tables_, rows) + rows.deltas().size())),
      table_copies_(static_cast<size_t>(table_copies(tables_, columns))),
      copy_pixels_(static_cast<size_t>(copy_pixels(tables_, static_cast<int64_t>(table_rows_), columns))),
      table_pixels_(table_copies_ * copy_pixels_),
      entry_bytes_(table_pixels_ * tables_.number_bytes),
      side_by_side_(tile_pixels / (tables_.columns * static_cast<size_t>(tile_height(tables_, rows)))),
      most_blocks_(std::clamp<size_t>(most_sum_bytes / (sum_count(weights_->block_channels(0)) * tables_.number_bytes), 1,
                                      std::min(most_blocks, weights_->blocks()))) {}

size_t SharedConvolution::sum_count(size_t channels) const {
    return divide_up(phases(), side_by_side_) * channels * tile_pixels;
}

size_t SharedConvolution::first_sum(const Outputs& outputs, size_t phase, size_t plane) const {
    const size_t sums = (phase / side_by_side_ * weights_->planes + plane) * outputs.count * tile_pixels;
    return outputs.first_sum + sums + phase % side_by_side_ * (tile_pixels / side_by_side_);
}

size_t SharedConvolution::table_bytes() const { return on_cache_lines(tables_.begin + tables_.entries * entry_bytes_); }

size_t SharedConvolution::worker_bytes() const {
    const size_t sums = most_blocks_ * sum_count(weights_->block_channels(0));
    const size_t totals = weights_->product.widen ? sums * sizeof(int32_t) : 0;
    return table_bytes() + on_cache_lines(sums * tables_.number_bytes) + on_cache_lines(totals);
}

void SharedConvolution::run(const Rows<const uint8_t>& sources, size_t images, const Range& band, const Share& share,
                            const Quantization* quantizations, const Output& output, uint8_t* tiles_memory,
                            Threads& threads) const {
    const auto height = static_cast<size_t>(tile_rows()), width = tables_.columns;
    const size_t row_parts = divide_up(static_cast<size_t>(band.size()), height);
    const size_t column_parts = divide_up(static_cast<size_t>(columns_.longest()), width);
    const size_t tiles = images * row_parts * column_parts * weights_->groups;
    // Each item makes its own tables: of some blocks, or if there are too few of these, of a part of one.
    const size_t workers = std::max<size_t>(threads.count(), share.count), blocks = weights_->blocks();
    const size_t some_blocks = std::clamp<size_t>(blocks / divide_up(workers, tiles), 1, most_blocks_);
    const size_t block_parts = divide_up(blocks, some_blocks);
    const size_t most_parts = std::max<size_t>(1, weights_->block_outputs(0) / fewest_outputs);
    const size_t parts = std::clamp<size_t>(divide_up(workers, tiles * block_parts), 1, most_parts);
    const size_t items = share.of(tiles * block_parts * parts), slots = std::min<size_t>(threads.count(), items);
    std::atomic<size_t> next{0};
    threads.parallel_for(slots, [&](size_t slot) {
        Tile tile;
        uint8_t* const memory = tiles_memory + slot * worker_bytes();
        tile.table = memory + tables_.begin;
        tile.sums = memory + table_bytes();
        for (size_t i; (i = next++) < items;) {
            size_t index = share.item(i);
            const auto digit = [&](size_t base) {
                const size_t found = index % base;
                index /= base;
                return static_cast<int64_t>(found);
            };
            tile.area.columns.begin = digit(column_parts) * static_cast<int64_t>(width);
            tile.area.rows.begin = band.begin + digit(row_parts) * static_cast<int64_t>(height);
            tile.area.columns.end = std::min(columns_.longest(), tile.area.columns.begin + static_cast<int64_t>(width));
            tile.area.rows.end = std::min(band.end, tile.area.rows.begin + static_cast<int64_t>(height));
            tile.image = digit(images);
            const auto part = static_cast<size_t>(digit(parts));
            const auto first_block = static_cast<size_t>(digit(block_parts)) * some_blocks;
            tile.group = index;
            tile.quantization = quantizations[tile.image];
            tile.parts = tile.sum_count = 0;
            for (size_t block = first_block; block < std::min(blocks, first_block + some_blocks); ++block) {
                const size_t outputs = weights_->block_outputs(block), step = divide_up(outputs, parts);
                const size_t first = std::min(outputs, part * step), count = std::min(step, outputs - first);
                if (count == 0) continue;
                tile.outputs[tile.parts++] = {block, first, count, tile.sum_count};
                tile.sum_count += sum_count(weights_->planes * count);
            }
            if (tile.parts) run_tile(tile, sources, output);
        }
    });
}

void SharedConvolution::run_tile(Tile& tile, const Rows<const uint8_t>& sources, const Output& output) const {
    const Product& product = weights_->product;
    const size_t sums = tile.sum_count;
    tile.totals = reinterpret_cast<int32_t*>(tile.sums + on_cache_lines(sums * tables_.number_bytes));
    std::memset(tile.sums, 0, sums * tables_.number_bytes);
    if (product.widen) std::memset(tile.totals, 0, sums * sizeof(int32_t));
    find_taps(tile);
    find_sources(tile, sources);
    find_runs(tile);
    if (tile.zeros) std::memset(tile.table, 0, tables_.entries * entry_bytes_);
    size_t entries = 0;
    for (size_t first = 0; first < weights_->inputs; first += tables_.inputs) {
        if (product.widen && (entries += tile.most_entries) > most_entries) {
            product.widen(tile.sums, sums, tile.totals);
            entries = tile.most_entries;
        }
        fill(tile, first);
        for (size_t part = 0; part < tile.parts; ++part) add_inputs(tile, tile.outputs[part], first);
    }
    if (product.widen) product.widen(tile.sums, sums, tile.totals);
    finish(tile, output);
}

// Those whose inputs lie outside the image for all of the tile do no work; others meet zeros there, or leave a row of vectors
// out: to load and store sums once more would take longer.
void SharedConvolution::find_taps(Tile& tile) const {
    const int64_t vector_rows = static_cast<int64_t>(tables_.narrow() ? tables_.lanes / tables_.columns : 1);
    size_t tap = 0;
    tile.most_entries = 0;
    for (size_t p = 0; p < phases(); ++p) {
        const Phase row_phase = rows_[row_of(p)], column_phase = columns_[column_of(p)];
        const Range rows = {tile.area.rows.begin, std::min(tile.area.rows.end, row_phase.count)};
        Tile::PhaseTaps& phase = tile.phases[p] = {tap, static_cast<size_t>(std::max<int64_t>(0, rows.size())), {}};
        const auto across = static_cast<size_t>(column_phase.taps);
        for (int64_t r = 0; r < row_phase.taps; ++r) {
            const int64_t delta = row_tap(row_phase, r).delta;
            if (inside(rows, 1, delta, input_.height).size() > 0) {
                if (phase.taps.count == 0) phase.first_tap = tap;
                phase.taps.count += across;
                if (rows.begin + vector_rows + delta <= 0) phase.taps.first_outside += across;
                if (rows.end - vector_rows + delta >= input_.height) phase.taps.last_outside += across;
            }
            const auto down = static_cast<size_t>(delta - rows_.deltas().begin);
            for (int64_t c = 0; c < column_phase.taps; ++c) {
                const auto column = static_cast<size_t>(column_phase.tap(c).delta - columns_.deltas().begin);
                const size_t further = tables_.narrow() ? column * copy_pixels_ : column;
                tile.shifts[tap++] = (down * tables_.pitch + further) * tables_.number_bytes;
            }
        }
        phase.taps.shifts = tile.shifts + phase.first_tap;
        tile.most_entries = std::max(tile.most_entries, phase.taps.count);
    }
}

void SharedConvolution::find_sources(Tile& tile, const Rows<const uint8_t>& sources) const {
    const size_t width = tables_.narrow() ? tables_.columns : tables_.columns + static_cast<size_t>(columns_.deltas().size());
    std::fill(tile.sources, tile.sources + table_pixels_, nullptr);
    tile.zeros = false;
    for (size_t copy = 0; copy < table_copies_; ++copy)
        for (size_t row = 0; row < table_rows_; ++row) {
            const void** to = tile.sources + copy * copy_pixels_ + row * tables_.pitch;
            for (size_t column = copy; column < copy + width; ++column, ++to) {
                const int64_t y = tile.area.rows.begin + rows_.deltas().begin + static_cast<int64_t>(row);
                const int64_t x = tile.area.columns.begin + columns_.deltas().begin + static_cast<int64_t>(column);
                const bool met = sources.rows.begin <= y && y < sources.rows.end && 0 <= x && x < input_.width;
                if (met)
                    *to = sources.at(tile.image, y, x) + tile.group * group_bytes_;
                else
                    tile.zeros = true;
            }
        }
}

// Vectors, each from the first pixel on that no other has; or at multiples of their lanes, if as few do and lie on one cache
// line each.
void SharedConvolution::find_runs(Tile& tile) const {
    const size_t lanes = tables_.lanes;
    const auto find = [&](bool aligned) {
        size_t vectors = 0;
        tile.run_count = 0;
        for (size_t pixel = 0, end; pixel < table_pixels_; pixel = end) {
            end = pixel + 1;
            if (!tile.sources[pixel]) continue;
            const size_t begin = std::min(aligned ? pixel / lanes * lanes : pixel, table_pixels_ - lanes);
            end = begin + lanes;
            if (tile.run_count > 0 && tile.runs[tile.run_count - 1].end == static_cast<int64_t>(begin))
                tile.runs[tile.run_count - 1].end = static_cast<int64_t>(end);
            else
                tile.runs[tile.run_count++] = {static_cast<int64_t>(begin), static_cast<int64_t>(end)};
            ++vectors;
        }
        return vectors;
    };
    const size_t fewest = find(false);
    if (tables_.begin == 0 && find(true) > fewest) find(false);
}

// The table of the inputs from the first on.
void SharedConvolution::fill(const Tile& tile, size_t first) const {
    const size_t count = std::min(tables_.inputs, weights_->inputs - first);
    for (const Range* run = tile.runs; run != tile.runs + tile.run_count; ++run)
        tables_.fill(tile.sources + run->begin, static_cast<size_t>(run->size()), first, count,
                     tile.table + static_cast<size_t>(run->begin) * tables_.number_bytes, table_pixels_);
}

// From the first of a table's inputs on.
void SharedConvolution::add_inputs(const Tile& tile, const Outputs& outputs, size_t first) const {
    const Weights& w = *weights_;
    const size_t table = first / tables_.inputs;
    const uint8_t* indices = w.tap(tile.group, outputs.block, 0) + table * w.block_channels(outputs.block) * w.taps;
    for (size_t plane = 0; plane < w.planes; ++plane) {
        const size_t channel = plane * w.block_outputs(outputs.block) + outputs.first;
        for (size_t p = 0; p < phases(); ++p) {
            const Tile::PhaseTaps& phase = tile.phases[p];
            if (phase.taps.count == 0) continue;
            tables_.look_up(phase.taps, indices + channel * w.taps + phase.first_tap, w.taps, phase.rows, outputs.count,
                            tile.table, entry_bytes_, tile.sums + first_sum(outputs, p, plane) * tables_.number_bytes);
        }
    }
}

void SharedConvolution::finish(const Tile& tile, const Output& output) const {
    Extremes extremes;
    for (size_t part = 0; part < tile.parts; ++part)
        for (size_t phase = 0; phase < phases(); ++phase) finish_phase(tile, tile.outputs[part], phase, output, extremes);
    if (output.extremes) output.extremes[tile.image].add(extremes);
}

void SharedConvolution::finish_phase(const Tile& tile, const Outputs& outputs, size_t phase, const Output& output,
                                     Extremes& extremes) const {
    const Weights& w = *weights_;
    const Phase row_phase = rows_[row_of(phase)], column_phase = columns_[column_of(phase)];
    const int64_t end_row = std::min(tile.area.rows.end, row_phase.count);
    const int64_t end_column = std::min(tile.area.columns.end, column_phase.count);
    if (end_column <= tile.area.columns.begin) return;
    const size_t channel = tile.group * w.outputs + outputs.block * w.block() + outputs.first;
    const Epilogue epilogue = epilogue_.from(channel);
    const size_t sum = first_sum(outputs, phase, 0);
    const void* sums = w.product.widen ? static_cast<const void*>(tile.totals + sum)
                                       : tile.sums + sum * tables_.number_bytes;
    // A column is one run of pixels, as a row of others is.
    const bool column = tables_.columns == 1;
    const int64_t run = column ? end_row - tile.area.rows.begin : end_column - tile.area.columns.begin;
    if (run <= 0) return;
    const auto count = static_cast<size_t>(run);
    const int64_t step = column ? rows_.output_step() * output.layout.row : columns_.output_step() * output.layout.pixel;
    const Grid grid = {1, count, static_cast<size_t>(step), 0, output.streams};
    alignas(64) float rows[tile_bytes / sizeof(float)];
    for (int64_t i = tile.area.rows.begin; i < end_row; i += column ? run : 1) {
        const int64_t y = row_phase.first + i * rows_.output_step();
        const int64_t x = column_phase.first + tile.area.columns.begin * columns_.output_step();
        float* to = output.pixels + output.layout.at(tile.image, y, x);
        const auto pixel = static_cast<size_t>(i - tile.area.rows.begin) * tables_.columns;
        const float* made = w.product.collect(sums, outputs.count, w.planes, pixel, count, tile.quantization.scale, rows);
        Extremes some;
        kernels_.finish(made, w.product.block, outputs.count, epilogue, to + channel, grid, output.extremes ? &some : nullptr);
        extremes = {std::min(extremes.low, some.low), std::max(extremes.high, some.high), std::max(extremes.four, some.four)};
    }
}

}  // namespace pbgen
