#include "layer.h"

#include <algorithm>

#include "aligned.h"

namespace pbgen {
namespace {

// With fewer output channels, neither a product's lanes nor the epilogue's are filled.
constexpr size_t few_channels = 16;

// Parts of an image whose ranges are found one by one.
constexpr size_t range_parts = 8;

// What is known of an image of the input before it is made into integers.
struct alignas(cache_line) ImageRange {
    float low[range_parts], high[range_parts];
};

Phases phases(const Node& node, const Geometry& geometry, int64_t outputs) {
    return Phases(geometry, node.op == Op::conv_transpose, outputs);
}

// A convolution of stride 1 is a transposed one whose taps are in the opposite order.
Geometry turned_round(Geometry geometry) {
    geometry.padding = (geometry.kernel - 1) * geometry.dilation - geometry.padding;
    return geometry;
}

// Whether the taps of one input pixel are the output's pixels.
bool fills(const Geometry& geometry, int64_t size) {
    return size == geometry.kernel && geometry.padding == 0 && geometry.dilation == 1;
}

Phases one_tap(int64_t pixels) { return Phases({}, false, pixels); }

Shape with_channels(Shape shape, size_t channels) {
    shape.channels = static_cast<int64_t>(channels);
    return shape;
}

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

size_t on_cache_lines(size_t bytes) { return (bytes + cache_line - 1) / cache_line * cache_line; }

// Each of `channels` values again for each of some pixels.
std::vector<float> repeat(const float* values, int64_t channels, int64_t pixels) {
    std::vector<float> row;
    for (int64_t x = 0; values && x < pixels; ++x) row.insert(row.end(), values, values + channels);
    return row;
}

// A row of few channels is finished so many pixels at a time: enough to fill vectors, and little to keep.
int64_t piece_pixels(const Shape& shape) {
    constexpr int64_t numbers = 4096;
    return std::clamp<int64_t>(numbers / shape.channels, 1, shape.width);
}

Quantization quantization(const ImageRange& range) {
    const float low = *std::min_element(range.low, range.low + range_parts);
    const float high = *std::max_element(range.high, range.high + range_parts);
    const float levels = low < 0 ? 127.0f : 255.0f, largest = std::max(-low, high);
    if (!(largest > 0)) return {};
    return {largest / levels, levels / largest, low < 0};
}

// Folding wants lanes that the channels alone do not fill, no more memory for the products than some times the input's,
// and no product that is left out of the output but at the border. A single pixel's products are the output, nearly.
bool to_be_folded(const Node& node, const Shape& input, const LayerSize& size) {
    constexpr size_t most_products = 4;
    if (node.groups != 1 || size.taps == 1) return false;
    const bool few = size.outputs < few_channels && size.taps * size.outputs <= most_products * size.inputs;
    if (node.op == Op::conv_transpose) return few || input.pixels() == 1;
    return few && node.op == Op::conv && node.y.stride == 1 && node.x.stride == 1;
}

// Whether sums of 8-bit inputs fit 32 bits, and save more time than it takes to round a pixel's inputs.
bool may_be_rounded(const LayerSize& size) {
    const size_t terms = size.inputs * size.taps;
    if (size.one_bit) return terms <= 8'000'000;
    return terms <= 66'000 && std::min(size.inputs, size.outputs) >= few_channels;
}

// For what is known of an image.
constexpr size_t image_bytes = sizeof(ImageRange) + cache_line;

}  // namespace

size_t ScratchSize::bytes(size_t threads) const {
    return image_bytes + std::max(whole, threads * part);
}

Method choose_method(const Node& node, const Shape& input, const LayerSize& size, const Kernels& kernels,
                     bool integers) {
    if (node.groups > 1 && size.inputs == 1 && size.outputs == 1)
        return {kernels.channelwise(size.one_bit), false, true};
    const bool folded = to_be_folded(node, input, size);
    const LayerSize run = folded ? LayerSize{size.one_bit, size.inputs, size.outputs * size.taps, 1} : size;
    return {integers && may_be_rounded(run) ? kernels.choose_integer(run) : kernels.choose(run), folded, false};
}

CanonicalWeights weights_for(const Method& method, const Node& node, const CanonicalWeights& canonical) {
    if (method.channelwise) return canonical.channels_as_outputs();
    return method.folded ? canonical.taps_as_outputs(node.op == Op::conv) : canonical;
}

Layer::Layer(const Node& node, const Shape& input, const Method& method, std::shared_ptr<const Weights> weights,
             const Epilogue& epilogue, const Kernels& kernels)
    : name_(node.name),
      kernel_(std::string(method.product->name) + (method.folded ? ", folded" : "") + " (" + kernels.name + ")"),
      input_(input),
      output_(node.shape),
      folded_(method.folded),
      fold_{node.op == Op::conv ? turned_round(node.y) : node.y, node.op == Op::conv ? turned_round(node.x) : node.x,
            input, node.shape},
      in_place_(folded_ && input.pixels() == 1 && fills(fold_.y, output_.height) && fills(fold_.x, output_.width)),
      by_rows_(folded_ || (output_.channels < int64_t{few_channels} && node.shape.width > 1)),
      piece_(piece_pixels(output_)),
      piece_epilogue_(epilogue),
      kernels_(kernels),
      convolution_(folded_ ? one_tap(input.height) : phases(node, node.y, node.shape.height),
                   folded_ ? one_tap(input.width) : phases(node, node.x, node.shape.width), input,
                   folded_ ? with_channels(input, weights->outputs) : output_, weights,
                   by_rows_ ? Epilogue{} : epilogue, kernels) {
    const uint64_t pairs = phases(node, node.y, node.shape.height).inside(input.height) *
                           phases(node, node.x, node.shape.width).inside(input.width);
    operations_ = pairs * static_cast<uint64_t>(output_.channels * input.channels / node.groups);
    if (!by_rows_) return;
    piece_scale_ = repeat(epilogue.scale, output_.channels, piece_);
    piece_shift_ = repeat(epilogue.shift, output_.channels, piece_);
    if (epilogue.scale) piece_epilogue_.scale = piece_scale_.data();
    if (epilogue.shift) piece_epilogue_.shift = piece_shift_.data();
}

// Where things lie in the scratch memory.
struct Layer::Scratch {
    ImageRange* ranges;
    Quantization* quantizations;
    uint8_t* bands;  // what the product reads, and then what is folded

    Scratch(uint8_t* memory, size_t images)
        : ranges(reinterpret_cast<ImageRange*>(memory)),
          quantizations(reinterpret_cast<Quantization*>(ranges + images)),
          bands(memory + images * image_bytes) {}
};

// Bytes of scratch memory for an input pixel.
size_t Layer::pixel_bytes() const {
    return convolution_.source_bytes() + (adds_up() ? convolution_.weights().outputs * sizeof(float) : 0);
}

// The same for a band of an image.
size_t Layer::band_bytes(int64_t positions) const {
    return on_cache_lines(static_cast<size_t>(convolution_.input_rows(positions) * input_.width) * pixel_bytes());
}

// Rows of output positions that are computed before the next: their scratch memory should fit into a part of the second
// cache. Bands are about equal, and whole tiles high. They decide the order in which products are added up, and so are the
// same for any instruction set, number of threads and of images.
int64_t Layer::band_positions() const {
    constexpr int64_t cache = int64_t{384} << 10;
    const int64_t all = convolution_.positions(), tile = convolution_.tile_rows();
    if (pixel_bytes() == 0) return all;
    const int64_t input_bytes = convolution_.weights().one_bit ? 12 : 2;  // about what the largest sources take
    const int64_t products = adds_up() ? static_cast<int64_t>(convolution_.weights().outputs * sizeof(float)) : 0;
    const int64_t row = input_.width * (input_.channels * input_bytes + products);
    const int64_t most = std::max<int64_t>(1, cache / row / tile), tiles = divide_up(all, tile);
    return std::min(all, divide_up(tiles, divide_up(tiles, most)) * tile);
}

// A part should be at least a tile high: else weights would serve few pixels.
bool Layer::in_parts(size_t threads) const {
    return threads > 1 && rows() >= convolution_.tile_rows() * static_cast<int64_t>(threads);
}

ScratchSize Layer::scratch(size_t threads) const {
    // A processor reads ahead, and should not meet what another is writing.
    constexpr size_t apart = size_t{64} << 10;
    const size_t band = band_bytes(band_positions());
    return {band, in_parts(threads) ? band + apart : 0};
}

void Layer::run(const float* input, size_t images, uint8_t* memory, const ScratchSize& size, float* output,
                Threads& threads) const {
    const Scratch scratch(memory, images);
    find_quantizations(input, images, scratch, threads);
    if (!folded_) convolution_.begin(images, output, threads);
    if (images == 1 && in_parts(threads.count()))
        run_parts(input, scratch, size.part, output, threads);
    else
        run_part({0, rows()}, input, images, scratch, output, threads);
    if (by_rows_ && (in_place_ || !folded_)) finish_rows(images, output, threads);
}

// Each thread works through the bands of a part of the image: so it reads what it has written, in this layer and mostly
// in the one before.
void Layer::run_parts(const float* input, const Scratch& scratch, size_t part_bytes, float* output,
                      Threads& threads) const {
    const auto parts = static_cast<int64_t>(threads.count());
    const int64_t all = rows(), tile = convolution_.tile_rows();
    const int64_t part_rows = divide_up(divide_up(all, parts), tile) * tile;
    Threads alone(1);
    threads.parallel_for(threads.count(), [&](size_t i) {
        const int64_t begin = std::min(all, static_cast<int64_t>(i) * part_rows);
        const Range part = {begin, std::min(all, begin + part_rows)};
        Scratch own = scratch;
        own.bands += i * part_bytes;
        if (part.size()) run_part(part, input, 1, own, output, alone);
    });
}

void Layer::run_part(const Range& rows, const float* input, size_t images, const Scratch& scratch,
                     float* output, Threads& threads) const {
    const Fold::Part part = adds_up() ? fold_.part(rows) : Fold::Part{rows, rows};
    const int64_t step = band_positions();
    int64_t begin = part.inputs.begin;
    do {
        const Range band = {begin, std::min(part.inputs.end, (begin / step + 1) * step)};
        run_band(part, band, input, images, scratch, output, threads);
        begin = band.end;
    } while (begin < part.inputs.end);
}

void Layer::run_band(const Fold::Part& part, const Range& band, const float* input, size_t images,
                     const Scratch& scratch, float* output, Threads& threads) const {
    Rows<const void*> sources = {input, {0, input_.height}};
    const size_t source_bytes = convolution_.source_bytes();
    if (source_bytes && band.size() > 0) {
        const Range rows = convolution_.input_rows(band);
        convolution_.prepare(input, images, scratch.quantizations, {scratch.bands, rows}, threads);
        sources = {scratch.bands, rows};
    }
    if (!folded_) {
        const Rows<float*> all = {output, {0, output_.height}};
        return convolution_.run(sources, images, band, scratch.quantizations, all, threads);
    }
    const auto pixels = images * static_cast<size_t>(band.size() * input_.width);
    float* products = in_place_ ? output : reinterpret_cast<float*>(scratch.bands + pixels * source_bytes);
    if (band.size() > 0) convolution_.run(sources, images, band, scratch.quantizations, {products, band}, threads);
    if (in_place_) return;
    fold_.add(products, part, band, images, output, kernels_, threads, [this](float* row) { finish_row(row); });
}

void Layer::find_quantizations(const float* input, size_t images, const Scratch& scratch, Threads& threads) const {
    std::fill_n(scratch.quantizations, images, Quantization{});
    if (!convolution_.weights().product.quantized) return;
    const size_t size = static_cast<size_t>(input_.size());
    threads.parallel_for(images * range_parts, [&](size_t i) {
        const size_t image = i / range_parts, part = i % range_parts;
        const size_t begin = part * size / range_parts, end = (part + 1) * size / range_parts;
        ImageRange& range = scratch.ranges[image];
        kernels_.range(input + image * size + begin, end - begin, &range.low[part], &range.high[part]);
    });
    std::transform(scratch.ranges, scratch.ranges + images, scratch.quantizations, quantization);
}

void Layer::finish_rows(size_t images, float* output, Threads& threads) const {
    const auto row = static_cast<size_t>(output_.width * output_.channels);
    threads.parallel_for(images * static_cast<size_t>(output_.height), [&](size_t i) { finish_row(output + i * row); });
}

void Layer::finish_row(float* row) const {
    const auto size = static_cast<size_t>(output_.width * output_.channels);
    const auto piece = static_cast<size_t>(piece_ * output_.channels);
    for (size_t at = 0; at < size; at += piece)
        kernels_.finish(row + at, 0, 1, std::min(piece, size - at), piece_epilogue_, row + at, 0);
}

}  // namespace pbgen
