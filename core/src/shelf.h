// What calls leave to those after them. A call takes a thing for itself, and puts it back. Without a lock: a child that was forked
// while another thread held one would wait for it for ever.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>

namespace pbgen {

template <class Thing, size_t places>
class Shelf {
public:
    using Item = std::unique_ptr<Thing>;

    ~Shelf() {
        for (std::atomic<Thing*>& place : places_) delete place.load();
    }

    // One that suits, or nullptr: also where another thread has it just now.
    template <class Suits>
    Item take(const Suits& suits) {
        for (std::atomic<Thing*>& place : places_) {
            Item item(place.exchange(nullptr));
            if (item && suits(*item)) return item;
            if (item) put(std::move(item));
        }
        return nullptr;
    }

    // Where there is no place left, another goes.
    void put(Item item) {
        for (std::atomic<Thing*>& place : places_) {
            Thing* nothing = nullptr;
            if (place.compare_exchange_strong(nothing, item.get())) return static_cast<void>(item.release());
        }
        item.reset(places_[next_++ % places].exchange(item.release()));
    }

private:
    std::array<std::atomic<Thing*>, places> places_{};
    std::atomic<size_t> next_{0};
};

}  // namespace pbgen
