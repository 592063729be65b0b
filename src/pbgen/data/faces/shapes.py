"""Signed distances to plane shapes: negative inside, in the units of x and y, exact to first order at the outline.

Unions are np.minimum, intersections np.maximum. Only operations that IEEE 754 rounds correctly are used (no sine, no
power), so that a pixel has the same value on every machine and in every batch.
"""

import math
from itertools import pairwise

import numpy as np

from pbgen.data.faces.draws import Array

Number = Array | float


def ellipse(x: Array, y: Array, rx: Number, ry: Number) -> Array:
    """Centred ellipse. The implicit function over the length of its gradient."""
    a: Array = x / rx
    b: Array = y / ry
    inside: Array = a * a + b * b - 1
    a /= rx
    b /= ry
    slope = np.sqrt(a * a + b * b)
    slope *= 2
    slope += 1e-6  # the centre has no gradient
    inside /= slope
    return inside


def circle(x: Array, y: Array, radius: Number) -> Array:
    """Centred disc."""
    away: Array = np.sqrt(x * x + y * y) - radius
    return away


def box(x: Array, y: Array, half_width: Number, half_height: Number, corner: Number) -> Array:
    """Centred rectangle with round corners."""
    a: Array = np.abs(x) - (half_width - corner)
    b: Array = np.abs(y) - (half_height - corner)
    within = np.minimum(np.maximum(a, b), 0)
    np.maximum(a, 0, out=a)
    np.maximum(b, 0, out=b)
    return np.sqrt(a * a + b * b) + within - corner


def above(x: Array, y: Array, height: Number, slope: Number = 0.0, bend: Number = 0.0) -> Array:
    """Everything above (at smaller y than) the curve y = height + slope |x| + bend x**2."""
    across = np.abs(x)
    steep = across * (2 * bend) + slope
    across *= across * bend + slope
    return (y - height - across) / np.sqrt(steep * steep + 1)


def lens(x: Array, y: Array, half_width: Number, up: Number, down: Number) -> tuple[Array, Array]:
    """Between two parabolas that meet at x = +-half_width: one rises `up` above 0 at the middle, one sinks `down`.

    The two edges' distances, for `Area.between`.
    """
    upper = -above(x, y, -up, 0.0, up / (half_width * half_width))
    lower = above(x, y, down, 0.0, -down / (half_width * half_width))
    return upper, lower


def bow(x: Array, y: Array, half_width: Number, bend: Number) -> Array:
    """Distance (never negative) to the line y = bend x**2, |x| < half_width: thicken it with `Area.stroke`."""
    line = np.abs(above(x, y, 0.0, 0.0, bend))
    beyond = np.maximum(np.abs(x) - half_width, 0)
    distance: Array = np.sqrt(line * line + beyond * beyond)
    return distance


def convex(x: Array, y: Array, corners: tuple[tuple[float, float], ...]) -> Array:
    """Convex polygon, its corners clockwise as seen (y points down)."""
    sides: list[Array] = []
    for (ax, ay), (bx, by) in pairwise((*corners, corners[0])):
        length = math.hypot(bx - ax, by - ay)
        sides.append((x - ax) * ((by - ay) / length) - (y - ay) * ((bx - ax) / length))
    outline: Array = np.maximum.reduce(sides)
    return outline


def joined(a: Array, b: Array, round_off: float) -> Array:
    """The union of two shapes, its inner corner filled over about `round_off` (the quadratic smooth minimum)."""
    overlap = np.maximum(round_off - np.abs(a - b), 0)
    return np.minimum(a, b) - overlap * overlap * (0.25 / round_off)


def ripple(t: Array) -> Array:
    """A wave of period 1 and height -1..1, made of parabolas: close to a sine, without one."""
    phase: Array = t - np.floor(t) - 0.5
    wave: Array = phase * (16 * np.abs(phase) - 8)
    return wave
