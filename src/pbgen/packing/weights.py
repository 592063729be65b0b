"""Weights in the file's canonical order, and which of them are planes of bits; constants that are read like values."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pbgen.errors import PBGenError
from pbgen.packing.export import Constant
from pbgen.packing.step import Numbers, Step, Weight
from pbgen.packing.term import LARGEST
from pbgen.redundancy import MAX_BITS

ROUNDING = 1e-6  # of a channel's largest weight: what float32 does to levels times scales


class Weights:
    """Each weight and constant once, however many operators read it."""

    def __init__(self) -> None:
        self._known: dict[tuple[Constant, str, int], tuple[Weight, Numbers]] = {}
        self._steps: dict[Constant, Step] = {}

    @property
    def binary(self) -> frozenset[str]:
        """The binary layers whose weights are stored as bits."""
        kept = (key[0].binary for key, (weight, _) in self._known.items() if weight.binary)
        return frozenset().union(*kept)

    def get(self, constant: Constant, op: str, groups: int) -> tuple[Weight, Numbers]:
        """A layer's weights in canonical order, and their scale for each output channel (1 for float weights)."""
        key = (constant, op, groups)
        if key not in self._known:
            self._known[key] = _split(constant, op, groups)
        return self._known[key]

    def as_step(self, constant: Constant) -> Step:
        """A constant as a value. Infinities, as masks have them, become the largest numbers of float32."""
        if constant not in self._steps:
            if constant.tensor.is_complex():
                raise PBGenError(f'"{constant.name}" holds complex numbers, which a packed file does not')
            numbers = constant.tensor.detach().cpu().double().numpy()
            numbers = np.clip(numbers, -LARGEST, LARGEST).reshape(numbers.shape or (1,))
            self._steps[constant] = Step("constant", constant.name, numbers.shape, numbers=numbers)
        return self._steps[constant]


def _split(constant: Constant, op: str, groups: int) -> tuple[Weight, Numbers]:
    values = _canonical(constant.tensor, op, groups)
    if constant.binary:
        # Signs times a scale, whatever else made the scale, such as a norm over the binary weight. Not so where a
        # convolution borrows the weight of a transposed one, whose scale runs along the other channels.
        sizes = np.abs(values.reshape(len(values), -1))
        if np.array_equal(sizes, np.broadcast_to(sizes[:, :1], sizes.shape), equal_nan=True):
            return Weight(np.where(values < 0, -1, 1).astype(np.int8), bits=1), sizes[:, 0].astype(np.float64)
        for bits in range(2, MAX_BITS + 1):
            if (found := _levels(sizes.astype(np.float64), bits)) is not None:
                levels, scale = found
                levels = np.where(values < 0, -1, 1) * levels.reshape(values.shape)
                return Weight(levels.astype(np.int8), bits), scale
    return Weight(values), np.ones(len(values))


def _levels(sizes: Numbers, bits: int) -> tuple[Numbers, Numbers] | None:
    """Sizes (C_out, n) as odd levels below 2^bits times a scale an output channel, up to rounding in float32.

    Which level the least size of a channel is, 1 or a larger one, is tried. None where there is no such scale.
    """
    least, largest = sizes.min(1, keepdims=True), sizes.max(1, keepdims=True)
    levels, scale = np.ones_like(sizes), np.full_like(least, np.nan)
    for level in range(1, 1 << bits, 2):
        tried = least / level
        with np.errstate(divide="ignore", invalid="ignore"):
            near = np.clip(2 * np.floor(sizes / tried / 2) + 1, 1, (1 << bits) - 1)
        fits = np.isnan(scale) & (np.abs(near * tried - sizes) <= ROUNDING * largest).all(1, keepdims=True)
        levels, scale = np.where(fits, near, levels), np.where(fits, tried, scale)
    zero = largest == 0
    levels, scale = np.where(zero, 1, levels), np.where(zero, 0, scale)
    return None if np.isnan(scale).any() else (levels, scale[:, 0])


def _canonical(weight: Tensor, op: str, groups: int) -> NDArray[np.float32]:
    """Row-major (C_out, C_in / groups, kernel...); torch keeps transposed ones as (C_in, C_out / groups, kernel...)."""
    weight = weight.detach().cpu().float()
    if op == "conv_transpose":
        weight = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
    return np.ascontiguousarray(weight.numpy())
