// The extremes of an image's values, gathered by the threads that make them.
#pragma once

#include <atomic>

#include "aligned.h"
#include "arch/kernels.h"

namespace pbgen {

// Threads mostly find that what they bring is no news, and only read: else processors would wait for each other.
class alignas(cache_line) SharedExtremes {
public:
    void add(const Extremes& found) {
        raise(below_, -found.low);
        raise(high_, found.high);
        raise(four_, found.four);
    }

    Extremes get() const { return {-get(below_), get(high_), get(four_)}; }

private:
    static float get(const std::atomic<float>& value) { return value.load(std::memory_order_relaxed); }

    static void raise(std::atomic<float>& highest, float value) {
        float known = highest.load(std::memory_order_relaxed);
        while (value > known && !highest.compare_exchange_weak(known, value, std::memory_order_relaxed)) {
        }
    }

    std::atomic<float> below_{0}, high_{0}, four_{0};
};

}  // namespace pbgen
