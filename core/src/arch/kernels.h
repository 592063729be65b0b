// What an instruction set brings: inner loops over raw pointers, behind one interface.
#pragma once

#include <cstddef>
#include <cstdint>

#include "instruction.h"
#include "outer.h"

namespace pbgen {

// Output pixels that are computed together: a tile.
constexpr size_t tile_pixels = 32;

// Most bytes of a tile's sums.
constexpr size_t tile_bytes = 32 << 10;

// What becomes integers of 8 bits: nothing; the inputs; or the signed sums of four neighbouring inputs, a table's entries.
enum class Rounded : uint8_t { nothing, inputs, sums };

// How the inputs of an image become integers: q = round(x * inverse), from `low` to `high`; what is made of them is to be
// multiplied by `scale`.
struct Quantization {
    float scale = 1, inverse = 1;
    int32_t low = 0, high = 255;
};

// Where sums are rounded, inputs have so many binary digits more: an entry is (sum + half) >> sum_digits, with the half of
// what is left out, and at most largest_entry.
constexpr int sum_digits = 7;
constexpr int32_t largest_entry = 127;

// The weights of one tap and block, and where their inputs lie: so many bytes after those of the first tap.
struct TapWeights {
    const void* weights;
    ptrdiff_t shift;
};

// Most pixels of a table.
constexpr size_t most_table_pixels = 256;

// Some taps of a phase, further and further down: where the inputs of each lie in an entry, so many bytes on. Of so many, the
// first ones or the last ones, those of the tile's first or last row of vectors lie outside the image.
struct SharedTaps {
    const size_t* shifts;
    size_t count, first_outside, last_outside;
};

// Tables that all taps of a layer share (arch/vector/shared_tables.h), for a tile of tile_pixels output positions.
struct SharedTables {
    size_t inputs, entries;
    size_t columns;       // of a tile
    size_t pitch;         // pixels of a row of the table: those of the tile, and those beyond that taps may reach
    size_t number_bytes;  // of an entry's numbers, [rows][pitch], and of sums
    size_t lanes;         // of a vector: some columns of a row, or some rows
    size_t fewest;        // lookups by all taps for which a table is worth its making
    size_t most_pixels;   // of an entry, at most most_table_pixels
    size_t begin;         // bytes from a cache line's beginning to the table's, so that few rows lie on two lines

    // Makes the table of inputs first .. first + count - 1 of some pixels, a multiple of `lanes`, whose inputs are
    // `sources`, or nullptr for zeros. From one entry to the next are `step` numbers.
    void (*fill)(const void* const* sources, size_t pixels, size_t first, size_t count, void* table, size_t step);

    // Whether a row has no pixels beyond the tile's, so that rows lie side by side in a vector; an entry then has these
    // rows for each of the columns where a tap's pixels may begin.
    bool narrow() const { return columns < lanes; }

    // Adds to `rows` rows, or as many more as make a power of 2, of sums [outputs][tile_pixels] what taps say in entries of
    // `bytes` bytes: for each output and tap by an index, `step` of them from one output's to the next's.
    void (*look_up)(const SharedTaps& taps, const uint8_t* indices, size_t step, size_t rows, size_t outputs,
                    const void* table, size_t bytes, void* sums);
};

// Pixels at equal distances: their inputs, and where what is made of them goes, `source_step` bytes further each time.
struct PixelRun {
    const float* values;
    int64_t step;
    uint8_t* sources;
    int64_t source_step;
    int64_t count;
};

struct Epilogue;
struct Extremes;
struct Grid;

// How a layer's weights meet its inputs. The layer is done a tile of output pixels and a block of output channels at a
// time, some taps at a time; the sums of a tile lie in memory in whatever order suits the product. Products name the fields
// that they fill in, as in C++20: GCC and Clang, which alone compile kernels, take that in C++17, too.
struct Product {
    const char* name;

    // Output channels of a block.
    size_t block;

    // What the sums of a tile of `pixels` pixels and `outputs` channels take: at most tile_bytes, all zero at first.
    size_t (*sum_bytes)(size_t outputs, size_t pixels);

    // The weights of one tap of a block of `outputs` channels: bytes, and their making. Numbers come as float32
    // [outputs][inputs], but integers from -127 to 127 if inputs become integers; signs, if it `takes_signs`, as rows of
    // ceil(inputs / 8) bytes, bit i of a row being that of input i, set where it is +1. They are read from memory on cache
    // lines where the size is a multiple of them.
    size_t (*weight_bytes)(size_t inputs, size_t outputs);
    void (*arrange)(const void* weights, size_t inputs, size_t outputs, void* arranged) = nullptr;

    // What a pixel's inputs are made into before they are used, once for all taps and blocks: bytes, a multiple of a
    // cache line, and the making. nullptr, nullptr: they are used as they are.
    size_t (*source_bytes)(size_t inputs) = nullptr;
    void (*prepare)(const PixelRun& run, size_t inputs, const Quantization& quantization) = nullptr;

    // sums[pixels[i]][o] += weights[o] . (sources[i] + shift) of each tap, for `count` pixels of the tile in ascending
    // order.
    void (*accumulate)(const TapWeights* taps, size_t tap_count, size_t inputs, size_t outputs,
                       const void* const* sources, const uint8_t* pixels, size_t count, void* sums) = nullptr;

    // The sums of `count` pixels, times `scale`: each pixel's in the order of the channels, `block` numbers from one
    // pixel's to the next. They are written to `rows`, or where they lie as they should, found in place. With `planes`
    // of signs, planes * outputs channels were added up, [planes][outputs], and plane p counts 2^p times.
    const float* (*collect)(const void* sums, size_t outputs, size_t planes, size_t pixel, size_t count, float scale,
                            float* rows);

    // What prepare() makes integers.
    Rounded rounded = Rounded::nothing;

    // Whether weights are signs, rather than numbers.
    bool takes_signs = false;

    // Taps are given several at a time as long as their weights have no more bytes than this, and otherwise one at a time.
    size_t together = 0;

    // Where taps share tables, there is no accumulate(): tiles of several widths; and if sums are integers of 16 bits, how
    // `count` of them are added to totals of 32 bits and become 0.
    const SharedTables* shared = nullptr;
    size_t shared_count = 0;
    void (*widen)(void* sums, size_t count, void* totals) = nullptr;

    // The same as accumulate() for sums that are not zero yet, if there is a faster way than to clear them.
    void (*start)(const TapWeights* taps, size_t tap_count, size_t inputs, size_t outputs, const void* const* sources,
                  const uint8_t* pixels, size_t count, void* sums) = nullptr;

    // collect() of one plane and Kernels::finish() in one, if that is faster.
    void (*finish)(const void* sums, size_t outputs, size_t pixel, float scale, const Epilogue& epilogue, float* out,
                   const Grid& grid, Extremes* extremes) = nullptr;
};

// What decides which product is the best for a layer. Inputs and outputs are those of one group.
struct LayerSize {
    size_t planes;  // of signs, 0 where weights are numbers
    size_t inputs, outputs, taps;
    size_t positions = 0;  // of an image, in a phase; 0 where they may be any number
};

// A row of inputs as DotProducts read them, and of each output channel as many weights.
struct DotRow {
    const void* source;
    const void* weights;
    size_t numbers;
};

// Where the sums of some pixels go: each pixel's channels side by side.
struct DotSums {
    float* first;
    size_t step;  // from one pixel's to the next's
};

// Output channels of dot products at a time.
constexpr size_t most_dot_outputs = 3;

// Dot products of long rows, for few output channels: of float32, or of integers of 16 bits whose sums fit 32.
struct DotProducts {
    // Makes `count` numbers of inputs or weights what run() reads, `number_bytes` each; weights that become integers are
    // integers already.
    size_t number_bytes;
    void (*prepare)(const float* values, size_t count, const Quantization& quantization, void* source);
    void (*arrange)(const float* values, size_t count, void* weights);

    // Each of `outputs` sums, at most most_dot_outputs, of each of `pixels` pixels is that of the products of all rows, times
    // the quantization's scale. The sources of a pixel are `source_step` numbers after those of the one before it, the weights of an output channel
    // `weight_step` after those of the one before it.
    void (*run)(const DotRow* rows, size_t count, size_t pixels, size_t source_step, size_t outputs, size_t weight_step,
                const Quantization& quantization, const DotSums& sums);

    // Whether prepare() makes the inputs integers; if not, they are used as they are.
    bool quantized;
};

enum class Activation : uint8_t { none, relu, leaky_relu, tanh, sigmoid };

struct Epilogue {
    const float* scale = nullptr;  // nullptr stands for ones
    const float* shift = nullptr;  // nullptr stands for zeros
    Activation activation = Activation::none;
    float slope = 0;                // of leaky ReLU
    const float* slopes = nullptr;  // nullptr stands for the same of each channel

    // That of the channels from this one on.
    Epilogue from(size_t channel) const {
        const auto later = [=](const float* values) { return values ? values + channel : nullptr; };
        return {later(scale), later(shift), activation, slope, later(slopes)};
    }
};

// The lowest and the highest of some values and 0, and the largest that the magnitudes of four neighbours come to: of the
// first, the second and so on of a row of values, the last perhaps fewer. NaN counts as nothing.
struct Extremes {
    float low = 0, high = 0, four = 0;
};

// Where pixels lie: in rows, so many numbers from one pixel to the next of a row and from one row to the next.
struct Grid {
    size_t rows, columns;
    size_t step, row_step;
    bool streams = false;  // whether it is written past the caches, which will not hold it
};

// What makes many numbers one. `max` and `min` hand on a NaN.
enum class Fold : uint8_t { sum, max, min };

struct Kernels {
    const char* name;
    bool (*supported)();

    // Never nullptr. choose_integer is for int8 activations, whose sums fit 32 bits; of planes of signs it may choose a
    // product that is not quantized.
    const Product* (*choose)(const LayerSize& size);
    const Product* (*choose_integer)(const LayerSize& size);

    // Of tables that taps share; nullptr where there are none, or others are as fast.
    const Product* (*choose_shared)(const LayerSize& size, bool integers);

    // For layers in which each channel is a group of its own. They are taken for layers of one input, with all channels
    // as outputs; the sources are a pixel's inputs from the block's first channel on.
    const Product* (*channelwise)();

    // For float32 or for int8 activations.
    const DotProducts& (*dots)(bool integers);

    // out[c] = activation(scale[c] * in[c] + shift[c]) for some pixels: of `in` one after another, `in_step` numbers apart.
    // Where `extremes` is not nullptr, they become those of the results as well, a pixel's channels being a row.
    void (*finish)(const float* in, size_t in_step, size_t channels, const Epilogue& epilogue, float* out,
                   const Grid& grid, Extremes* extremes);

    // planes[c * step + p] = pixels[p * channels + c] for `count` pixels.
    void (*to_planes)(const float* pixels, size_t count, size_t channels, float* planes, size_t step);

    Extremes (*extremes)(const float* values, size_t count);

    // result[i] is what a chain makes of its operands' i; it may be an operand. Where `extremes` is not nullptr, they become
    // those of the results as well.
    void (*calculate)(const Chain& chain, size_t count, float* result, Extremes* extremes);

    // Of `count` numbers, not 0; and of `rows` rows, `step` numbers apart, what comes of totals[c] and column c.
    float (*fold)(Fold kind, const float* values, size_t count);
    void (*fold_rows)(Fold kind, const float* values, size_t rows, ptrdiff_t step, size_t columns, float* totals);

    // Adds up how far the numbers of each column lie from its origin, and the squares of that. The less exactly, the further
    // they lie from what `near` has, which becomes their mean.
    void (*moments)(const float* values, size_t rows, ptrdiff_t step, size_t columns, float* near, const float* origin,
                    double* sums, double* squares);

    // result[c] = sum over t of weights[t] rows[t][c], for `count` rows.
    void (*mix)(const float* const* rows, const float* weights, size_t count, size_t columns, float* result);

    const OuterProducts* outer;
};

// The best kernels for this processor and operating system, or those that PBGEN_ARCH names. Throws Error.
const Kernels& choose_kernels();

}  // namespace pbgen
