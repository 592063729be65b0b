// Latent vectors as a function of a seed: the same as those of `pbgen generate`.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pbgen {

// Standard normal numbers first .. first + count - 1 of the sequence that `seed` begins. src/pbgen/latents.py gives the
// formula; logarithms and sines may differ in the last place of a double, so equality is to one unit of float32.
void draw_latents(uint64_t seed, uint64_t first, size_t count, float* out);

// The same of uniform numbers, 0 <= x < 1.
void draw_uniform(uint64_t seed, uint64_t first, size_t count, float* out);

}  // namespace pbgen
