// The memory that calls leave to those after them. Without a lock: a child that was forked while another thread held one
// would wait for it for ever.
#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "aligned.h"

namespace pbgen {

class Workspaces {
public:
    using Workspace = std::unique_ptr<Aligned<float>>;

    ~Workspaces() {
        for (std::atomic<Aligned<float>*>& place : places_) delete place.load();
    }

    // One of at least so many numbers.
    Workspace take(size_t numbers) {
        Workspace workspace = find();
        if (!workspace) workspace = std::make_unique<Aligned<float>>();
        if (workspace->size() >= numbers) return workspace;
        bytes_ -= workspace->bytes();
        *workspace = {};
        *workspace = Aligned<float>(numbers);
        bytes_ += workspace->bytes();
        return workspace;
    }

    void give_back(Workspace workspace) {
        for (std::atomic<Aligned<float>*>& place : places_) {
            Aligned<float>* nothing = nullptr;
            if (place.compare_exchange_strong(nothing, workspace.get())) return static_cast<void>(workspace.release());
        }
        bytes_ -= workspace->bytes();
    }

    // Of all, those in use among them.
    size_t bytes() const { return bytes_; }

private:
    Workspace find() {
        for (std::atomic<Aligned<float>*>& place : places_)
            if (Aligned<float>* kept = place.exchange(nullptr)) return Workspace(kept);
        return nullptr;
    }

    std::array<std::atomic<Aligned<float>*>, 64> places_{};
    std::atomic<size_t> bytes_{0};
};

}  // namespace pbgen
