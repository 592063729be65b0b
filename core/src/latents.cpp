#include "latents.h"

#include <cmath>

namespace pbgen {
namespace {

constexpr double two_pi = 6.283185307179586476925286766559;

// Number `position` of SplitMix64's sequence.
uint64_t bits(uint64_t seed, uint64_t position) {
    uint64_t x = seed + (position + 1) * 0x9E3779B97F4A7C15;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
    x = (x ^ x >> 27) * 0x94D049BB133111EB;
    return x ^ x >> 31;
}

struct Point {
    double x, y;
};

// The point after so many turns (0 to 1) around the circle, by Taylor's series from the nearest quarter. The library's
// sine knows angles of every size and every kind of processor, and would be 20 KB in a static program.
Point on_circle(double turns) {
    const int quarters = static_cast<int>(turns * 4 + 0.5);
    const double angle = two_pi * (turns - quarters * 0.25), square = angle * angle;  // -pi/4 .. pi/4
    double cosine = 1, sine = 1;
    for (int n = 18; n > 0; n -= 2) {
        cosine = 1 - cosine * square / (n * (n - 1));
        sine = 1 - sine * square / (n * (n + 1));
    }
    sine *= angle;
    switch (quarters % 4) {
        case 0: return {cosine, sine};
        case 1: return {-sine, cosine};
        case 2: return {-cosine, -sine};
        default: return {sine, -cosine};
    }
}

// By the inverse hyperbolic tangent's series. The library's logarithm looks up 4 KB of numbers.
double logarithm(double x) {
    int exponent;
    double part = std::frexp(x, &exponent);
    if (part < 0.70710678118654752) part *= 2, --exponent;
    const double ratio = (part - 1) / (part + 1);
    double sum = 0;
    for (int n = 23; n > 0; n -= 2) sum = sum * ratio * ratio + 1.0 / n;
    return exponent * 0.69314718055994531 + 2 * ratio * sum;
}

// Box and Muller's: numbers 2j and 2j + 1 are the coordinates of one point.
float normal(uint64_t seed, uint64_t i) {
    const uint64_t even = i & ~uint64_t{1};
    const double radius = std::sqrt(-2 * logarithm(static_cast<double>((bits(seed, even) >> 11) + 1) * 0x1p-53));
    const Point point = on_circle(static_cast<double>(bits(seed, even + 1) >> 11) * 0x1p-53);
    return static_cast<float>(radius * (i == even ? point.x : point.y));
}

}  // namespace

void draw_latents(uint64_t seed, uint64_t first, size_t count, float* out) {
    for (size_t i = 0; i < count; ++i) out[i] = normal(seed, first + i);
}

// Of 24 bits, so that none is rounded up to 1.
void draw_uniform(uint64_t seed, uint64_t first, size_t count, float* out) {
    for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(bits(seed, first + i) >> 40) * 0x1p-24f;
}

}  // namespace pbgen
