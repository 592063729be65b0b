#include "inflate.h"

#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "error.h"

namespace pbgen {
namespace {

[[noreturn]] void fail_damaged(const char* what) { fail("compressed text is damaged: ", what); }

uint32_t digit(char c) {
    if (c >= 'A' && c <= 'Z') return static_cast<uint32_t>(c - 'A');
    if (c >= 'a' && c <= 'z') return static_cast<uint32_t>(c - 'a' + 26);
    if (c >= '0' && c <= '9') return static_cast<uint32_t>(c - '0' + 52);
    if (c == '+') return 62;
    if (c == '/') return 63;
    fail_damaged("no base64");
}

std::vector<uint8_t> from_base64(std::string_view text) {
    if (text.size() % 4 != 0) fail_damaged("no base64");
    for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) text.remove_suffix(1);
    std::vector<uint8_t> bytes;
    bytes.reserve(text.size() * 3 / 4);
    uint32_t held = 0, bits = 0;
    for (char c : text) {
        held = held << 6 | digit(c);
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        bytes.push_back(static_cast<uint8_t>(held >> bits));
    }
    return bytes;
}

class Bits {
public:
    explicit Bits(const std::vector<uint8_t>& bytes) : bytes_(bytes) {}

    // The next `count`, at most 16; the first is the lowest.
    uint32_t take(uint32_t count) {
        for (; ready_ < count; ready_ += 8) held_ |= uint32_t{next_byte()} << ready_;
        const uint32_t taken = held_ & ((1u << count) - 1);
        held_ >>= count;
        ready_ -= count;
        return taken;
    }

    void skip_to_byte() { take(ready_ % 8); }

    bool at_end() const { return at_ == bytes_.size(); }

private:
    uint8_t next_byte() {
        if (at_end()) fail_damaged("it ends too soon");
        return bytes_[at_++];
    }

    const std::vector<uint8_t>& bytes_;
    size_t at_ = 0;
    uint32_t held_ = 0, ready_ = 0;
};

// A canonical Huffman code: codes of one length follow each other in the order of their symbols.
class Code {
public:
    Code(const uint8_t* lengths, size_t symbols) {
        for (size_t i = 0; i < symbols; ++i) ++counts_[lengths[i]];
        counts_[0] = 0;
        int32_t free = 1;
        for (size_t length = 1; length <= longest; ++length) {
            free = 2 * free - counts_[length];
            if (free < 0) fail_damaged("a code has too many symbols");
            for (size_t i = 0; i < symbols; ++i)
                if (lengths[i] == length) symbols_.push_back(static_cast<uint16_t>(i));
        }
    }

    uint32_t read(Bits& bits) const {
        int32_t code = 0, first = 0;               // of the bits so far, and the first one of as many
        const uint16_t* symbol = symbols_.data();  // that `first` stands for
        for (size_t length = 1; length <= longest; ++length) {
            code = 2 * code + static_cast<int32_t>(bits.take(1));
            first *= 2;
            if (code < first + counts_[length]) return symbol[code - first];
            first += counts_[length];
            symbol += counts_[length];
        }
        fail_damaged("no such symbol");
    }

private:
    static constexpr size_t longest = 15;

    int32_t counts_[longest + 1] = {};  // of codes by length
    std::vector<uint16_t> symbols_;     // in the order of their codes
};

struct Codes {
    Code lengths, distances;  // the former of bytes as well
};

constexpr uint32_t end_of_block = 256;

Codes fixed_codes() {
    uint8_t lengths[288 + 30];
    for (size_t i = 0; i < std::size(lengths); ++i) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : i < 288 ? 8 : 5;
    return {Code(lengths, 288), Code(lengths + 288, 30)};
}

Codes read_codes(Bits& bits) {
    static constexpr uint8_t order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    const size_t literals = 257 + bits.take(5), distances = 1 + bits.take(5), told = 4 + bits.take(4);
    uint8_t lengths[std::size(order)] = {};
    for (size_t i = 0; i < told; ++i) lengths[order[i]] = static_cast<uint8_t>(bits.take(3));
    const Code code(lengths, std::size(lengths));
    std::vector<uint8_t> all;
    while (all.size() < literals + distances) {
        const uint32_t symbol = code.read(bits);
        if (symbol == 16 && all.empty()) fail_damaged("nothing to repeat");
        if (symbol < 16) all.push_back(static_cast<uint8_t>(symbol));
        else if (symbol == 16) all.insert(all.end(), 3 + bits.take(2), uint8_t{all.back()});
        else all.insert(all.end(), symbol == 17 ? 3 + bits.take(3) : 11 + bits.take(7), uint8_t{0});
    }
    if (all.size() > literals + distances) fail_damaged("too many lengths");
    return {Code(all.data(), literals), Code(all.data() + literals, distances)};
}

class Inflater {
public:
    Inflater(const std::vector<uint8_t>& bytes, size_t limit) : bits_(bytes), limit_(limit) {}

    std::string all() {
        for (bool last = false; !last;) {
            last = bits_.take(1) != 0;
            const uint32_t kind = bits_.take(2);
            if (kind == 0) stored();
            else if (kind == 1) block(fixed_codes());
            else if (kind == 2) block(read_codes(bits_));
            else fail_damaged("no such block");
        }
        if (!bits_.at_end()) fail_damaged("it goes on after its end");
        return std::move(text_);
    }

private:
    void stored() {
        bits_.skip_to_byte();
        const uint32_t size = bits_.take(16);
        if (bits_.take(16) != (size ^ 0xffff)) fail_damaged("a block's length");
        reserve(size);
        for (uint32_t i = 0; i < size; ++i) text_ += static_cast<char>(bits_.take(8));
    }

    void block(const Codes& codes) {
        for (uint32_t symbol; (symbol = codes.lengths.read(bits_)) != end_of_block;) {
            if (symbol > end_of_block) {
                const size_t size = length(symbol - end_of_block - 1);
                copy(size, codes.distances.read(bits_));
            } else {
                reserve(1);
                text_ += static_cast<char>(symbol);
            }
        }
    }

    // Of a copy, 3 to 258: four symbols share a number of further bits.
    size_t length(uint32_t symbol) {
        if (symbol > 28) fail_damaged("no such length");
        if (symbol == 28) return 258;
        if (symbol < 8) return symbol + 3;
        const uint32_t further = symbol / 4 - 1;
        return ((symbol % 4 + 4) << further) + 3 + bits_.take(further);
    }

    void copy(size_t size, uint32_t symbol) {
        if (symbol > 29) fail_damaged("no such distance");
        const uint32_t further = symbol < 4 ? 0 : symbol / 2 - 1;
        const size_t distance = (symbol < 4 ? symbol : (symbol % 2 + 2) << further) + 1 + bits_.take(further);
        if (distance > text_.size()) fail_damaged("it refers to what lies before it");
        reserve(size);
        for (size_t i = 0; i < size; ++i) text_ += text_[text_.size() - distance];
    }

    void reserve(size_t size) const {
        if (size > limit_ - text_.size()) fail("compressed text becomes longer than ", limit_, " bytes");
    }

    Bits bits_;
    size_t limit_;
    std::string text_;
};

}  // namespace

std::string inflate(std::string_view base64, size_t limit) {
    const std::vector<uint8_t> bytes = from_base64(base64);
    return Inflater(bytes, limit).all();
}

}  // namespace pbgen
