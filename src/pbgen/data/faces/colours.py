"""Colours: float32 sRGB in 0..1, shape (n, 3, 1, 1), to broadcast over pixels."""

import numpy as np
import numpy.typing as npt

from pbgen.data.faces.draws import Array, Draws


def palette(colours: str) -> Array:
    """Colours from "rrggbb rrggbb ...": (k, 3, 1, 1)."""
    values = [list(bytes.fromhex(colour)) for colour in colours.split()]
    return np.array(values, dtype=np.float32)[..., None, None] / 255


def ramp(colours: Array, position: Array) -> Array:
    """The colour at `position`, (n, 1, 1) in 0..1, along a palette."""
    step = position[:, 0, 0] * (len(colours) - 1)
    low = np.minimum(step.astype(np.intp), len(colours) - 2)
    return mixed(colours[low], colours[low + 1], position * (len(colours) - 1) - low[:, None, None].astype(np.float32))


def mixed(start: Array, end: Array, share: Array) -> Array:
    """`share`, (n, 1, 1) in 0..1, of the way from one colour to the other."""
    return start + (end - start) * share[:, None]


def one_of(draw: Draws, colours: Array, shares: npt.ArrayLike | None = None) -> Array:
    """One colour of a palette for each image, drawn in proportion to `shares` (see `Draws.pick`) or evenly."""
    return colours[draw.pick(np.ones(len(colours)) if shares is None else shares)]


def tinted(draw: Draws, colour: Array, spread: float = 0.04) -> Array:
    """The colour, a little lighter or darker, and a little shifted in each channel."""
    brightness = 1 + draw.bell(-2 * spread, 2 * spread)[:, None]
    shift = np.stack([draw.bell(-spread, spread) for _ in range(3)], axis=1)
    return np.clip(colour * brightness + shift, 0, 1)
