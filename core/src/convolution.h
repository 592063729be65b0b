// Convolution and transposed convolution, phase by phase, in tiles of output pixels and blocks of output channels.
#pragma once

#include <memory>
#include <vector>

#include "arch/kernels.h"
#include "graph.h"
#include "phases.h"
#include "threads.h"
#include "weights.h"

namespace pbgen {

// Some rows of each of a number of images, with the channels innermost.
template <class Pointer>
struct Rows {
    Pointer data;
    Range rows;  // which rows of the image

    // Which pixel of `data` is this one of an image.
    int64_t pixel(int64_t image, int64_t y, int64_t x, int64_t width) const {
        return (image * rows.size() + y - rows.begin) * width + x;
    }
};

// Some output positions of a phase.
struct Area {
    Range rows, columns;

    bool empty() const { return rows.size() <= 0 || columns.size() <= 0; }
    bool operator==(const Area& other) const { return rows == other.rows && columns == other.columns; }
};

// It is run band by band: some rows of output positions of every phase at a time.
class Convolution {
public:
    Convolution(const Phases& rows, const Phases& columns, const Shape& input, const Shape& output,
                std::shared_ptr<const Weights> weights, const Epilogue& epilogue, const Kernels& kernels);

    // Bytes that a pixel's inputs take in what prepare() makes of them; 0 if run() reads the inputs themselves.
    size_t source_bytes() const;

    // Rows of output positions.
    int64_t positions() const { return rows_.longest(); }

    // Bands begin at multiples of this.
    int64_t tile_rows() const;

    // The input rows that a band reads, and the most that a band of `positions` rows can.
    Range input_rows(const Range& band) const { return rows_.reach(band, input_.height); }
    int64_t input_rows(int64_t positions) const { return rows_.reach(positions, input_.height); }

    // Makes these rows of the inputs of `images` images into what the product reads. Image i has quantizations[i].
    void prepare(const float* input, size_t images, const Quantization* quantizations, const Rows<uint8_t*>& sources,
                 Threads& threads) const;

    // Where some output pixels have no taps: all become what the epilogue makes of 0, before run() overwrites the rest.
    void begin(size_t images, float* output, Threads& threads) const;

    // `sources`: what prepare() made, or the input.
    void run(const Rows<const void*>& sources, size_t images, const Range& band, const Quantization* quantizations,
             const Rows<float*>& output, Threads& threads) const;

    const Weights& weights() const { return *weights_; }

private:
    struct Tile;
    struct Meetings;

    void run_tile(Tile& tile, const Rows<const void*>& sources, const Rows<float*>& output) const;
    void add_taps(Tile& tile, const Rows<const void*>& sources) const;
    void add_inner_taps(Tile& tile, const Area& inner, const Rows<const void*>& sources) const;
    Area inner_area(const Tile& tile) const;
    Meetings meetings(const Tile& tile, const Area& area, const Area& without, const Tap& row, const Tap& column,
                      const Rows<const void*>& sources) const;
    TapWeights tap_weights(const Tile& tile, const Tap& row, const Tap& column) const;
    void accumulate(Tile& tile, const TapWeights* taps, size_t count, const Meetings& meetings) const;
    void finish_tile(const Tile& tile, const Rows<float*>& output) const;

    Phases rows_, columns_;
    Shape input_, output_;
    std::shared_ptr<const Weights> weights_;
    Epilogue epilogue_;
    std::vector<float> scale_;  // the epilogue's, times the weights'
    const Kernels& kernels_;
    bool at_once_;        // whether a tile prepares its inputs itself, as nothing else reads them
    size_t group_bytes_;  // of one pixel and group in the sources
    size_t block_bytes_;  // from one block's inputs to the next's; 0 where all blocks read the same
    size_t taps_together_;
};

}  // namespace pbgen
