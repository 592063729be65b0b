#include "png.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace pbgen {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t longest_block = 65535;  // a stored deflate block has 16 bits for its length

constexpr std::array<uint32_t, 256> crc_table() {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        table[i] = crc;
    }
    return table;
}

uint32_t crc32(const uint8_t* begin, const uint8_t* end) {
    static constexpr std::array<uint32_t, 256> table = crc_table();
    uint32_t crc = 0xffffffff;
    for (; begin != end; ++begin) crc = crc >> 8 ^ table[(crc ^ *begin) & 0xff];
    return ~crc;
}

class Adler32 {
public:
    void add(const uint8_t* begin, const uint8_t* end) {
        for (; begin != end; ++begin) {
            a_ = (a_ + *begin) % 65521;
            b_ = (b_ + a_) % 65521;
        }
    }
    uint32_t sum() const { return b_ << 16 | a_; }

private:
    uint32_t a_ = 1, b_ = 0;
};

void append(Bytes& bytes, std::initializer_list<uint8_t> more) { bytes.insert(bytes.end(), more); }

void append_big_endian(Bytes& bytes, uint32_t number) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(number >> shift));
}

void write_chunk(const Sink& sink, const char* name, const Bytes& data) {
    Bytes chunk;
    chunk.reserve(data.size() + 12);
    append_big_endian(chunk, static_cast<uint32_t>(data.size()));
    chunk.insert(chunk.end(), name, name + 4);
    chunk.insert(chunk.end(), data.begin(), data.end());
    append_big_endian(chunk, crc32(chunk.data() + 4, chunk.data() + chunk.size()));
    sink(chunk.data(), chunk.size());
}

Bytes header(const Picture& picture) {
    constexpr uint8_t bits = 8, gray = 0, colour = 2;
    Bytes bytes;
    append_big_endian(bytes, static_cast<uint32_t>(picture.width));
    append_big_endian(bytes, static_cast<uint32_t>(picture.height));
    append(bytes, {bits, picture.channels == 1 ? gray : colour, 0, 0, 0});
    return bytes;
}

// The rows as a zlib stream of stored blocks, each a chunk of the file.
class Blocks {
public:
    Blocks(const Sink& sink, size_t length) : sink_(sink), left_(length) { begin({0x78, 0x01}); }

    void add(const uint8_t* bytes, size_t count) {
        while (count) {
            const size_t part = std::min(count, room_);
            chunk_.insert(chunk_.end(), bytes, bytes + part);
            sum_.add(bytes, bytes + part);
            bytes += part, count -= part, room_ -= part, left_ -= part;
            if (room_ == 0) end();
        }
    }

private:
    void begin(std::initializer_list<uint8_t> before) {
        room_ = std::min(longest_block, left_);
        const bool last = room_ == left_;
        const auto low = static_cast<uint8_t>(room_), high = static_cast<uint8_t>(room_ >> 8);
        chunk_.clear();
        append(chunk_, before);
        append(chunk_, {last, low, high, static_cast<uint8_t>(~low), static_cast<uint8_t>(~high)});
    }

    void end() {
        if (left_ == 0) append_big_endian(chunk_, sum_.sum());
        write_chunk(sink_, "IDAT", chunk_);
        if (left_) begin({});
    }

    const Sink& sink_;
    size_t left_, room_ = 0;  // bytes to come, of all and of this block
    Adler32 sum_;
    Bytes chunk_;
};

}  // namespace

void encode_png(const Picture& picture, const Sink& sink) {
    constexpr uint8_t signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}, unfiltered = 0;
    sink(signature, sizeof signature);
    write_chunk(sink, "IHDR", header(picture));
    const size_t length = picture.width * picture.channels;
    Blocks blocks(sink, picture.height * (length + 1));
    for (size_t y = 0; y < picture.height; ++y) {
        blocks.add(&unfiltered, 1);
        blocks.add(picture.pixels.data() + y * length, length);
    }
    write_chunk(sink, "IEND", {});
}

}  // namespace pbgen
