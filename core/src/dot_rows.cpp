#include "dot_rows.h"

#include <algorithm>
#include <functional>

#include "sort.h"

namespace pbgen {
namespace {

constexpr size_t few_outputs = 16;     // with more, they fill the lanes
constexpr int64_t most_rows = 64;      // that an output pixel meets
constexpr size_t most_terms = 66'000;  // whose sum fits 32 bits, if weights are integers of 8 bits or more
constexpr int64_t most_input = 255;    // of inputs that are integers

// A row of few channels is finished so many pixels at a time: enough to fill vectors, and little to keep.
int64_t piece_pixels(const Image& image) {
    constexpr int64_t numbers = 4096;
    return std::clamp<int64_t>(numbers / image.channels, 1, image.width);
}

// Whether the inputs of a phase's taps are one row of numbers.
bool meets_neighbours(const LayerShape& shape) {
    if (shape.groups > 1) return false;
    return shape.transposed ? shape.x.stride % shape.x.dilation == 0 : shape.x.dilation == 1;
}

// Which input pixel an output pixel meets under a tap: whole numbers of strides, of which a transposed convolution knows
// parts. Returns false if there is none.
bool met(const Geometry& g, bool transposed, int64_t output, int64_t tap, int64_t* input) {
    if (!transposed) {
        *input = output * g.stride - g.padding + tap * g.dilation;
        return true;
    }
    const int64_t at = output + g.padding - tap * g.dilation;
    *input = at / g.stride;
    return at % g.stride == 0;
}

}  // namespace

bool DotRows::suit(const LayerShape& shape, const LayerSize& size) {
    return size.outputs < few_outputs && size.inputs * size.taps <= most_terms &&
           shape.y.kernel * (meets_neighbours(shape) ? 1 : shape.x.kernel) <= most_rows;
}

DotRows::DotRows(const LayerShape& shape, const CanonicalWeights& weights, const DotProducts& products,
                 const Epilogue& epilogue, const Kernels& kernels)
    : rows_(row_phases(shape)),
      columns_(column_phases(shape)),
      y_(shape.y),
      x_(shape.x),
      transposed_(shape.transposed),
      input_(shape.input),
      output_(shape.output),
      groups_(weights.groups),
      inputs_(weights.inputs),
      outputs_(weights.outputs),
      planes_(weights.planes()),
      products_(products),
      kernels_(kernels),
      piece_(piece_pixels(output_)) {
    const auto channels = static_cast<size_t>(output_.channels);
    if (epilogue.scale) scale_.assign(epilogue.scale, epilogue.scale + channels);
    size_t begin = 0;
    for (int64_t first = 0; first < std::min(columns_.output_step(), output_.width); ++first) {
        phases_.push_back(column_phase(first, begin));
        begin += phases_.back().taps.size();
    }
    arrange(weights);
    Epilogue scaled = epilogue;
    if (!scale_.empty()) scaled.scale = scale_.data();
    epilogue_ = RepeatedEpilogue(scaled, channels, static_cast<size_t>(piece_));
}

// Taps are few; the positions at which another set of them is met are those where one begins or ends to lie inside.
DotRows::ColumnPhase DotRows::column_phase(int64_t first, size_t begin) const {
    ColumnPhase phase{first, begin, {}, {}};
    for (int64_t tap = 0, delta; tap < x_.kernel; ++tap)
        if (met(x_, transposed_, first, tap, &delta)) phase.taps.push_back({tap, delta});
    sort(phase.taps, [](const Tap& a, const Tap& b) { return a.delta < b.delta; });
    const Range all = {0, (output_.width - first - 1) / columns_.output_step() + 1};
    std::vector<int64_t> bounds = {all.begin, all.end};
    const auto inner = [&](const Tap& tap) { return inside(all, columns_.input_step(), tap.delta, input_.width); };
    for (const Tap& tap : phase.taps)
        for (const int64_t bound : {inner(tap).begin, inner(tap).end}) bounds.push_back(std::clamp(bound, all.begin, all.end));
    sort(bounds, std::less<int64_t>());
    for (size_t i = 0; i + 1 < bounds.size(); ++i) {
        if (bounds[i] == bounds[i + 1]) continue;
        const auto is_met = [&](const Tap& tap) { return inner(tap).begin <= bounds[i] && bounds[i] < inner(tap).end; };
        const auto from = std::find_if(phase.taps.begin(), phase.taps.end(), is_met);
        const auto to = std::find_if_not(from, phase.taps.end(), is_met);
        phase.stretches.push_back({{bounds[i], bounds[i + 1]}, static_cast<size_t>(from - phase.taps.begin()),
                                   static_cast<size_t>(to - phase.taps.begin())});
    }
    return phase;
}

std::string DotRows::name() const {
    const char* const numbers = products_.quantized ? "float weights as int16" : "float32 weights";
    const char* const weights[] = {numbers, "one-bit weights", "two-bit weights", "three-bit weights", "four-bit weights"};
    return std::string(weights[planes_]) + ", dot products of rows" + (products_.quantized ? ", int8" : "");
}

void DotRows::arrange(const CanonicalWeights& canonical) {
    const bool rounded = products_.quantized && !planes_;
    const size_t channels = groups_ * outputs_;
    weights_ = Aligned<uint8_t>(uint64_t{canonical.taps} * channels * inputs_ * products_.number_bytes);
    if (rounded && scale_.empty()) scale_.assign(channels, 1.0f);
    // With one scale for all taps, integers of 8 bits would be coarse; these are as large as sums of 32 bits allow.
    const auto terms = static_cast<int64_t>(canonical.taps * inputs_);
    const auto levels = static_cast<float>(std::min<int64_t>(INT16_MAX, INT32_MAX / (terms * most_input)));
    std::vector<float> numbers(canonical.taps * inputs_);
    for (size_t channel = 0; channel < channels; ++channel) {
        const size_t group = channel / outputs_, output = channel % outputs_;
        canonical.copy_numbers(group, output, numbers.data(), inputs_);
        if (rounded) scale_[channel] *= round_weights(numbers.data(), canonical.taps, inputs_, inputs_, levels);
        for (int64_t row = 0; row < y_.kernel; ++row)
            for (const ColumnPhase& phase : phases_)
                for (size_t t = 0; t < phase.taps.size(); ++t) {
                    const auto tap = static_cast<size_t>(row * x_.kernel + phase.taps[t].kernel);
                    auto* to = const_cast<uint8_t*>(weights(group, row, phase, output * phase.taps.size() + t));
                    products_.arrange(numbers.data() + tap * inputs_, inputs_, to);
                }
    }
}

// Of a phase's taps, those of all outputs counted.
const uint8_t* DotRows::weights(size_t group, int64_t kernel_row, const ColumnPhase& phase, size_t tap) const {
    const auto rows = group * static_cast<size_t>(y_.kernel) + static_cast<size_t>(kernel_row);
    const size_t before = (rows * static_cast<size_t>(x_.kernel) + phase.begin) * outputs_;
    return weights_.data() + (before + tap) * inputs_ * products_.number_bytes;
}

size_t DotRows::source_bytes() const {
    return products_.quantized ? static_cast<size_t>(input_.channels) * products_.number_bytes : 0;
}

void DotRows::prepare(const Rows<const float>& input, size_t images, const Quantization* quantizations,
                      const Rows<uint8_t>& sources, Threads& threads) const {
    const auto rows = static_cast<size_t>(sources.rows.size()), size = static_cast<size_t>(input_.width * input_.channels);
    threads.parallel_for(images * rows, [&](size_t i) {
        const auto y = sources.rows.begin + static_cast<int64_t>(i % rows);
        const auto image = static_cast<int64_t>(i / rows);
        products_.prepare(input.at(image, y, 0), size, quantizations[i / rows], sources.at(image, y, 0));
    });
}

void DotRows::run(const Rows<const uint8_t>& sources, size_t images, const Range& band, const Share& share,
                  const Quantization* quantizations, const Output& output, uint8_t*, Threads& threads) const {
    const int64_t begin = band.begin * rows_.output_step();
    const int64_t end = std::min(output_.height, band.end * rows_.output_step());
    const auto rows = static_cast<size_t>(end - begin);
    threads.parallel_for(share.of(images * rows), [&](size_t item) {
        const size_t i = share.item(item);
        const auto image = static_cast<int64_t>(i / rows), y = begin + static_cast<int64_t>(i % rows);
        float* values = output.pixels + (image * output_.height + y) * output_.width * output_.channels;
        run_row(sources, image, y, quantizations[image], values);
        finish_row(image, y, output);
    });
}

void DotRows::run_row(const Rows<const uint8_t>& sources, int64_t image, int64_t y, const Quantization& quantization,
                      float* values) const {
    for (size_t group = 0; group < groups_; ++group)
        for (const ColumnPhase& phase : phases_)
            for (const Stretch& stretch : phase.stretches)
                run_stretch(sources, image, y, quantization, phase, stretch, group, values + group * outputs_);
}

void DotRows::run_stretch(const Rows<const uint8_t>& sources, int64_t image, int64_t y, const Quantization& quantization,
                          const ColumnPhase& phase, const Stretch& stretch, size_t group, float* values) const {
    const size_t all_inputs = groups_ * inputs_, all_outputs = groups_ * outputs_, bytes = products_.number_bytes;
    DotRow rows[most_rows];
    size_t count = 0;
    for (int64_t row = 0, from; row < y_.kernel; ++row) {
        if (!met(y_, transposed_, y, row, &from) || from < 0 || from >= input_.height) continue;
        for (size_t tap = stretch.first_tap, next; tap < stretch.last_tap; tap = next) {
            for (next = tap + 1; next < stretch.last_tap && groups_ == 1; ++next)
                if (phase.taps[next].delta != phase.taps[next - 1].delta + 1) break;
            const int64_t x = stretch.positions.begin * columns_.input_step() + phase.taps[tap].delta;
            rows[count++] = {sources.at(image, from, x) + group * inputs_ * bytes, weights(group, row, phase, tap),
                             (next - tap) * inputs_};
        }
    }
    const auto pixels = static_cast<size_t>(stretch.positions.size());
    const auto step = static_cast<size_t>(columns_.output_step()), input_step = static_cast<size_t>(columns_.input_step());
    const size_t first = static_cast<size_t>(phase.first) + static_cast<size_t>(stretch.positions.begin) * step;
    const size_t weight_step = phase.taps.size() * inputs_;
    for (size_t output = 0, some; output < outputs_; output += some) {
        const size_t left = outputs_ - output;
        some = left == most_dot_outputs + 1 ? left / 2 : std::min(most_dot_outputs, left);  // two and two are better than one
        products_.run(rows, count, pixels, input_step * all_inputs, some, weight_step, quantization,
                      {values + first * all_outputs + output, step * all_outputs});
        for (size_t i = 0; i < count; ++i)
            rows[i].weights = static_cast<const uint8_t*>(rows[i].weights) + some * weight_step * bytes;
    }
}

void DotRows::finish_row(int64_t image, int64_t y, const Output& output) const {
    const auto channels = static_cast<size_t>(output_.channels), width = static_cast<size_t>(output_.width);
    const auto first = static_cast<size_t>(image * output_.size()), begin = static_cast<size_t>(y) * width;
    float* values = output.pixels + first + begin * channels;
    const size_t size = width * channels, piece = static_cast<size_t>(piece_) * channels;
    for (size_t at = 0; at < size; at += piece)
        kernels_.finish(values + at, 0, std::min(piece, size - at), epilogue_.get(), values + at, {1, 1, 0, 0}, nullptr);
    if (!output.planes) return;
    kernels_.to_planes(values, width, channels, output.planes + first + begin, static_cast<size_t>(output_.pixels()));
}

}  // namespace pbgen
