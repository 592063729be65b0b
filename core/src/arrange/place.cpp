#include "place.h"

#include "views.h"

namespace pbgen {

bool is_same(const Place& place, const Place& other) {
    return place.of == other.of && place.index == other.index && place.offset == other.offset &&
           place.shape == other.shape && same_places(place.shape, place.strides, other.strides);
}

bool is_image(const Place& place) {
    if (!has_channels(place.shape) || place.of == Place::Of::constant) return false;
    if (place.shape[1] > 1 && place.strides[1] != 1) return false;
    for (size_t axis = 2; axis < place.shape.rank; ++axis)
        if (place.shape[axis] > 1 && place.strides[axis] < place.shape[1]) return false;
    return true;
}

Layout layout(const Place& place) {
    const size_t rank = place.shape.rank;
    const int64_t pixel = place.strides[rank - 1];
    return {place.image, rank == 4 ? place.strides[2] : place.shape[rank - 1] * pixel, pixel};
}

bool is_packed(const Place& place, const Strides& strides) {
    const bool readable = place.of == Place::Of::buffer || place.of == Place::Of::input;
    return readable && !place.offset && place.image == place.shape.size() &&
           same_places(place.shape, place.strides, strides);
}

}  // namespace pbgen
