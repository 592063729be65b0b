#include "training.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>

#include "arch/outer.h"
#include "layer.h"

namespace pbgen {
namespace {

constexpr size_t word_bits = 32;

size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

// Bits 32 rows of 32: bit j of word i becomes bit i of word j. Hacker's Delight, section 7-3.
void transpose(uint32_t* words) {
    uint32_t mask = 0x0000ffff;
    for (unsigned j = 16; j; j >>= 1, mask ^= mask << j)
        for (unsigned k = 0; k < word_bits; k = (k + j + 1) & ~j) {
            const uint32_t difference = (words[k] >> j ^ words[k + j]) & mask;
            words[k] ^= difference << j;
            words[k + j] ^= difference;
        }
}

uint32_t low_byte_first(uint32_t word) {
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap32(word) : word;
}

Side other(Side side) { return side == Side::small ? Side::large : Side::small; }

Image image_of(const WeightShape& shape, Side side, const Images& images) {
    const bool small = side == Side::small;
    return {static_cast<int64_t>(shape.channels(side)), small ? images.small_height : images.large_height,
            small ? images.small_width : images.large_width};
}

}  // namespace

Signs::Signs(const WeightShape& shape, const float* weights, size_t planes, Threads& threads)
    : shape_(shape), planes_(planes) {
    for (const Side side : {Side::small, Side::large}) {
        Rows& rows = rows_[static_cast<size_t>(side)];
        rows.words = divide_up(side == Side::small ? shape.large : shape.small, word_bits);
        rows.bits = Aligned<uint32_t>(planes * shape.channels(side) * shape.taps() * rows.words);
    }
    const size_t taps = shape.taps();
    threads.parallel_for(shape.groups * taps, [&](size_t i) { pack(weights, i / taps, i % taps); });
}

Signs::~Signs() {
    for (Arranged* list : arranged_)
        while (list) delete std::exchange(list, list->next);
}

// 32 rows at a time, whose bits make a word of each column: that is a row of the large side's channels. Squares of these
// words, transposed, are rows of the small side's.
void Signs::pack(const float* weights, size_t group, size_t tap) {
    const size_t taps = shape_.taps(), step = taps * shape_.large, columns = divide_up(shape_.large, word_bits) * word_bits;
    Rows &small = rows_[static_cast<size_t>(Side::small)], &large = rows_[static_cast<size_t>(Side::large)];
    std::vector<uint32_t> words(planes_ * columns);
    std::vector<float> rest(planes_ > 1 ? shape_.large : 0);
    for (size_t first = 0; first < shape_.small; first += word_bits) {
        const size_t count = std::min(word_bits, shape_.small - first);
        std::fill(words.begin(), words.end(), 0);
        for (size_t i = 0; i < count; ++i) {
            const float* row = weights + (group * shape_.small + first + i) * step + tap * shape_.large;
            // The highest plane first, and then what is left.
            for (size_t plane = planes_; plane--; row = rest.data()) {
                const auto factor = static_cast<float>(1 << plane);
                uint32_t* const bits = words.data() + plane * columns;
                for (size_t b = 0; b < shape_.large; ++b) bits[b] |= row[b] >= 0 ? uint32_t{1} << i : 0;
                for (size_t b = 0; plane && b < shape_.large; ++b) rest[b] = row[b] - (row[b] >= 0 ? factor : -factor);
            }
        }
        for (size_t plane = 0; plane < planes_; ++plane) {
            uint32_t* const bits = words.data() + plane * columns;
            uint32_t* small_rows = small.bits.data() +
                                   ((plane * shape_.groups + group) * shape_.small * taps + tap) * small.words;
            uint32_t* large_rows = large.bits.data() +
                                   ((plane * shape_.groups + group) * shape_.large * taps + tap) * large.words;
            for (size_t b = 0; b < shape_.large; ++b)
                large_rows[b * taps * large.words + first / word_bits] = low_byte_first(bits[b]);
            for (size_t b = 0; b < columns; b += word_bits) {
                transpose(bits + b);
                for (size_t i = 0; i < count; ++i)
                    small_rows[(first + i) * taps * small.words + b / word_bits] = low_byte_first(bits[b + i]);
            }
        }
    }
}

CanonicalWeights Signs::canonical(Side to) const {
    const Rows& rows = rows_[static_cast<size_t>(to)];
    const bool small = to == Side::small;
    return {rows.bits.data(), rows.words, planes_, shape_.groups, small ? shape_.small : shape_.large,
            small ? shape_.large : shape_.small, shape_.taps()};
}

std::shared_ptr<const Weights> Signs::arrange(Side to, const CanonicalWeights& canonical, const Product& product,
                                              Threads& threads) {
    std::atomic<Arranged*>& list = arranged_[static_cast<size_t>(to)];
    for (const Arranged* arranged = list; arranged; arranged = arranged->next)
        if (arranged->weights->holds(canonical, product)) return arranged->weights;
    auto* arranged = new Arranged{std::make_shared<Weights>(canonical, product, threads), list};
    std::shared_ptr<const Weights> weights = arranged->weights;
    while (!list.compare_exchange_weak(arranged->next, arranged)) {
    }
    return weights;
}

void Signs::run(Side to, const Images& images, const float* input, const float* scale, float* output,
                Threads& threads) {
    const LayerShape shape = {to == Side::large, shape_.y, shape_.x, static_cast<int64_t>(shape_.groups),
                              image_of(shape_, other(to), images), image_of(shape_, to, images)};
    const Kernels& kernels = choose_kernels();
    const CanonicalWeights signs = canonical(to);
    Epilogue epilogue;
    epilogue.scale = scale;
    const auto arranged = [&](const CanonicalWeights& canonical, const Product& product) {
        return arrange(to, canonical, product, threads);
    };
    const Layer layer("", shape, signs, {}, arranged, epilogue, kernels);
    const ScratchSize size = layer.scratch(threads.count());
    Aligned<uint8_t> scratch(images.count * static_cast<size_t>(size.bytes(threads.count())));
    layer.run({input, packed(shape.input)}, images.count, scratch.data(), size, {output, packed(shape.output)}, threads);
}

namespace {

const OuterProducts& choose_outer_products() {
    const std::string_view name = choose_kernels().name;
    [[maybe_unused]] const auto is = [&](std::string_view prefix) { return name.substr(0, prefix.size()) == prefix; };
#ifdef __x86_64__
    if (is("avx512")) return avx512_outer_products;
    if (is("avx2")) return avx2_outer_products;
#endif
#ifdef __aarch64__
    if (is("neon")) return neon_outer_products;
#endif
    return portable_outer_products;
}

// A matrix product for each tap: the pixels of the small image that meet one of the large image, times those. It is cut
// into tiles of rows, the small image's channels, and columns, the large image's channels of one tap; where these are
// few, of several taps, and then pixels outside of the image are zeros.
class WeightGradient {
public:
    WeightGradient(const WeightShape& shape, const std::vector<Pair>& pairs, float* gradient)
        : shape_(shape), pairs_(pairs), gradient_(gradient), outer_(choose_outer_products()) {
        const auto row_taps = static_cast<size_t>(shape.x.kernel);
        tile_taps_ = shape.large >= few_channels ? 1 : std::min(row_taps, most_columns / shape.large);
        tile_columns_ = part(shape.large, most_columns, outer_.columns);
        tile_rows_ = part(shape.small, most_rows, outer_.rows);
        while (tiles() < fewest_tiles && tile_rows_ > outer_.rows)
            tile_rows_ = divide_up(tile_rows_ / 2, outer_.rows) * outer_.rows;
    }

    void run(Threads& threads) const {
        threads.parallel_for(tiles(), [&](size_t i) {
            Tile tile;
            tile.row = i % row_parts() * tile_rows_;
            tile.rows = std::min(tile_rows_, shape_.small - tile.row);
            i /= row_parts();
            tile.column = i % column_parts() * tile_columns_;
            tile.columns = std::min(tile_columns_, shape_.large - tile.column);
            i /= column_parts();
            tile.tap = i % tap_parts() * tile_taps_;
            tile.taps = std::min(tile_taps_, shape_.taps() - tile.tap);
            tile.group = i / tap_parts();
            run_tile(tile);
        });
    }

private:
    static constexpr size_t few_channels = 48, most_columns = 256, most_rows = 224, fewest_tiles = 4;
    static constexpr size_t depth = 256;  // pixels at a time

    struct Tile {
        size_t group, tap, taps, row, rows, column, columns;

        size_t width() const { return taps * columns; }
    };

    // What meets under a tile's taps.
    struct Meetings {
        std::vector<const float*> small;
        std::vector<const float*> large;  // `taps` of each, nullptr where outside
    };

    // The largest part, a multiple of `unit`, when `total` is cut into equal parts of about `most`.
    static size_t part(size_t total, size_t most, size_t unit) {
        return divide_up(divide_up(total, divide_up(total, most)), unit) * unit;
    }

    size_t row_parts() const { return divide_up(shape_.small, tile_rows_); }
    size_t column_parts() const { return divide_up(shape_.large, tile_columns_); }
    size_t tap_parts() const { return divide_up(shape_.taps(), tile_taps_); }
    size_t tiles() const { return shape_.groups * tap_parts() * column_parts() * row_parts(); }

    void run_tile(const Tile& tile) const {
        const Meetings meetings = meet(tile);
        const size_t width = divide_up(tile.width(), outer_.columns) * outer_.columns;
        const size_t height = divide_up(tile.rows, outer_.rows) * outer_.rows;
        Aligned<float> sums(height * width), a(height * depth), b(width * depth), gathered(tile.taps > 1 ? width * depth : 0);
        std::memset(sums.data(), 0, sums.bytes());
        for (size_t first = 0; first < meetings.small.size(); first += depth) {
            const size_t count = std::min(depth, meetings.small.size() - first);
            outer_.pack_rows(meetings.small.data() + first, count, tile.rows, a.data());
            pack_columns(tile, meetings.large.data() + first * tile.taps, count, gathered.data(), b.data());
            for (size_t j = 0; j < width; j += outer_.columns)
                for (size_t i = 0; i < height; i += outer_.rows)
                    outer_.run(a.data() + i * count, b.data() + j * count, count, sums.data() + i * width + j, width,
                               first != 0);
        }
        for (size_t i = 0; i < tile.rows; ++i)
            for (size_t tap = 0; tap < tile.taps; ++tap)
                std::memcpy(gradient_ + ((tile.group * shape_.small + tile.row + i) * shape_.taps() + tile.tap + tap) *
                                            shape_.large + tile.column,
                            sums.data() + i * width + tap * tile.columns, tile.columns * sizeof(float));
    }

    void pack_columns(const Tile& tile, const float* const* large, size_t count, float* gathered, float* panels) const {
        if (tile.taps == 1) return outer_.pack_columns(large, count, tile.columns, panels);
        const float* rows[depth];
        for (size_t k = 0; k < count; ++k) {
            rows[k] = gathered;
            for (size_t tap = 0; tap < tile.taps; ++tap, gathered += tile.columns)
                if (const float* from = large[k * tile.taps + tap])
                    std::copy_n(from, tile.columns, gathered);
                else
                    std::fill_n(gathered, tile.columns, 0.0f);
        }
        outer_.pack_columns(rows, count, tile.width(), panels);
    }

    Meetings meet(const Tile& tile) const {
        Meetings meetings;
        std::vector<const float*> met(tile.taps);
        for (const Pair& pair : pairs_)
            for (size_t image = 0; image < pair.images.count; ++image)
                for (int64_t i = 0; i < pair.images.small_height; ++i)
                    for (int64_t j = 0; j < pair.images.small_width; ++j) {
                        bool any = false;
                        for (size_t tap = 0; tap < tile.taps; ++tap)
                            any |= (met[tap] = find(pair, tile, tile.tap + tap, image, i, j)) != nullptr;
                        if (!any) continue;
                        const auto pixel = (static_cast<int64_t>(image) * pair.images.small_height + i) *
                                               pair.images.small_width + j;
                        meetings.small.push_back(pair.small + static_cast<size_t>(pixel) * shape_.channels(Side::small) +
                                                 tile.group * shape_.small + tile.row);
                        meetings.large.insert(meetings.large.end(), met.begin(), met.end());
                    }
        return meetings;
    }

    // The large image's pixel that meets pixel (i, j) of the small one under a tap; nullptr where it is outside.
    const float* find(const Pair& pair, const Tile& tile, size_t tap, size_t image, int64_t i, int64_t j) const {
        const auto k = static_cast<int64_t>(tap);
        const int64_t y = at(shape_.y, i, k / shape_.x.kernel), x = at(shape_.x, j, k % shape_.x.kernel);
        if (y < 0 || y >= pair.images.large_height || x < 0 || x >= pair.images.large_width) return nullptr;
        const int64_t pixel = (static_cast<int64_t>(image) * pair.images.large_height + y) * pair.images.large_width + x;
        return pair.large + static_cast<size_t>(pixel) * shape_.channels(Side::large) + tile.group * shape_.large +
               tile.column;
    }

    static int64_t at(const Geometry& g, int64_t i, int64_t k) { return i * g.stride - g.padding + k * g.dilation; }

    const WeightShape& shape_;
    const std::vector<Pair>& pairs_;
    float* gradient_;
    const OuterProducts& outer_;
    size_t tile_taps_, tile_columns_, tile_rows_;
};

// Rows of the weights whose numbers are added up in float32.
constexpr size_t few_rows = 16;

}  // namespace

void weight_gradient(const WeightShape& shape, const std::vector<Pair>& pairs, float* gradient, Threads& threads) {
    WeightGradient(shape, pairs, gradient).run(threads);
}

void signed_sums(const WeightShape& shape, Side side, const float* values, const float* weights, float* sums,
                 Threads& threads) {
    const size_t row = shape.taps() * shape.large, rows = shape.groups * shape.small;
    const auto add = [](const float* v, const float* w, size_t count, float* to) {
        for (size_t i = 0; i < count; ++i) to[i] += w[i] >= 0 ? v[i] : -v[i];
    };
    if (side == Side::small) {
        threads.parallel_for(rows, [&](size_t a) {
            constexpr size_t partial = 16;
            float part[partial] = {};
            size_t i = a * row;
            for (; i + partial <= (a + 1) * row; i += partial) add(values + i, weights + i, partial, part);
            add(values + i, weights + i, (a + 1) * row - i, part);
            double sum = 0;
            for (const float p : part) sum += static_cast<double>(p);
            sums[a] = static_cast<float>(sum);
        });
        return;
    }
    const size_t parts = divide_up(shape.small, few_rows);
    std::vector<float> partial(shape.groups * parts * shape.large);
    threads.parallel_for(shape.groups * parts, [&](size_t item) {
        const size_t first = item % parts * few_rows, last = std::min(shape.small, first + few_rows);
        for (size_t a = first; a < last; ++a)
            for (size_t tap = 0; tap < shape.taps(); ++tap) {
                const size_t at = (item / parts * shape.small + a) * row + tap * shape.large;
                add(values + at, weights + at, shape.large, partial.data() + item * shape.large);
            }
    });
    threads.parallel_for(shape.groups * shape.large, [&](size_t b) {
        double sum = 0;
        for (size_t part = 0; part < parts; ++part)
            sum += static_cast<double>(partial[(b / shape.large * parts + part) * shape.large + b % shape.large]);
        sums[b] = static_cast<float>(sum);
    });
}

void straight_through(const WeightShape& shape, Side side, const float* weights, const float* scale, const float* shift,
                      float* gradient, Threads& threads) {
    const size_t taps = shape.taps(), large = shape.large;
    // What is left out is computed all the same, for a loop without branches becomes vectors.
    const auto change = [](float w, float s, float t, float g) {
        const float passed = s * g, sign = w >= 0 ? t : -t;
        return (std::fabs(w) <= 1 ? passed : 0.0f) + sign;
    };
    threads.parallel_for(shape.groups * shape.small, [&](size_t a) {
        const float* w = weights + a * taps * large;
        float* g = gradient + a * taps * large;
        if (side == Side::small) {
            const float s = scale[a], t = shift[a];
            for (size_t i = 0; i < taps * large; ++i) g[i] = change(w[i], s, t, g[i]);
            return;
        }
        const float *s = scale + a / shape.small * large, *t = shift + a / shape.small * large;
        for (size_t tap = 0; tap < taps; ++tap, w += large, g += large)
            for (size_t b = 0; b < large; ++b) g[b] = change(w[b], s[b], t[b], g[b]);
    });
}

}  // namespace pbgen
