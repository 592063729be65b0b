"""Outlines and light that several parts of a face share."""

import numpy as np

from pbgen.data.faces.canvas import Area
from pbgen.data.faces.draws import Array
from pbgen.data.faces.people import People
from pbgen.data.faces.shapes import ellipse


def skull(a: Area, p: People) -> Array:
    """Distance to the outline of the head: an ellipse that narrows towards the chin."""
    narrow = np.maximum(a.y, 0)
    half = p.width * (1 - p.jaw * narrow * narrow * 2)
    return ellipse(a.x, a.y, half, p.height)


def torso(a: Area, p: People) -> Array:
    """Distance to the outline of the shoulders."""
    y = a.y - p.shoulders_y
    chest, nape = ellipse(a.x, y - 0.6, p.shoulders, 0.6), ellipse(a.x, y - 0.28, p.shoulders * 0.5, 0.34)
    return np.minimum(chest, nape)


def away(a: Area, p: People) -> Array:
    """How far the pixels lie on the side away from the light, 0..1."""
    shadow: Array = np.clip(0.1 - a.x * p.light * 1.4, 0, 1)
    return shadow
