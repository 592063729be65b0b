"""Weights in the file's canonical order, and which of them are one-bit; constants that are read like values."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pbgen.errors import PBGenError
from pbgen.packing.export import Constant
from pbgen.packing.step import Numbers, Step, Weight
from pbgen.packing.term import LARGEST


class Weights:
    """Each weight and constant once, however many operators read it."""

    def __init__(self) -> None:
        self._known: dict[tuple[Constant, str, int], tuple[Weight, Numbers]] = {}
        self._steps: dict[Constant, Step] = {}

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
    if constant.split is not None:
        signs, scale = _canonical(constant.split.signs, op, groups), constant.split.scale.detach().cpu().float().numpy()
        # Not so where a convolution borrows the weight of a transposed one, whose scale runs along the other channels.
        if len(scale) == len(signs) and np.array_equal(signs * scale.reshape(-1, *[1] * (signs.ndim - 1)), values):
            return Weight(signs.astype(np.int8), binary=True), scale.astype(np.float64)
    return Weight(values, binary=False), np.ones(len(values))


def _canonical(weight: Tensor, op: str, groups: int) -> NDArray[np.float32]:
    """Row-major (C_out, C_in / groups, kernel...); torch keeps transposed ones as (C_in, C_out / groups, kernel...)."""
    weight = weight.detach().cpu().float()
    if op == "conv_transpose":
        weight = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
    return np.ascontiguousarray(weight.numpy())
