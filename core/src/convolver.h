// What makes a layer's output: convolution or transposed convolution in one of three ways.
//
// It is run band by band: some rows of output positions of every phase at a time (phases.h).
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "aligned.h"
#include "arch/kernels.h"
#include "extremes.h"
#include "phases.h"
#include "threads.h"

namespace pbgen {

// What decides about a layer's product beside its shape.
struct Manner {
    bool integers = false;  // whether it rounds what it reads to integers of 8 bits, where that is faster
    bool resizes = false;   // whether it is run with images of other sizes, too
    bool sound = false;     // whether an image is a single row at every size
};

// Some rows of each of a number of images, with the channels innermost.
template <class Number>
struct Rows {
    Number* data;
    Range rows;  // which rows of the image
    Layout layout;

    Number* at(int64_t image, int64_t y, int64_t x) const { return data + layout.at(image, y - rows.begin, x); }
};

// Of the items of some work, every `count`th from `index` on.
struct Share {
    size_t index = 0, count = 1;

    size_t of(size_t items) const { return items > index ? (items - index - 1) / count + 1 : 0; }
    size_t item(size_t i) const { return index + i * count; }
};

// Where images go: with the channels innermost, and if not nullptr with the channels first, and each one's extremes.
struct Output {
    float* pixels;
    Layout layout;
    float* planes = nullptr;
    SharedExtremes* extremes = nullptr;
    bool streams = false;  // whether they are written past the caches
};

// An epilogue of `channels` channels whose values stand again for each of some pixels.
class RepeatedEpilogue {
public:
    RepeatedEpilogue() = default;
    RepeatedEpilogue(const Epilogue& once, size_t channels, size_t pixels)
        : epilogue_(once), values_(3 * channels * pixels) {
        float* to = values_.data();
        for (const float** values : {&epilogue_.scale, &epilogue_.shift, &epilogue_.slopes}) {
            if (!*values) continue;
            const float* from = std::exchange(*values, to);
            for (size_t pixel = 0; pixel < pixels; ++pixel) to = std::copy_n(from, channels, to);
        }
    }

    const Epilogue& get() const { return epilogue_; }

private:
    Epilogue epilogue_;      // of the values below
    Aligned<float> values_;  // which stay where they are when this moves
};

class Convolver {
public:
    virtual ~Convolver() = default;

    // For people.
    virtual std::string name() const = 0;
    virtual size_t weight_bytes() const = 0;
    // Whether they are its own, rather than shared with others of the same weights.
    virtual bool keeps_weights() const = 0;

    // What it reads integers of.
    virtual Rounded rounded() const = 0;
    // Bytes that a pixel's inputs take in what prepare() makes of them, and about the most that they take on any
    // processor; 0 if run() reads the inputs themselves.
    virtual size_t source_bytes() const = 0;
    virtual size_t usual_source_bytes() const = 0;

    // Rows of output positions.
    virtual int64_t positions() const = 0;
    // Bands begin at multiples of this.
    virtual int64_t tile_rows() const = 0;
    // Bytes of scratch memory that each thread of run() has for its tiles.
    virtual size_t worker_bytes() const = 0;
    // The input rows that a band reads, and the most that a band of `positions` rows can.
    virtual Range input_rows(const Range& band) const = 0;
    virtual int64_t input_rows(int64_t positions) const = 0;

    // Whether images that it reads and writes may lie in any layout; else they are packed.
    virtual bool takes_any_layout() const = 0;

    // What it makes beside the pixels, if asked to.
    virtual bool makes_planes() const = 0;
    virtual bool finds_extremes() const = 0;

    // Makes these rows of the inputs of `images` images into what run() reads. Image i has quantizations[i].
    virtual void prepare(const Rows<const float>& input, size_t images, const Quantization* quantizations,
                         const Rows<uint8_t>& sources, Threads& threads) const = 0;

    // Before the first band.
    virtual void begin(size_t images, const Output& output, Threads& threads) const = 0;

    // `sources`: what prepare() made, or the input. `tiles`: threads.count() times worker_bytes(), on a cache line.
    virtual void run(const Rows<const uint8_t>& sources, size_t images, const Range& band, const Share& share,
                     const Quantization* quantizations, const Output& output, uint8_t* tiles, Threads& threads) const = 0;
};

}  // namespace pbgen
