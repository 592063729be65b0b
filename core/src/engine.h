// A generator that is loaded and ready: runs its graph for inputs of any sizes that the graph allows.
//
// Where no size is free, all is arranged at once; else when sizes are met first, and kept for the next call with
// them. Large batches are run in parts, and pictures in tiles (tiles.h) where that is asked for.
#pragma once

#include <memory>
#include <vector>

#include "aligned.h"
#include "arrangement.h"
#include "model.h"
#include "shelf.h"
#include "tiles.h"
#include "workspaces.h"

namespace pbgen {

class Engine {
public:
    // `integers`: whether layers round what they read to integers of 8 bits, where that is faster. Throws Error.
    Engine(const Container& container, const Kernels& kernels, unsigned threads, bool integers);

    const Graph& graph() const { return model_.graph(); }
    const std::vector<LayerInfo>& layers() const { return model_.layers(); }
    size_t resident_bytes() const { return sizeof *this + model_.bytes() + workspaces_.bytes(); }

    // `shapes` are those of the inputs, with the batch's 1, or nullptr where no size is free. These functions throw Error
    // where they are not what the graph takes.
    std::vector<Shape> output_shapes(const Shape* shapes);
    size_t workspace_bytes(const Shape* shapes, size_t batch);
    // Each layer's multiply-adds for one image.
    std::vector<uint64_t> operations(const Shape* shapes);

    // Any number of threads may call it at once, and a process may fork meanwhile. Inputs and outputs are row-major, one
    // image after another. `workspace`, where it is given, has workspace_bytes(shapes, batch), at any address. `seconds`,
    // where given, gets the time of each layer.
    void run(const float* const* inputs, const Shape* shapes, size_t batch, float* const* outputs,
             void* workspace = nullptr, double* seconds = nullptr);

    // The tiles of a picture too large to be made as a whole, `tile` pixels of the inputs along each free size: how many,
    // and the making of one, in any order, of one image. Throws Error where the network is not local.
    size_t tiles(const Shape* shapes, int64_t tile);
    void run_tile(const float* const* inputs, const Shape* shapes, int64_t tile, size_t index, float* const* outputs);

private:
    using Arrangements = Shelf<const Arrangement, 16>;
    using Cuttings = Shelf<const Tiles, 1>;

    // Calls use(arrangement).
    template <class Use>
    void with_arrangement(const Shape* shapes, const Use& use);
    Cuttings::Item cutting(const Shape* shapes, int64_t tile);
    std::vector<Shape> all(const Shape* shapes) const;
    static size_t images_at_once(const Arrangement& arrangement);
    static std::string run_parts(const Arrangement& arrangement, const float* const* inputs, size_t batch,
                                 float* const* outputs, float* workspace, double* seconds);

    Model model_;
    std::unique_ptr<const Arrangement> fixed_;  // where no size is free
    Arrangements arrangements_;                 // of recent shapes
    Cuttings cuttings_;
    Workspaces workspaces_;
};

}  // namespace pbgen
