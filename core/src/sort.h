// Sorting that takes little room in a program: of the standard library each type's takes kilobytes. Equal items keep their order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace pbgen {

// Pairs of sorted runs are merged, until one is left.
template <class Item, class Less>
void sort(std::vector<Item>& items, const Less& less) {
    std::vector<Item> merged(items.size());
    for (size_t run = 1; run < items.size(); run *= 2) {
        for (size_t begin = 0, at = 0; begin < items.size(); begin += 2 * run) {
            const size_t middle = std::min(items.size(), begin + run), end = std::min(items.size(), middle + run);
            for (size_t left = begin, right = middle; at < end; ++at) {
                const bool from_right = left == middle || (right < end && less(items[right], items[left]));
                merged[at] = std::move(items[from_right ? right++ : left++]);
            }
        }
        items.swap(merged);
    }
}

}  // namespace pbgen
