#include "weights.h"

#include <algorithm>
#include <cstring>

namespace pbgen {
namespace {

// Tables are worth their padding (of lanes and of words) up to this many times the file's bits.
constexpr size_t max_padding = 8;

size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

bool bit(const uint8_t* bits, size_t i) { return bits[i / 8] >> i % 8 & 1; }

Method choose_method(const Weights& w, bool one_bit) {
    const bool few_outputs = w.outputs < lanes;
    if (!one_bit) return few_outputs ? Method::dot : Method::broadcast;
    const size_t padded_outputs = divide_up(w.outputs, lanes) * lanes;
    const size_t padded_inputs = divide_up(w.inputs, table_inputs * word_tables) * 32;
    return padded_outputs * padded_inputs <= max_padding * w.outputs * w.inputs ? Method::lookup : Method::unpacked;
}

// Calls place(group, vector, tap) for each vector of each tap.
template <class Place>
void for_each_vector(const Weights& w, Threads& threads, const Place& place) {
    threads.parallel_for(w.groups * w.vectors, [&](size_t i) {
        for (size_t tap = 0; tap < w.taps; ++tap) place(i / w.vectors, i % w.vectors, tap);
    });
}

// The word of one output channel (its weights begin at bit `first`, `stride` apart) for tables `table` and on.
uint32_t make_word(const uint8_t* bits, size_t first, size_t stride, size_t inputs, size_t table) {
    uint32_t word = 0;
    for (size_t t = 0; t < word_tables; ++t) {
        const size_t begin = (table + t) * table_inputs;
        if (begin >= inputs) break;
        const bool lead = bit(bits, first + begin * stride);
        uint32_t index = 0;
        for (size_t i = 1; i < table_inputs && begin + i < inputs; ++i)
            index |= uint32_t{bit(bits, first + (begin + i) * stride) == lead} << (i - 1);
        const size_t shift = t * table_inputs;
        word |= index << shift;
        word |= uint32_t{!lead} << (shift + 31) % 32;
    }
    return word;
}

void arrange_words(Weights& w, const uint8_t* bits, Threads& threads) {
    w.words = Aligned<uint32_t>(w.groups * w.vectors * w.taps * w.unit);
    const size_t tap_words = w.unit / lanes;
    for_each_vector(w, threads, [&](size_t group, size_t vector, size_t tap) {
        const size_t first = vector / max_vectors * max_vectors, vectors = w.block_vectors(first);
        uint32_t* out = w.words.data() + w.offset(group, first, tap) + (vector - first) * lanes;
        for (size_t word = 0; word < tap_words; ++word)
            for (size_t lane = 0; lane < lanes; ++lane) {
                const size_t output = vector * lanes + lane;
                const size_t begin = (group * w.outputs + output) * w.inputs * w.taps + tap;
                out[word * vectors * lanes + lane] =
                    output < w.outputs ? make_word(bits, begin, w.taps, w.inputs, word * word_tables) : 0;
            }
    });
}

void arrange_floats(Weights& w, const Tensor& tensor, Threads& threads) {
    Aligned<float> canonical(static_cast<size_t>(tensor.count));
    copy_floats(tensor, canonical.data());
    const auto weight = [&](size_t group, size_t output, size_t input, size_t tap) {
        return canonical.data()[((group * w.outputs + output) * w.inputs + input) * w.taps + tap];
    };
    w.floats = Aligned<float>(w.groups * w.vectors * w.taps * w.unit);
    for_each_vector(w, threads, [&](size_t group, size_t vector, size_t tap) {
        const size_t first = vector / max_vectors * max_vectors, vectors = w.block_vectors(first);
        float* block = w.floats.data() + w.offset(group, first, tap);
        for (size_t input = 0; input < w.inputs; ++input) {
            if (w.method == Method::dot) {
                block[(vector - first) * w.unit + input] = weight(group, vector, input, tap);
                continue;
            }
            for (size_t lane = 0; lane < lanes; ++lane) {
                const size_t output = vector * lanes + lane;
                block[(input * vectors + vector - first) * lanes + lane] =
                    output < w.outputs ? weight(group, output, input, tap) : 0;
            }
        }
    });
}

}  // namespace

void Weights::unpack(size_t group, size_t first, size_t tap, size_t input, size_t count, float* out) const {
    for (size_t vector = 0; vector < block_vectors(first); ++vector) {
        const size_t begin = ((group * outputs + first + vector) * inputs + input) * taps + tap;
        for (size_t i = 0; i < count; ++i) *out++ = bit(bits.data(), begin + i * taps) ? 1.0f : -1.0f;
    }
}

Weights arrange_weights(const Tensor& tensor, const Node& node, int64_t input_channels, Threads& threads) {
    Weights w{};
    w.groups = static_cast<size_t>(node.groups);
    w.outputs = static_cast<size_t>(node.shape.channels) / w.groups;
    w.inputs = static_cast<size_t>(input_channels) / w.groups;
    w.taps = static_cast<size_t>(node.y.kernel * node.x.kernel);
    w.method = choose_method(w, tensor.dtype == DType::u8);
    w.vector_outputs = w.method == Method::lookup || w.method == Method::broadcast ? lanes : 1;
    w.vectors = divide_up(w.outputs, w.vector_outputs);
    w.depth = w.method == Method::lookup ? divide_up(w.inputs, table_inputs) : w.inputs;
    w.unit = w.method == Method::lookup ? divide_up(w.depth, word_tables) * lanes : w.inputs * w.vector_outputs;
    switch (w.method) {
        case Method::lookup: arrange_words(w, tensor.data, threads); break;
        case Method::broadcast:
        case Method::dot: arrange_floats(w, tensor, threads); break;
        case Method::unpacked:
            w.bits = Aligned<uint8_t>(static_cast<size_t>(tensor.count));
            std::memcpy(w.bits.data(), tensor.data, w.bits.size());
    }
    return w;
}

}  // namespace pbgen
