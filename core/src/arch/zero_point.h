// Dot products of bytes of which those of the inputs must be signed, or must not: inputs of the other kind are moved by
// a zero point, and what that adds to the sums is taken away again.
#pragma once

#include "kernels.h"

namespace pbgen {
namespace {

// Dots: weight_bytes(), arrange() and accumulate() of a Product, the latter for one tap; and `width`, numbers from one
// pixel's sums to the next's. Weights: those of Dots, and what moving the inputs adds to each output channel's sum.
// Sources: the bytes, and whether they were moved.
template <class Dots, int zero_point>
struct Moved {
    static constexpr size_t line = 64, line_numbers = line / sizeof(int32_t);
    using Numbers = int32_t __attribute__((vector_size(line)));

    static constexpr size_t lines(size_t bytes) { return (bytes + line - 1) / line; }

    static size_t source_bytes(size_t inputs) { return (lines(inputs) + 1) * line; }

    static int32_t& is_moved(void* source, size_t inputs) {
        return *reinterpret_cast<int32_t*>(static_cast<char*>(source) + lines(inputs) * line);
    }

    static size_t weight_bytes(size_t inputs, size_t outputs) {
        return Dots::weight_bytes(inputs, outputs) + lines(outputs * sizeof(int32_t)) * line;
    }

    static void arrange(const void* weights, size_t inputs, size_t outputs, void* arranged) {
        Dots::arrange(weights, inputs, outputs, arranged);
        const auto* row = static_cast<const float*>(weights);
        auto* more = reinterpret_cast<int32_t*>(static_cast<char*>(arranged) + Dots::weight_bytes(inputs, outputs));
        for (size_t output = 0; output < lines(outputs * sizeof(int32_t)) * line_numbers; ++output, row += inputs) {
            more[output] = 0;
            for (size_t i = 0; output < outputs && i < inputs; ++i) more[output] += static_cast<int32_t>(row[i]) * zero_point;
        }
    }

    static void accumulate(const void* weights, size_t inputs, size_t outputs, const void* const* sources,
                           const uint8_t* pixels, size_t count, void* tile) {
        Dots::accumulate(weights, inputs, outputs, sources, pixels, count, tile);
        const char* more = static_cast<const char*>(weights) + Dots::weight_bytes(inputs, outputs);
        for (size_t i = 0; i < count; ++i) {
            if (!is_moved(const_cast<void*>(sources[i]), inputs)) continue;
            char* sums = static_cast<char*>(tile) + pixels[i] * Dots::width * sizeof(int32_t);
            for (size_t at = 0; at < lines(outputs * sizeof(int32_t)) * line; at += line) {
                Numbers sum, less;
                __builtin_memcpy(&sum, sums + at, line);
                __builtin_memcpy(&less, more + at, line);
                sum -= less;
                __builtin_memcpy(sums + at, &sum, line);
            }
        }
    }
};

}  // namespace
}  // namespace pbgen
