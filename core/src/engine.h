// A generator that is loaded and ready: runs its graph for inputs of any sizes that the graph allows.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "aligned.h"
#include "arrangement.h"
#include "model.h"
#include "tiles.h"

namespace pbgen {

class Engine {
public:
    // `integers`: whether layers round what they read to integers of 8 bits, where that is faster. Throws Error.
    Engine(const Container& container, const Kernels& kernels, unsigned threads, bool integers);

    const Graph& graph() const { return model_.graph(); }
    const std::vector<LayerInfo>& layers() const { return model_.layers(); }
    size_t resident_bytes() const;

    // `shapes` are those of the inputs, with the batch's 1, or nullptr where no size is free. These functions throw Error where they are not
    // what the graph takes.
    std::vector<Shape> output_shapes(const Shape* shapes);
    size_t workspace_bytes(const Shape* shapes, size_t batch);

    // Any number of threads may call it at once. Inputs and outputs are row-major, one image after another. `workspace`,
    // where it is given, has workspace_bytes(shapes, batch), at any address. `seconds`, where given, gets the time of each
    // layer.
    void run(const float* const* inputs, const Shape* shapes, size_t batch, float* const* outputs,
             void* workspace = nullptr, double* seconds = nullptr);

    // The tiles of a picture too large to be made as a whole, `tile` pixels of the inputs along each free size: how many, and the making of one, in any
    // order, of one image. Throws Error where the network is not local.
    size_t tiles(const Shape* shapes, int64_t tile);
    void run_tile(const float* const* inputs, const Shape* shapes, int64_t tile, size_t index, float* const* outputs);

private:
    using Cutting = std::shared_ptr<const Tiles>;
    Cutting cutting(const Shape* shapes, int64_t tile);

    using Arranged = std::shared_ptr<const Arrangement>;

    Arranged arrangement(const Shape* shapes);
    Arranged known(const Shape* shapes);
    static size_t images_at_once(const Arrangement& arrangement);
    Aligned<float> take_workspace(size_t numbers);
    void give_back(Aligned<float> workspace);
    static void run_parts(const Arrangement& arrangement, const float* const* inputs, size_t batch, float* const* outputs,
                          float* workspace, double* seconds);

    Model model_;

    mutable std::mutex mutex_;
    std::list<Arranged> arranged_;  // of recent shapes, the last one first
    Cutting cutting_;  // the last one
    // Workspaces not in use: as many as there were calls at the same time.
    std::vector<Aligned<float>> workspaces_;
    size_t workspace_bytes_ = 0;
};

}  // namespace pbgen
