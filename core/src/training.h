// What a training step asks of a layer with binary weights, beside torch: the products with its signs, or with planes of
// them, and the gradient to its weights.
//
// A convolution and a transposed convolution are one thing seen from two sides. Its weights [A][taps][B] connect a small
// image, whose pixels have A channels, with a large one, of B channels: pixel i of the small image meets pixel
// i stride - padding + k dilation of the large one under tap k. A transposed convolution goes from the small image to
// the large one, and its gradient back; a convolution the other way round.
//
// All images have the channels innermost. A and B are those of one group; the groups lie side by side in an image, and
// one after another in the weights: [groups][A][taps][B].
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "aligned.h"
#include "image.h"
#include "threads.h"
#include "weights.h"

namespace pbgen {

enum class Side : uint8_t { small, large };

struct WeightShape {
    size_t groups, small, large;  // channels of one group
    Geometry y, x;

    size_t taps() const { return static_cast<size_t>(y.kernel * x.kernel); }
    size_t size() const { return groups * small * taps() * large; }
    size_t channels(Side side) const { return groups * (side == Side::small ? small : large); }
};

// A number of images of both sides.
struct Images {
    size_t count;
    int64_t small_height, small_width, large_height, large_width;
};

// The signs of a layer's weights, in planes, as the products in both directions read them.
class Signs {
public:
    // A weight is the nearest sum of 2^p s_p over the planes p: of one plane +1 where it is at least 0, else -1. `weights`
    // is read here alone.
    Signs(const WeightShape& shape, const float* weights, size_t planes, Threads& threads);
    ~Signs();

    // The images of side `to` from those of the other: the sums of inputs times these sums, times the `scale` of their channel
    // where it is given.
    void run(Side to, const Images& images, const float* input, const float* scale, float* output, Threads& threads);

private:
    // Bit rows [planes][groups][channels of one side][taps], each over the channels of the other.
    struct Rows {
        size_t words;  // of a row
        Aligned<uint32_t> bits;
    };

    // In a list that only grows, and without a lock: a child that was forked while another thread held one would wait for
    // it for ever.
    struct Arranged {
        std::shared_ptr<const Weights> weights;
        Arranged* next;
    };

    void pack(const float* weights, size_t group, size_t tap);
    CanonicalWeights canonical(Side to) const;
    std::shared_ptr<const Weights> arrange(Side to, const CanonicalWeights& canonical, const Product& product,
                                           Threads& threads);

    const WeightShape shape_;
    const size_t planes_;
    Rows rows_[2];  // by the side whose channels the rows are
    std::atomic<Arranged*> arranged_[2]{};  // by the side whose images they make
};

// Images of both sides whose outer products add to a gradient.
struct Pair {
    Images images;
    const float *small, *large;
};

// gradient[a][tap][b] = sum over pairs and pixels that meet under the tap of small[a] large[b]. Each number is one
// thread's sum in one order.
void weight_gradient(const WeightShape& shape, const std::vector<Pair>& pairs, float* gradient, Threads& threads);

// For each channel of side `side`: the sum of values * sign(weights), of `shape`. values == weights gives sums of |w|.
void signed_sums(const WeightShape& shape, Side side, const float* values, const float* weights, float* sums,
                 Threads& threads);

// From the gradient to the binary weights to that to the latent ones, in place, for each channel of side `side`:
//     g = scale g [|w| <= 1] + sign(w) shift
void straight_through(const WeightShape& shape, Side side, const float* weights, const float* scale, const float* shift,
                      float* gradient, Threads& threads);

}  // namespace pbgen
