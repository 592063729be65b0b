#include "layer.h"

#include "aligned.h"
#include "arch/processor.h"
#include "convolution.h"
#include "dot_rows.h"
#include "shared_convolution.h"

namespace pbgen {
namespace {

// Whether the taps of one input pixel are the output's pixels.
bool fills(const Geometry& geometry, int64_t size) {
    return size == geometry.kernel && geometry.padding == 0 && geometry.dilation == 1;
}

Phases one_tap() { return Phases({}, false, 1); }

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

uint64_t on_cache_lines(uint64_t bytes) { return (bytes + cache_line - 1) / cache_line * cache_line; }

// Parts of an image whose extremes are found one by one.
constexpr size_t image_parts = 8;

constexpr size_t four = 4;  // inputs of a table

Quantization of_inputs(const Extremes& extremes) {
    const int32_t low = extremes.low < 0 ? -127 : 0, high = extremes.low < 0 ? 127 : 255;
    const float levels = static_cast<float>(high), largest = std::max(-extremes.low, extremes.high);
    if (!(largest > 0)) return {};
    return {largest / levels, levels / largest, low, high};
}

// The largest sum becomes the largest entry.
Quantization of_sums(const Extremes& extremes) {
    constexpr int32_t high = largest_entry << sum_digits;
    if (!(extremes.four > 0)) return {};
    return {extremes.four / largest_entry, high / extremes.four, -high, high};
}

// Whether sums of 8-bit inputs fit 32 bits, and save more time than it takes to round a pixel's inputs.
bool may_be_rounded(const LayerSize& size) {
    constexpr size_t fewest = 16;
    const size_t terms = size.inputs * size.taps;
    if (size.planes) return terms * ((size_t{1} << size.planes) - 1) <= 8'000'000;
    return terms <= 66'000 && std::min(size.inputs, size.outputs) >= fewest;
}

// The same for a layer of the same products, each tap's output channels being channels of their own.
LayerSize with_taps_as_outputs(const LayerSize& size) { return {size.planes, size.inputs, size.outputs * size.taps, 1}; }

bool spreads(const LayerShape& shape) {
    return shape.transposed && shape.groups == 1 && shape.input.pixels() == 1 && fills(shape.y, shape.output.height) &&
           fills(shape.x, shape.output.width);
}

// Where each channel is a group of its own.
bool is_channelwise(const LayerShape& shape, const LayerSize& size) {
    return shape.groups > 1 && size.inputs == 1 && size.outputs == 1;
}

// A sound is a column rather than a row: bands and threads take rows. Dot products are long along rows. What is turned at one
// size must be so at all, as products are chosen once.
bool is_turned(const LayerShape& shape, const LayerSize& size, Manner manner) {
    if (manner.resizes && !manner.sound) return false;
    const bool is_row = shape.input.height == 1 && shape.output.height == 1 && shape.y.kernel == 1;
    return is_row && !DotRows::suit(shape, size);
}

LayerShape turned(LayerShape shape) {
    std::swap(shape.y, shape.x);
    std::swap(shape.input.height, shape.input.width);
    std::swap(shape.output.height, shape.output.width);
    return shape;
}

Layout turned(Layout layout) {
    std::swap(layout.row, layout.pixel);
    return layout;
}

Layout in_bytes(const Layout& layout) {
    constexpr auto bytes = static_cast<int64_t>(sizeof(float));
    return {layout.image * bytes, layout.row * bytes, layout.pixel * bytes};
}

// For what is known of an image.
constexpr size_t image_bytes = sizeof(SharedExtremes) + cache_line;

}  // namespace

uint64_t ScratchSize::bytes(size_t threads) const {
    return image_bytes + std::max(images, shared + threads * own);
}

Layer::Layer(const std::string& name, const LayerShape& given, const CanonicalWeights& weights, Manner manner,
             const Arrange& arrange, const Epilogue& epilogue, const Kernels& kernels)
    : name_(name),
      turned_(is_turned(given, weights.size(), manner)),
      taps_as_channels_(!manner.resizes && spreads(given)),
      input_(turned_ ? turned(given).input : given.input),
      output_(turned_ ? turned(given).output : given.output),
      inputs_(weights.inputs),
      outputs_(weights.outputs),
      kernels_(kernels) {
    const LayerShape shape = turned_ ? turned(given) : given;
    choose(shape, weights, manner, arrange, epilogue);
    kernel_ = convolver_->name() + (taps_as_channels_ ? ", taps as channels" : "") + " (" + kernels.name + ")";
    const uint64_t pairs = row_phases(shape).inside(input_.height) * column_phases(shape).inside(input_.width);
    operations_ = pairs * static_cast<uint64_t>(output_.channels * input_.channels / shape.groups);
}

void Layer::choose(const LayerShape& shape, const CanonicalWeights& weights, Manner manner, const Arrange& arrange,
                   const Epilogue& epilogue) {
    LayerSize size = weights.size();
    if (!manner.resizes) size.positions = static_cast<size_t>(row_phases(shape).longest() * column_phases(shape).longest());
    const auto product = [&](const LayerSize& run) -> const Product& {
        return *(manner.integers && may_be_rounded(run) ? kernels_.choose_integer(run) : kernels_.choose(run));
    };
    const auto convolution = [&](const CanonicalWeights& all, const Product& chosen) {
        return std::make_unique<Convolution>(row_phases(shape), column_phases(shape), input_, output_,
                                             arrange(all, chosen), epilogue, kernels_);
    };
    if (is_channelwise(shape, size)) {
        convolver_ = convolution(weights.channels_as_outputs(), *kernels_.channelwise());
    } else if (taps_as_channels_) {
        const CanonicalWeights spread = weights.taps_as_outputs();
        repeated_ = RepeatedEpilogue(epilogue, size.outputs, size.taps);
        LayerSize of_one_pixel = spread.size();
        of_one_pixel.positions = 1;
        const Image one_pixel = {static_cast<int64_t>(spread.outputs), 1, 1};
        convolver_ = std::make_unique<Convolution>(one_tap(), one_tap(), input_, one_pixel,
                                                   arrange(spread, product(of_one_pixel)), repeated_.get(), kernels_);
    } else if (DotRows::suit(shape, size)) {
        const DotProducts& products = kernels_.dots(manner.integers && may_be_rounded(with_taps_as_outputs(size)));
        convolver_ = std::make_unique<DotRows>(shape, weights, products, epilogue, kernels_);
    } else if (const Product* shared = shared_product(shape, size, manner)) {
        const Phases rows = row_phases(shape), columns = column_phases(shape);
        const CanonicalWeights ordered = weights.ordered(SharedConvolution::order(rows, columns));
        convolver_ = std::make_unique<SharedConvolution>(rows, columns, input_, output_, arrange(ordered, *shared), epilogue,
                                                         kernels_);
    } else {
        convolver_ = convolution(weights, product(size));
    }
}

const Product* Layer::shared_product(const LayerShape& shape, const LayerSize& size, Manner manner) const {
    const Product* product = size.planes ? kernels_.choose_shared(size, manner.integers && may_be_rounded(size)) : nullptr;
    return product && SharedConvolution::suit(shape, size, manner, *product) ? product : nullptr;
}

// Where things lie in the scratch memory.
struct Layer::Scratch {
    SharedExtremes* extremes;
    Quantization* quantizations;
    uint8_t* bands;  // what the product reads

    Scratch(uint8_t* memory, size_t images)
        : extremes(reinterpret_cast<SharedExtremes*>(memory)),
          quantizations(reinterpret_cast<Quantization*>(extremes + images)),
          bands(memory + images * image_bytes) {}
};

// Bytes of scratch memory for a band of an image.
uint64_t Layer::band_bytes(int64_t positions) const {
    return on_cache_lines(static_cast<uint64_t>(convolver_->input_rows(positions) * input_.width) * convolver_->source_bytes());
}

// Rows of output positions that are computed before the next: their scratch memory should fit into a part of the second
// cache. Bands are about equal, and whole tiles high.
int64_t Layer::band_positions() const {
    constexpr int64_t cache = int64_t{384} << 10;
    const int64_t all = convolver_->positions(), tile = convolver_->tile_rows();
    if (convolver_->source_bytes() == 0) return all;
    const int64_t row = input_.width * static_cast<int64_t>(convolver_->usual_source_bytes());
    const int64_t most = std::max<int64_t>(1, cache / row / tile), tiles = divide_up(all, tile);
    return std::min(all, divide_up(tiles, divide_up(tiles, most)) * tile);
}

// Rows should be at least a tile's: else weights would serve few pixels. Inputs of which all threads need all are made by
// each of them, where they are few: that takes less time than to fetch them from another. A single position follows a pause,
// after which threads come late.
Layer::Division Layer::division(size_t threads) const {
    constexpr size_t few = size_t{256} << 10;
    const int64_t positions = convolver_->positions();
    if (threads > 1 && positions >= convolver_->tile_rows() * static_cast<int64_t>(threads)) return Division::rows;
    const uint64_t bytes = band_bytes(positions);
    return threads > 1 && positions > 1 && bytes > 0 && bytes <= few ? Division::share : Division::turns;
}

ScratchSize Layer::scratch(size_t threads) const {
    constexpr uint64_t least_apart = uint64_t{4} << 10, most_apart = uint64_t{64} << 10;
    const uint64_t band = band_bytes(band_positions());
    // A processor reads ahead, the further the longer it reads on, and should not meet what another is writing.
    const uint64_t apart = on_cache_lines(std::clamp(band / 4, least_apart, most_apart));
    const uint64_t tiles = convolver_->worker_bytes();
    if (division(threads) == Division::turns) return {band + threads * tiles, band + threads * tiles, 0};
    return {band + threads * tiles, 0, band + tiles + apart};
}

void Layer::run(Input input, size_t images, uint8_t* memory, const ScratchSize& size, Output output, Threads& threads) const {
    if (turned_) {
        input.layout = turned(input.layout);
        output.layout = turned(output.layout);
    }
    const int64_t numbers = input_.channels * input_.pixels() + output_.channels * output_.pixels();
    output.streams = outgrows_caches(images * static_cast<uint64_t>(numbers) * sizeof(float));
    const Scratch scratch(memory, images);
    find_quantizations(input, images, scratch, threads);
    convolver_->begin(images, output, threads);
    const Division by = images == 1 ? division(threads.count()) : Division::turns;
    if (by != Division::turns)
        run_each(by, input, scratch, size, output, threads);
    else
        run_rows({0, convolver_->positions()}, {}, input, images, scratch, output, threads);
    if (output.streams) await_streams();
}

// Each thread works for itself. By rows, it reads what it has written, in this layer and mostly in the one before.
void Layer::run_each(Division by, const Input& input, const Scratch& scratch, const ScratchSize& size,
                     const Output& output, Threads& threads) const {
    const auto parts = static_cast<int64_t>(threads.count());
    const int64_t all = convolver_->positions(), tile = convolver_->tile_rows();
    const int64_t rows = divide_up(divide_up(all, parts), tile) * tile;
    Threads alone(1);
    threads.parallel_for(threads.count(), [&](size_t i) {
        const int64_t begin = std::min(all, static_cast<int64_t>(i) * rows);
        Scratch own = scratch;
        own.bands += static_cast<size_t>(size.shared + i * size.own);
        if (by == Division::rows)
            run_rows({begin, std::min(all, begin + rows)}, {}, input, 1, own, output, alone);
        else
            run_rows({0, all}, {i, threads.count()}, input, 1, own, output, alone);
    });
}

void Layer::run_rows(const Range& positions, const Share& share, const Input& input, size_t images,
                     const Scratch& scratch, const Output& output, Threads& threads) const {
    const int64_t step = band_positions();
    for (int64_t begin = positions.begin, end; begin < positions.end; begin = end) {
        end = std::min(positions.end, (begin / step + 1) * step);
        run_band({begin, end}, share, input, images, scratch, output, threads);
    }
}

void Layer::run_band(const Range& band, const Share& share, const Input& input, size_t images, const Scratch& scratch,
                     const Output& output, Threads& threads) const {
    const Range all = {0, input_.height};
    Rows<const uint8_t> sources = {reinterpret_cast<const uint8_t*>(input.pixels), all, in_bytes(input.layout)};
    if (convolver_->source_bytes()) {
        const Range rows = convolver_->input_rows(band);
        const Image read = {input_.channels, rows.size(), input_.width};
        const Rows<uint8_t> made = {scratch.bands, rows, packed(read, static_cast<int64_t>(convolver_->source_bytes()))};
        convolver_->prepare({input.pixels, all, input.layout}, images, scratch.quantizations, made, threads);
        sources = {made.data, made.rows, made.layout};
    }
    uint8_t* tiles = scratch.bands + images * static_cast<size_t>(band_bytes(band_positions()));
    convolver_->run(sources, images, band, share, scratch.quantizations, output, tiles, threads);
}

void Layer::find_quantizations(const Input& input, size_t images, const Scratch& scratch, Threads& threads) const {
    std::fill_n(scratch.quantizations, images, Quantization{});
    const Rounded rounded = convolver_->rounded();
    if (rounded == Rounded::nothing) return;
    const SharedExtremes* known = input.extremes;
    if (!known) {
        for (size_t image = 0; image < images; ++image) new (scratch.extremes + image) SharedExtremes;
        find_extremes(input, images, scratch.extremes, threads);
        known = scratch.extremes;
    }
    const auto quantization = rounded == Rounded::sums ? of_sums : of_inputs;
    for (size_t image = 0; image < images; ++image) scratch.quantizations[image] = quantization(known[image].get());
}

// Fours never reach from one pixel, or group, into the next.
void Layer::find_extremes(const Input& input, size_t images, SharedExtremes* extremes, Threads& threads) const {
    const bool by_groups = convolver_->rounded() == Rounded::sums && inputs_ % four > 0;
    const auto channels = static_cast<size_t>(input_.channels), length = by_groups ? inputs_ : channels;
    const Layout& layout = input.layout;
    const bool rows = input_.width == 1 || layout.pixel == input_.channels;  // whether each lies together
    const bool together = !by_groups && rows && (input_.height == 1 || layout.row == input_.width * input_.channels);
    threads.parallel_for(images * image_parts, [&](size_t i) {
        const auto image = static_cast<int64_t>(i / image_parts), part = static_cast<int64_t>(i % image_parts);
        constexpr auto parts = static_cast<int64_t>(image_parts);
        const int64_t begin = part * input_.pixels() / parts, end = (part + 1) * input_.pixels() / parts;
        const auto at = [&](int64_t pixel) {
            return input.pixels + layout.at(image, pixel / input_.width, pixel % input_.width);
        };
        const auto add = [&](const float* values, size_t count) { extremes[image].add(kernels_.extremes(values, count)); };
        if (together) return add(at(begin), static_cast<size_t>(end - begin) * channels);
        for (int64_t pixel = begin; pixel < end; ++pixel)
            for (size_t channel = 0; channel < channels; channel += length) add(at(pixel) + channel, length);
    });
}

bool Layer::may_be_told(int64_t channels) const {
    const Rounded rounded = convolver_->rounded();
    return rounded == Rounded::inputs || (rounded == Rounded::sums && channels % four == 0 && inputs_ % four == 0);
}

bool Layer::finds_extremes_for(const Layer& next) const {
    return convolver_->finds_extremes() && next.may_be_told(static_cast<int64_t>(outputs_));
}

}  // namespace pbgen
