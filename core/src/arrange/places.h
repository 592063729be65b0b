// Where each value of a graph comes to lie, as one after another is arranged.
//
// Parts of what will be joined, and what will be padded, are made where the whole will be (homes.h).
#pragma once

#include <map>
#include <vector>

#include "homes.h"
#include "schedule.h"
#include "uses.h"

namespace pbgen {

class Places {
public:
    // The inputs are with the caller.
    Places(const Graph& graph, const Bound& bound, const Uses& uses, Schedule& schedule);

    // That of the next value.
    void add(const Place& place) { places_.push_back(place); }

    const Place& operator[](size_t value) const { return places_[value]; }
    const Place& input(const Node& node, size_t i = 0) const { return places_[node.inputs[i]]; }
    // What a program reads: the inputs from `first` on, broadcast.
    std::vector<Place> operands(const Node& node, size_t first, const Shape& shape) const;

    // For a value that is not yet made.

    // Which one it is to be made in, or none.
    size_t home(size_t value) const { return homes_[value].in; }
    // It will be copied there.
    void leave_home(size_t value) { homes_[value] = {}; }
    // The order in which it is kept: as layers want it, or else like what it is made of.
    Strides order(size_t value, const Place* like) const;
    // Where its numbers go: into another, to the caller where nobody else reads them, or with these strides to memory.
    Place destination(size_t value, const Strides& strides);

private:
    Place reserve(size_t value);

    const Bound& bound_;
    const Uses& uses_;
    Schedule& schedule_;
    std::vector<Home> homes_;           // by value
    std::map<size_t, Place> reserved_;  // by value: where it will be made, and parts of it are already
    std::vector<Place> places_;         // by value
};

}  // namespace pbgen
