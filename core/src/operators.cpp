#include "operators.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace pbgen {
namespace {

// out[image][x][y] = in[image][y][x], in parts that fit the first cache: squares, or of few columns more rows.
void transpose(const float* in, size_t images, size_t height, size_t width, float* out, Threads& threads) {
    constexpr size_t side = 32;
    const size_t rows = side * side / std::min(width, side);
    const size_t bands = (height + rows - 1) / rows, parts = (width + side - 1) / side;
    if (height == 1 || width == 1) {
        std::memcpy(out, in, images * height * width * sizeof(float));
        return;
    }
    threads.parallel_for(images * bands * parts, [&](size_t i) {
        const size_t first = i / parts / bands * height * width;
        const size_t top = i / parts % bands * rows, bottom = std::min(height, top + rows);
        const size_t left = i % parts * side, right = std::min(width, left + side);
        for (size_t x = left; x < right; ++x)
            for (size_t y = top; y < bottom; ++y) out[first + x * height + y] = in[first + y * width + x];
    });
}

// Calls row(image, y) for each row of the output.
template <class Row>
void for_each_row(const Call& call, const Row& row) {
    const auto height = static_cast<size_t>(call.node.shape.height);
    call.threads.parallel_for(call.images * height, [&](size_t i) {
        row(static_cast<int64_t>(i / height), static_cast<int64_t>(i % height));
    });
}

// Where image `image` of a value has its pixel (y, x).
template <class Number>
Number* pixel(Number* value, const Shape& shape, int64_t image, int64_t y, int64_t x) {
    return value + ((image * shape.height + y) * shape.width + x) * shape.channels;
}

// The two input pixels between which an output pixel lies, and the weight of the second.
struct Between {
    int64_t low, high;
    float weight;

    Between(int64_t out, float step, bool align_corners, int64_t inputs) {
        const float at = align_corners ? static_cast<float>(out) * step
                                       : std::max(0.0f, (static_cast<float>(out) + 0.5f) * step - 0.5f);
        const float last = static_cast<float>(inputs - 1);
        low = std::min(static_cast<int64_t>(std::min(at, last)), inputs - 1);
        high = std::min(low + 1, inputs - 1);
        weight = std::min(at - static_cast<float>(low), 1.0f);
    }
};

// In float32, like torch: the product must round to the same side of an integer.
int64_t nearest(int64_t out, float step, int64_t inputs) {
    const float at = std::floor(static_cast<float>(out) * step);
    return std::min(static_cast<int64_t>(std::min(at, static_cast<float>(inputs))), inputs - 1);
}

}  // namespace

void run_affine(const Call& call, const Epilogue& epilogue, const Kernels& kernels) {
    const Shape& shape = call.node.shape;
    const auto channels = static_cast<size_t>(shape.channels);
    for_each_row(call, [&](int64_t image, int64_t y) {
        kernels.finish(pixel(call.input(0), shape, image, y, 0), channels, channels, epilogue,
                       pixel(call.output, shape, image, y, 0), {1, static_cast<size_t>(shape.width), channels, 0}, nullptr);
    });
}

void run_add(const Call& call) {
    const Shape& shape = call.node.shape;
    for_each_row(call, [&](int64_t image, int64_t y) {
        const int64_t begin = pixel(call.output, shape, image, y, 0) - call.output;
        for (int64_t i = begin; i < begin + shape.width * shape.channels; ++i) {
            float sum = call.input(0)[i];
            for (size_t part = 1; part < call.node.inputs.size(); ++part) sum += call.input(part)[i];
            call.output[i] = sum;
        }
    });
}

void run_concat(const Call& call) {
    const Shape& shape = call.node.shape;
    const auto copy_rows = [&](int64_t image) {
        int64_t channel = 0, row = 0, column = 0;
        for (size_t part = 0; part < call.node.inputs.size(); ++part) {
            const Shape& in = call.input_shape(part);
            for (int64_t y = 0; y < in.height; ++y)
                for (int64_t x = 0; x < in.width; ++x)
                    std::memcpy(pixel(call.output, shape, image, row + y, column + x) + channel,
                                pixel(call.input(part), in, image, y, x),
                                static_cast<size_t>(in.channels) * sizeof(float));
            (call.node.axis == 0 ? channel : call.node.axis == 1 ? row : column) +=
                call.node.axis == 0 ? in.channels : call.node.axis == 1 ? in.height : in.width;
        }
    };
    call.threads.parallel_for(call.images, [&](size_t image) { copy_rows(static_cast<int64_t>(image)); });
}

void run_reshape(const Call& call) {
    const Shape &in = call.input_shape(0), &out = call.node.shape;
    // Element i in row-major order with the channels first, when they are innermost.
    const auto position = [](const Shape& shape, int64_t i) {
        return i % shape.pixels() * shape.channels + i / shape.pixels();
    };
    call.threads.parallel_for(call.images, [&](size_t image) {
        const int64_t first = static_cast<int64_t>(image) * in.size();
        for (int64_t i = 0; i < in.size(); ++i)
            call.output[first + position(out, i)] = call.input(0)[first + position(in, i)];
    });
}

void run_upsample(const Call& call) {
    const Node& node = call.node;
    const Shape &in = call.input_shape(0), &out = node.shape;
    const auto channels = static_cast<size_t>(in.channels);
    for_each_row(call, [&](int64_t image, int64_t y) {
        if (!node.bilinear) {
            const int64_t from = nearest(y, node.step_y, in.height);
            for (int64_t x = 0; x < out.width; ++x)
                std::memcpy(pixel(call.output, out, image, y, x),
                            pixel(call.input(0), in, image, from, nearest(x, node.step_x, in.width)),
                            channels * sizeof(float));
            return;
        }
        const Between rows(y, node.step_y, node.align_corners, in.height);
        for (int64_t x = 0; x < out.width; ++x) {
            const Between columns(x, node.step_x, node.align_corners, in.width);
            const float* top_left = pixel(call.input(0), in, image, rows.low, columns.low);
            const float* top_right = pixel(call.input(0), in, image, rows.low, columns.high);
            const float* bottom_left = pixel(call.input(0), in, image, rows.high, columns.low);
            const float* bottom_right = pixel(call.input(0), in, image, rows.high, columns.high);
            float* to = pixel(call.output, out, image, y, x);
            for (size_t c = 0; c < channels; ++c) {
                const float top = (1 - columns.weight) * top_left[c] + columns.weight * top_right[c];
                const float bottom = (1 - columns.weight) * bottom_left[c] + columns.weight * bottom_right[c];
                to[c] = (1 - rows.weight) * top + rows.weight * bottom;
            }
        }
    });
}

void run_pixel_shuffle(const Call& call) {
    const Shape &in = call.input_shape(0), &out = call.node.shape;
    const int64_t f = call.node.factor;
    for_each_row(call, [&](int64_t image, int64_t y) {
        for (int64_t x = 0; x < out.width; ++x) {
            const float* from = pixel(call.input(0), in, image, y / f, x / f) + y % f * f + x % f;
            float* to = pixel(call.output, out, image, y, x);
            for (int64_t c = 0; c < out.channels; ++c) to[c] = from[c * f * f];
        }
    });
}

void channels_to_innermost(const Shape& shape, const float* in, size_t images, float* out, Threads& threads) {
    transpose(in, images, static_cast<size_t>(shape.channels), static_cast<size_t>(shape.pixels()), out, threads);
}

void channels_to_first(const Shape& shape, const float* in, size_t images, float* out, Threads& threads) {
    transpose(in, images, static_cast<size_t>(shape.pixels()), static_cast<size_t>(shape.channels), out, threads);
}

}  // namespace pbgen
