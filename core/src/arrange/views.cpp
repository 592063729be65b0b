#include "views.h"

#include <algorithm>

namespace pbgen {

// Dimensions of `from` that lie together make runs, within which any shape can be seen; `to` must fall into the same
// runs.
bool reshape_strides(const Shape& from, const Strides& strides, const Shape& to, Strides* result) {
    size_t at = to.rank;
    for (size_t last = from.rank; last-- > 0;) {
        if (from[last] == 1) continue;
        int64_t run = from[last];
        size_t first = last;
        // A dimension of 1 has no stride that counts.
        for (size_t next = first; next-- > 0;) {
            if (from[next] == 1) continue;
            if (strides[next] != strides[last] * run) break;
            run *= from[next];
            first = next;
        }
        int64_t step = strides[last];
        for (; at > 0 && (run > 1 || to[at - 1] == 1); --at) {
            if (run % to[at - 1]) return false;
            (*result)[at - 1] = step;
            step *= to[at - 1];
            run /= to[at - 1];
        }
        if (run > 1) return false;
        last = first;
    }
    for (; at > 0; --at) (*result)[at - 1] = 0;  // all of them are 1
    return true;
}

bool same_places(const Shape& shape, const Strides& strides, const Strides& others) {
    for (size_t i = 0; i < shape.rank; ++i)
        if (shape[i] > 1 && strides[i] != others[i]) return false;
    return true;
}

Strides dense_like(const Shape& shape, const Strides& like) {
    const auto step = [&](size_t i) { return shape[i] == 1 ? INT64_MAX : like[i] < 0 ? -like[i] : like[i]; };
    size_t order[max_rank];
    for (size_t i = 0; i < shape.rank; ++i) {
        size_t place = i;
        for (; place > 0 && step(order[place - 1]) < step(i); --place) order[place] = order[place - 1];
        order[place] = i;
    }
    Strides strides;
    int64_t next = 1;
    for (size_t i = shape.rank; i-- > 0; next *= shape[order[i]]) strides[order[i]] = next;
    return strides;
}

}  // namespace pbgen
