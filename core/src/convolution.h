// Convolution and transposed convolution, phase by phase (phases.h), in tiles of output pixels and blocks of output channels.
//
// A tile is a few output pixels of one phase, as square as may be, for neighbours read the same inputs. Its sums stay in the
// first cache while its taps are added: where all of them lie inside the image, many taps in one call of the product;
// at the border tap by tap, and only for pixels whose input is inside. Then the epilogue makes outputs of the sums.
// Tiles and blocks are what threads share out. Rows, columns and the order of a sum hang on the layer alone.
#pragma once

#include <memory>
#include <vector>

#include "convolver.h"
#include "image.h"
#include "weights.h"

namespace pbgen {

// Some output positions of a phase.
struct Area {
    Range rows, columns;

    bool empty() const { return rows.size() <= 0 || columns.size() <= 0; }
    bool operator==(const Area& other) const { return rows == other.rows && columns == other.columns; }
};

class Convolution : public Convolver {
public:
    Convolution(const Phases& rows, const Phases& columns, const Image& input, const Image& output,
                std::shared_ptr<const Weights> weights, const Epilogue& epilogue, const Kernels& kernels);

    std::string name() const override { return weights_->product.name; }
    size_t weight_bytes() const override { return weights_->bytes(); }
    bool keeps_weights() const override { return false; }

    Rounded rounded() const override { return weights_->product.rounded; }
    size_t source_bytes() const override;
    size_t usual_source_bytes() const override;

    int64_t positions() const override { return rows_.longest(); }
    int64_t tile_rows() const override;
    size_t worker_bytes() const override { return 0; }
    Range input_rows(const Range& band) const override { return rows_.reach(band, input_.height); }
    int64_t input_rows(int64_t positions) const override { return rows_.reach(positions, input_.height); }

    bool takes_any_layout() const override { return true; }
    bool makes_planes() const override { return false; }
    bool finds_extremes() const override { return true; }

    void prepare(const Rows<const float>& input, size_t images, const Quantization* quantizations, const Rows<uint8_t>& sources,
                 Threads& threads) const override;

    // Where some output pixels have no taps: all become what the epilogue makes of 0, before run() overwrites the rest.
    void begin(size_t images, const Output& output, Threads& threads) const override;

    void run(const Rows<const uint8_t>& sources, size_t images, const Range& band, const Share& share,
             const Quantization* quantizations, const Output& output, uint8_t* tiles, Threads& threads) const override;

protected:
    size_t tap_index(const Tap& row, const Tap& column) const;

    Phases rows_, columns_;
    Image input_, output_;
    std::shared_ptr<const Weights> weights_;
    Epilogue epilogue_;
    std::vector<float> scale_;  // the epilogue's, times the weights'
    const Kernels& kernels_;
    size_t group_bytes_;  // of one pixel and group in the sources

private:
    struct Tile;
    struct TapShift;
    struct Meetings;

    size_t blocks_together(size_t pixels, size_t others, size_t threads) const;
    void run_tile(Tile& tile, const Rows<const uint8_t>& sources, const Output& output) const;
    void add_taps(Tile& tile, const Area& inner, const Rows<const uint8_t>& sources) const;
    void add_inner_taps(Tile& tile, const Area& inner, const Rows<const uint8_t>& sources) const;
    Area inner_area(const Tile& tile) const;
    Meetings meetings(const Tile& tile, const Area& area, const Area& without, const Tap& row, const Tap& column,
                      const Rows<const uint8_t>& sources) const;
    void accumulate(Tile& tile, const TapShift* taps, size_t count, const Meetings& meetings) const;
    void finish_block(const Tile& tile, size_t block, const Output& output) const;

    bool at_once_;        // whether a tile prepares its inputs itself, as nothing else reads them
    size_t block_bytes_;  // from one block's inputs to the next's; 0 where all blocks read the same
    size_t taps_together_;
};

}  // namespace pbgen
