// Brings the inputs of a tile's pixels into vectors whose lanes are the pixels.
#pragma once

#include "../kernels.h"
#include "vec.h"

namespace pbgen {
namespace {

// Most bytes of a row that are gathered at a time.
constexpr size_t max_row_bytes = 1024;

alignas(64) constexpr char zero_row[max_row_bytes] = {};

// Four numbers of 4 bytes, of whatever kind.
using Quad = int32_t __attribute__((vector_size(16)));

// out[i * stride + p] = number i of row p.
inline void transpose(Quad a, Quad b, Quad c, Quad d, int32_t* out, size_t stride) {
    const Quad ab_low = SHUFFLE(a, b, 0, 4, 1, 5), ab_high = SHUFFLE(a, b, 2, 6, 3, 7);
    const Quad cd_low = SHUFFLE(c, d, 0, 4, 1, 5), cd_high = SHUFFLE(c, d, 2, 6, 3, 7);
    store(out, SHUFFLE(ab_low, cd_low, 0, 1, 4, 5));
    store(out + stride, SHUFFLE(ab_low, cd_low, 2, 3, 6, 7));
    store(out + 2 * stride, SHUFFLE(ab_high, cd_high, 0, 1, 4, 5));
    store(out + 3 * stride, SHUFFLE(ab_high, cd_high, 2, 3, 6, 7));
}

// The same, of 4 numbers of each of 4 rows, `at` bytes from their beginnings on.
inline void transpose(const char* const* rows, size_t at, int32_t* out, size_t stride) {
    const auto row = [&](size_t p) { return load<Quad>(rows[p] + at); };
    transpose(row(0), row(1), row(2), row(3), out, stride);
}

// The inputs of some pixels of a tile, and zeros for those between that have none, from a multiple of `unit` to
// another. sources[i] are those of pixels[i], or else of pixel i.
class Rows {
public:
    Rows(const void* const* sources, const uint8_t* pixels, size_t count, size_t unit)
        : first_(pixels[0] / unit * unit), pixels_(pixels[count - 1] / unit * unit + unit - first_) {
        for (size_t p = 0; p < pixels_; ++p) rows_[p] = nullptr;
        for (size_t i = 0; i < count; ++i) rows_[pixels[i] - first_] = static_cast<const char*>(sources[i]);
    }
    Rows(const void* const* sources, size_t count, size_t unit) : first_(0), pixels_(divide_up(count, unit) * unit) {
        for (size_t p = 0; p < pixels_; ++p) rows_[p] = p < count ? static_cast<const char*>(sources[p]) : nullptr;
    }

    // The first pixel, and how many.
    size_t first() const { return first_; }
    size_t pixels() const { return pixels_; }

    // out[i][pixels()] = number `begin` + i of each pixel, for `count` numbers of 4 bytes. Those up to the next
    // multiple of 4 become 0.
    void gather(size_t begin, size_t count, int32_t* out) const {
        const char* from[tile_pixels];
        for (size_t p = 0; p < pixels_; ++p) from[p] = rows_[p] ? rows_[p] + 4 * begin : zero_row;
        const size_t whole = count / 4 * 4;
        for (size_t p = 0; p < pixels_; p += 4)
            for (size_t i = 0; i < whole; i += 4) transpose(from + p, 4 * i, out + i * pixels_ + p, pixels_);
        if (whole == count) return;
        // A row may end behind its last number.
        int32_t rest[tile_pixels][4] = {};
        for (size_t p = 0; p < pixels_; ++p) {
            for (size_t i = whole; i < count; ++i) __builtin_memcpy(&rest[p][i - whole], from[p] + 4 * i, 4);
            from[p] = reinterpret_cast<const char*>(rest[p]);
        }
        for (size_t p = 0; p < pixels_; p += 4) transpose(from + p, 0, out + whole * pixels_ + p, pixels_);
    }

private:
    const char* rows_[tile_pixels];
    size_t first_, pixels_;
};

}  // namespace
}  // namespace pbgen
