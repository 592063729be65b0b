#include "tiles.h"

#include <algorithm>
#include <cmath>

#include "error.h"

namespace pbgen {
namespace {

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

Pixels all(const Shape& shape, size_t axis) { return {0, shape[axis]}; }

// Where pixels of the input begin, on an axis that moves by `trace`: exact, since they are multiples of the alignment.
int64_t moved(const Trace& trace, int64_t pixels) { return pixels / trace.numerator * trace.denominator; }

}  // namespace

Tiles::Tiles(const Graph& graph, const std::vector<Shape>& inputs, int64_t tile)
    : graph_(graph),
      inputs_(inputs),
      tile_(tile),
      bound_(bind(graph, inputs, most_in_tiles)),
      locality_(find_locality(graph, bound_)) {
    if (graph.free.empty()) fail("has no free size, so there is nothing to cut into tiles");
    if (tile < 1) fail("a tile must have at least one pixel");
}

size_t Tiles::count() const {
    size_t count = 1;
    for (size_t size = 0; size < graph_.free.size(); ++size)
        if (__builtin_mul_overflow(count, stretches(size), &count)) fail("is too large for tiles of ", tile_, " pixels");
    return count;
}

int64_t Tiles::step(size_t size) const {
    return divide_up(tile_, locality_.align[size]) * locality_.align[size];
}

// As many as make something: without padding a picture's outputs end before it does.
size_t Tiles::stretches(size_t size) const {
    int64_t count = 1;
    for (size_t i = 0; i < locality_.outputs.size(); ++i)
        for (size_t axis = 0; axis < locality_.outputs[i].size(); ++axis) {
            const Trace& trace = locality_.outputs[i][axis];
            if (trace.size == size) count = std::max(count, divide_up(output(i)[axis], moved(trace, step(size))));
        }
    return static_cast<size_t>(std::min(count, divide_up(bound_.sizes[size], step(size))));
}

// Output pixels of an axis that a stretch makes: the last makes all that is left.
Pixels Tiles::core_of(const Trace& trace, const Stretch& stretch, int64_t whole) const {
    const bool last = stretch.core.end == bound_.sizes[trace.size];
    const int64_t end = last ? whole : std::min(whole, moved(trace, stretch.core.end));
    return {std::min(end, moved(trace, stretch.core.begin)), end};
}

Tiles::Stretch Tiles::stretch(size_t size, size_t index) const {
    const int64_t align = locality_.align[size], all_pixels = bound_.sizes[size];
    const int64_t begin = static_cast<int64_t>(index) * step(size);
    const int64_t end = index + 1 == stretches(size) ? all_pixels : std::min(begin + step(size), all_pixels);
    Stretch stretch{{begin, end}, {begin, begin}};
    for (size_t i = 0; i < locality_.outputs.size(); ++i)
        for (size_t axis = 0; axis < locality_.outputs[i].size(); ++axis) {
            const Trace& trace = locality_.outputs[i][axis];
            if (trace.size != size) continue;
            const Pixels core = core_of(trace, stretch, output(i)[axis]);
            if (core.size() == 0) continue;
            const double first = std::floor(static_cast<double>(core.begin) * trace.step() + trace.low);
            const double last = std::ceil(static_cast<double>(core.end - 1) * trace.step() + trace.high);
            // Some networks reach further than an integer says.
            const auto pixel = [&](double at) { return static_cast<int64_t>(std::clamp(at, 0.0, static_cast<double>(all_pixels))); };
            stretch.needed.begin = std::min(stretch.needed.begin, pixel(first));
            stretch.needed.end = std::max(stretch.needed.end, pixel(last + 1));
        }
    stretch.needed.begin = stretch.needed.begin / align * align;
    stretch.needed.end = std::min(all_pixels, divide_up(stretch.needed.end, align) * align);
    return stretch;
}

std::vector<Tiles::Stretch> Tiles::at(size_t index) const {
    std::vector<Stretch> stretched;
    for (size_t size = 0; size < graph_.free.size(); ++size) {
        stretched.push_back(stretch(size, index % stretches(size)));
        index /= stretches(size);
    }
    return stretched;
}

std::vector<Cut> Tiles::input_cuts(size_t index) const {
    const std::vector<Stretch> stretched = at(index);
    std::vector<Cut> cuts(inputs_.size());
    for (size_t i = 0; i < cuts.size(); ++i)
        for (size_t axis = 0; axis < inputs_[i].rank; ++axis) {
            const Trace& trace = locality_.inputs[i][axis];
            Pixels& whole = cuts[i].whole[axis];
            whole = all(inputs_[i], axis);
            if (trace.size == none) continue;
            const Pixels& needed = stretched[trace.size].needed;
            whole.begin = moved(trace, needed.begin);
            if (needed.end < bound_.sizes[trace.size]) whole.end = moved(trace, needed.end);
        }
    return cuts;
}

std::vector<Cut> Tiles::output_cuts(size_t index) const {
    const std::vector<Stretch> stretched = at(index);
    std::vector<Cut> cuts(graph_.outputs.size());
    for (size_t i = 0; i < cuts.size(); ++i)
        for (size_t axis = 0; axis < output(i).rank; ++axis) {
            const Trace& trace = locality_.outputs[i][axis];
            Pixels &whole = cuts[i].whole[axis], &made = cuts[i].made[axis];
            whole = all(output(i), axis);
            if (trace.size != none) whole = core_of(trace, stretched[trace.size], whole.end);
            const int64_t before = trace.size == none ? 0 : moved(trace, stretched[trace.size].needed.begin);
            made = {whole.begin - before, whole.end - before};
        }
    return cuts;
}

std::vector<Shape> Tiles::input_shapes(size_t index) const {
    std::vector<Shape> shapes = inputs_;
    const std::vector<Cut> cuts = input_cuts(index);
    for (size_t i = 0; i < shapes.size(); ++i)
        for (size_t axis = 0; axis < shapes[i].rank; ++axis) shapes[i][axis] = cuts[i].whole[axis].size();
    return shapes;
}

// Where a layer pads or scales by the picture's size, a tile may do so otherwise.
void Tiles::check(const std::vector<Shape>& tile) const {
    if (!(find_locality(graph_, bind(graph_, tile)) == locality_))
        fail("does otherwise with a tile than with the whole picture; give sizes that are multiples of ",
             *std::max_element(locality_.align.begin(), locality_.align.end()));
}

}  // namespace pbgen
