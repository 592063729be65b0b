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

uint32_t adler32(const Bytes& data) {
    uint32_t a = 1, b = 0;
    for (uint8_t byte : data) {
        a = (a + byte) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

void append(Bytes& bytes, std::initializer_list<uint8_t> more) { bytes.insert(bytes.end(), more); }

void append_big_endian(Bytes& bytes, uint32_t number) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(number >> shift));
}

void append_chunk(Bytes& png, const char* name, const Bytes& data) {
    append_big_endian(png, static_cast<uint32_t>(data.size()));
    const size_t checked = png.size();
    png.insert(png.end(), name, name + 4);
    png.insert(png.end(), data.begin(), data.end());
    append_big_endian(png, crc32(png.data() + checked, png.data() + png.size()));
}

Bytes header(const Picture& picture) {
    constexpr uint8_t bits = 8, gray = 0, colour = 2;
    Bytes bytes;
    append_big_endian(bytes, static_cast<uint32_t>(picture.width));
    append_big_endian(bytes, static_cast<uint32_t>(picture.height));
    append(bytes, {bits, picture.channels == 1 ? gray : colour, 0, 0, 0});
    return bytes;
}

// Each row behind a byte that says how it is filtered: 0, not at all.
Bytes scanlines(const Picture& picture) {
    const size_t length = picture.width * picture.channels;
    Bytes bytes;
    bytes.reserve(picture.height * (length + 1));
    for (size_t y = 0; y < picture.height; ++y) {
        const uint8_t* row = picture.pixels.data() + y * length;
        bytes.push_back(0);
        bytes.insert(bytes.end(), row, row + length);
    }
    return bytes;
}

// A zlib stream of stored blocks.
Bytes store(const Bytes& data) {
    Bytes stream;
    stream.reserve(data.size() + data.size() / longest_block * 5 + 16);
    append(stream, {0x78, 0x01});
    for (size_t begin = 0; begin < data.size(); begin += longest_block) {
        const size_t length = std::min(longest_block, data.size() - begin);
        const bool last = begin + length == data.size();
        const auto low = static_cast<uint8_t>(length), high = static_cast<uint8_t>(length >> 8);
        append(stream, {last, low, high, static_cast<uint8_t>(~low), static_cast<uint8_t>(~high)});
        stream.insert(stream.end(), data.data() + begin, data.data() + begin + length);
    }
    append_big_endian(stream, adler32(data));
    return stream;
}

}  // namespace

std::vector<uint8_t> encode_png(const Picture& picture) {
    Bytes png = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    append_chunk(png, "IHDR", header(picture));
    append_chunk(png, "IDAT", store(scanlines(picture)));
    append_chunk(png, "IEND", {});
    return png;
}

}  // namespace pbgen
