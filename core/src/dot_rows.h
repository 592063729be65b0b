// Layers of few output channels, as dot products along rows.
//
// With the channels innermost, neighbouring input pixels are one row of numbers in memory. An output pixel meets such a row
// in each input row that the kernel reaches: a row of the kernel, all input channels of all its taps, or in a transposed
// convolution of those taps that belong to the pixel's phase (phases.h). So lanes are filled by inputs, where output
// channels are too few. In groups, or where taps do not meet neighbours, a row is that of one tap.
#pragma once

#include <vector>

#include "convolver.h"
#include "image.h"
#include "weights.h"

namespace pbgen {

class DotRows : public Convolver {
public:
    // Whether a layer is one for this. `size` is its own.
    static bool suit(const LayerShape& shape, const LayerSize& size);

    DotRows(const LayerShape& shape, const CanonicalWeights& weights, const DotProducts& products,
            const Epilogue& epilogue, const Kernels& kernels);

    std::string name() const override;
    size_t weight_bytes() const override { return weights_.bytes(); }
    bool keeps_weights() const override { return true; }

    Rounded rounded() const override { return products_.quantized ? Rounded::inputs : Rounded::nothing; }
    size_t source_bytes() const override;
    size_t usual_source_bytes() const override { return source_bytes(); }

    int64_t positions() const override { return rows_.longest(); }
    int64_t tile_rows() const override { return 1; }
    size_t worker_bytes() const override { return 0; }
    Range input_rows(const Range& band) const override { return rows_.reach(band, input_.height); }
    int64_t input_rows(int64_t positions) const override { return rows_.reach(positions, input_.height); }

    bool takes_any_layout() const override { return false; }
    bool makes_planes() const override { return true; }
    bool finds_extremes() const override { return false; }

    void prepare(const Rows<const float>& input, size_t images, const Quantization* quantizations, const Rows<uint8_t>& sources,
                 Threads& threads) const override;
    void begin(size_t, const Output&, Threads&) const override {}
    void run(const Rows<const uint8_t>& sources, size_t images, const Range& band, const Share& share,
             const Quantization* quantizations, const Output& output, uint8_t* tiles, Threads& threads) const override;

private:
    // Positions of a phase that meet the same taps.
    struct Stretch {
        Range positions;
        size_t first_tap, last_tap;  // the last one not among them
    };

    // The output pixels first, first + output_step and so on of a row, and their taps by rising input pixel.
    struct ColumnPhase {
        int64_t first;
        size_t begin;  // taps of the phases before
        std::vector<Tap> taps;
        std::vector<Stretch> stretches;
    };

    ColumnPhase column_phase(int64_t first, size_t begin) const;
    void arrange(const CanonicalWeights& weights);
    const uint8_t* weights(size_t group, int64_t kernel_row, const ColumnPhase& phase, size_t tap) const;

    void run_row(const Rows<const uint8_t>& sources, int64_t image, int64_t y, const Quantization& quantization,
                 float* values) const;
    void run_stretch(const Rows<const uint8_t>& sources, int64_t image, int64_t y, const Quantization& quantization,
                     const ColumnPhase& phase, const Stretch& stretch, size_t group, float* values) const;
    void finish_row(int64_t image, int64_t y, const Output& output) const;

    Phases rows_, columns_;
    Geometry y_, x_;
    bool transposed_;
    Image input_, output_;
    size_t groups_, inputs_, outputs_;  // inputs and outputs: channels of one group
    size_t planes_;  // of signs, 0 where weights are numbers
    const DotProducts& products_;
    const Kernels& kernels_;
    std::vector<ColumnPhase> phases_;
    Aligned<uint8_t> weights_;  // [groups][kernel rows][phases][outputs][taps of the phase][inputs]
    int64_t piece_;             // pixels of a row that are finished at a time
    std::vector<float> scale_;   // the epilogue's, times those of rounded weights
    RepeatedEpilogue epilogue_;  // for the pixels of a piece
};

}  // namespace pbgen
