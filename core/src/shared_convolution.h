// Convolution whose taps share tables of their inputs' signed sums (arch/vector/shared_tables.h).
//
// A tile is some neighbouring output positions in all phases. For a few inputs at a time its tables are made once, and each
// tap of each phase looks its sums up there; what lies outside the image is zeros in the tables. So a transposed
// convolution, each of whose inputs serves several phases, makes no table twice.
#pragma once

#include "convolution.h"

namespace pbgen {

class SharedConvolution final : public Convolution {
public:
    // Whether there are tiles of the product's for a layer of this shape, or of it and other sizes.
    static bool suit(const LayerShape& shape, const LayerSize& size, Manner manner, const Product& product);
    // The order of its taps: phase after phase.
    static std::vector<size_t> order(const Phases& rows, const Phases& columns);

    SharedConvolution(const Phases& rows, const Phases& columns, const Image& input, const Image& output,
                      std::shared_ptr<const Weights> weights, const Epilogue& epilogue, const Kernels& kernels);

    int64_t tile_rows() const override { return static_cast<int64_t>(tile_pixels / tables_.columns); }
    size_t worker_bytes() const override;

    void run(const Rows<const uint8_t>& sources, size_t images, const Range& band, const Share& share,
             const Quantization* quantizations, const Output& output, uint8_t* tiles, Threads& threads) const override;

private:
    struct Outputs;
    struct Tile;

    size_t phases() const { return static_cast<size_t>(rows_.count() * columns_.count()); }
    int64_t row_of(size_t phase) const { return static_cast<int64_t>(phase) / columns_.count(); }
    int64_t column_of(size_t phase) const { return static_cast<int64_t>(phase) % columns_.count(); }
    size_t sum_count(size_t channels) const;
    size_t first_sum(const Outputs& outputs, size_t phase, size_t plane) const;
    size_t table_bytes() const;
    void run_tile(Tile& tile, const Rows<const uint8_t>& sources, const Output& output) const;
    void find_taps(Tile& tile) const;
    void find_sources(Tile& tile, const Rows<const uint8_t>& sources) const;
    void find_runs(Tile& tile) const;
    void fill(const Tile& tile, size_t first) const;
    void add_inputs(const Tile& tile, const Outputs& outputs, size_t first) const;
    void finish(const Tile& tile, const Output& output) const;
    void finish_phase(const Tile& tile, const Outputs& outputs, size_t phase, const Output& output, Extremes& extremes) const;

    const SharedTables& tables_;
    const size_t table_rows_, table_copies_;  // [copies][rows][pitch] pixels of an entry
    const size_t copy_pixels_, table_pixels_, entry_bytes_;
    const size_t side_by_side_;  // phases whose sums fill a tile's
    const size_t most_blocks_;   // that share a tile's tables
};

}  // namespace pbgen
