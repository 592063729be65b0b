// The reference: what each kernel means, in plain C++. It runs everywhere, and the others are tested against it.
#include <cmath>
#include <cstring>

#include "../tables.h"

namespace pbgen {
namespace {

bool supported() { return true; }

void build_tables(const float* input, size_t channels, float* tables) {
    for (size_t first = 0; first < channels; first += table_inputs, tables += table_entries) {
        float x[table_inputs] = {};
        for (size_t i = 0; i < table_inputs && first + i < channels; ++i) x[i] = input[first + i];
        for (size_t entry = 0; entry < table_entries; ++entry) {
            float sum = x[0];
            for (size_t i = 1; i < table_inputs; ++i) sum += entry >> (i - 1) & 1 ? x[i] : -x[i];
            tables[entry] = sum;
        }
    }
}

uint32_t rotate_left(uint32_t word, unsigned bits) { return word << bits % 32 | word >> (32 - bits % 32) % 32; }

void lookup(const uint32_t* weights, size_t depth, size_t vectors, const float* const* sources, float* const* sums,
            size_t count) {
    const size_t width = vectors * lanes;
    for (size_t table = 0; table < depth; ++table) {
        const uint32_t* words = weights + table / word_tables * width;
        // Brings the sign to bit 0 and the index to the bits above.
        const unsigned rotation = static_cast<unsigned>(33 - table % word_tables * table_inputs);
        for (size_t p = 0; p < count; ++p) {
            const float* entries = sources[p] + table * table_entries;
            float with_sign[2 * table_entries];
            for (size_t i = 0; i < table_entries; ++i) {
                with_sign[2 * i] = entries[i];
                with_sign[2 * i + 1] = -entries[i];
            }
            float* out = sums[p];
            for (size_t lane = 0; lane < width; ++lane)
                out[lane] += with_sign[rotate_left(words[lane], rotation) % (2 * table_entries)];
        }
    }
}

void broadcast(const float* weights, size_t depth, size_t vectors, const float* const* sources, float* const* sums,
               size_t count) {
    const size_t width = vectors * lanes;
    for (size_t p = 0; p < count; ++p)
        for (size_t input = 0; input < depth; ++input)
            for (size_t lane = 0; lane < width; ++lane)
                sums[p][lane] += weights[input * width + lane] * sources[p][input];
}

void dot(const float* weights, size_t depth, size_t vectors, const float* const* sources, float* const* sums,
         size_t count) {
    for (size_t p = 0; p < count; ++p)
        for (size_t vector = 0; vector < vectors; ++vector) {
            const float *weight = weights + vector * depth, *source = sources[p];
            // A copy, which the compiler knows that nothing else points to.
            float total[lanes];
            std::memcpy(total, sums[p] + vector * lanes, sizeof total);
            size_t input = 0;
            for (; input + lanes <= depth; input += lanes)
                for (size_t lane = 0; lane < lanes; ++lane) total[lane] += weight[input + lane] * source[input + lane];
            for (size_t lane = 0; input < depth; ++input, ++lane) total[lane] += weight[input] * source[input];
            std::memcpy(sums[p] + vector * lanes, total, sizeof total);
        }
}

float activate(float value, const Epilogue& epilogue) {
    switch (epilogue.activation) {
        case Activation::none: return value;
        case Activation::relu: return value < 0 ? 0 : value;
        case Activation::leaky_relu: return value < 0 ? value * epilogue.slope : value;
        case Activation::tanh: return std::tanh(value);
        case Activation::sigmoid: return 1 / (1 + std::exp(-value));
    }
    return value;
}

void finish(const float* in, size_t channels, const Epilogue& epilogue, float* out) {
    for (size_t c = 0; c < channels; ++c) {
        const float scale = epilogue.scale ? epilogue.scale[c] : 1;
        const float shift = epilogue.shift ? epilogue.shift[c] : 0;
        out[c] = activate(scale * in[c] + shift, epilogue);
    }
}

void finish_dots(const float* sums, size_t count, size_t vectors, const Epilogue& epilogue, float* const* out) {
    for (size_t p = 0; p < count; ++p, sums += max_vectors * lanes) {
        float totals[max_vectors] = {};
        for (size_t v = 0; v < vectors; ++v)
            for (size_t lane = 0; lane < lanes; ++lane) totals[v] += sums[v * lanes + lane];
        finish(totals, vectors, epilogue, out[p]);
    }
}

}  // namespace

const Kernels portable_kernels = {"portable", supported, build_tables, lookup, broadcast, dot, finish, finish_dots};

}  // namespace pbgen
