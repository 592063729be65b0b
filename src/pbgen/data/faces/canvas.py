"""A block of images being painted, seen in each face's own coordinates."""

from functools import lru_cache
from itertools import product

import numpy as np

from pbgen.data.faces.draws import Array, Rows
from pbgen.data.faces.people import MAX_SHIFT, MAX_TILT, SCALE, People

Box = tuple[float, float, float, float]


class Area:
    """A rectangle of some images: where one part of the face is painted.

    x, y: float32 (n, h, w), each pixel's centre in the coordinates of its face: x to the right, y down, the head about
    1 wide and 1.2 high around the origin. pixel: (n, 1, 1), the width of a pixel in those units.
    """

    def __init__(self, rgb: Array, people: People, rows: Rows | None, bounds: Box) -> None:
        size = rgb.shape[-1]
        down, across = _pixels(bounds, size)
        centres = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
        x = centres[None, None, across] - people.shift_x
        y = centres[None, down, None] - people.shift_y
        cos, sin = people.cos / people.scale, people.sin / people.scale
        self.x: Array = x * cos + y * sin
        self.y: Array = y * cos - x * sin
        self.pixel: Array = 2 / size / people.scale
        self._rgb = rgb[:, :, down, across]
        self._rows = rows

    def cover(self, distance: Array, soft: Array | float = 0.0) -> Array:
        """Share of each pixel inside a shape, 0..1, with an edge blurred by `soft`."""
        coverage: Array = distance / -np.sqrt(self.pixel * self.pixel + soft * soft)
        coverage += 0.5
        np.maximum(coverage, 0, out=coverage)
        np.minimum(coverage, 1, out=coverage)
        if isinstance(soft, float) and soft == 0.0:
            return coverage
        return coverage * coverage * (3 - 2 * coverage)

    def between(self, edge: Array, other: Array) -> Array:
        """Share of each pixel inside two shapes at once, exact where their edges are parallel, however close."""
        coverage = self.cover(edge) + self.cover(other)
        coverage -= 1
        return np.maximum(coverage, 0, out=coverage)

    def stroke(self, distance: Array, half_width: Array | float) -> Array:
        """Share of each pixel within `half_width` of a line.

        A line thinner than a pixel still touches a pixel's width and is made paler for it, so that small pictures hold
        the same ink as large ones.
        """
        thin = np.minimum(half_width / self.pixel, 0.5)
        ink = 2 * thin / (thin + 0.5) ** 2
        return self.cover(distance - half_width) * ink

    def paint(self, colour: Array, coverage: Array) -> None:
        """Blend `colour`, (n, 3, 1, 1) or (n, 3, h, w), over the images."""
        below = self._rgb if self._rows is None else self._rgb[self._rows]
        change = colour - below
        change *= coverage[:, None]
        if self._rows is None:
            below += change
        else:
            self._rgb[self._rows] = below + change

    def darken(self, amount: Array) -> None:
        """Multiply the images' light by 1 - amount, (n, h, w)."""
        factor = (1 - amount)[:, None]
        if self._rows is None:
            self._rgb *= factor
        else:
            self._rgb[self._rows] *= factor


class Canvas:
    """Images of `people` (those at `rows` of the block, or all of them) on the way: float32 RGB in 0..1."""

    def __init__(self, rgb: Array, people: People, rows: Rows | None = None) -> None:
        self._rgb, self._people, self._rows = rgb, people, rows

    def area(self, left: float = -9, top: float = -9, right: float = 9, bottom: float = 9) -> Area:
        """The pixels between these face coordinates; left out: to the border of the picture."""
        return Area(self._rgb, self._people, self._rows, (left, top, right, bottom))


@lru_cache(maxsize=4096)
def _pixels(bounds: Box, size: int) -> tuple[slice, slice]:
    """Rows and columns that hold `bounds` (left, top, right, bottom) however a face is posed."""
    left, top, right, bottom = bounds
    xs, ys = [], []
    for x, y, scale, tilt in product((left, right), (top, bottom), SCALE, (-MAX_TILT, MAX_TILT)):
        xs += [scale * (x - tilt * y) - MAX_SHIFT, scale * (x - tilt * y) + MAX_SHIFT]
        ys += [scale * (y + tilt * x) - MAX_SHIFT, scale * (y + tilt * x) + MAX_SHIFT]

    def pixels(low: float, high: float) -> slice:
        return slice(max(0, int((low + 1) / 2 * size) - 1), min(size, int((high + 1) / 2 * size) + 2))

    return pixels(min(ys), max(ys)), pixels(min(xs), max(xs))
