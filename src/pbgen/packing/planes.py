"""Planes of bits: odd levels as signs with factors 1, 2, 4, 8, as docs/format.md has them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack_planes(levels: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Levels sum_p 2^p s_p of signs s_p, p < `bits`, as bytes: (n / 8,) for one plane, else (planes, n / 8).

    In plane p weight i is bit i % 8, lowest first, of byte i / 8; 1 is +1 and 0 is -1.
    """
    number = (levels.reshape(-1).astype(np.int64) + (1 << bits) - 1) // 2  # whose binary digits are the signs
    packed = np.stack([np.packbits((number >> plane) & 1 == 1, bitorder="little") for plane in range(bits)])
    return packed[0] if bits == 1 else packed


def unpack_planes(packed: NDArray[np.uint8], count: int) -> NDArray[np.float32]:
    """The first `count` levels."""
    digits = np.unpackbits(np.atleast_2d(packed), axis=1, count=count, bitorder="little")
    signs = 2 * digits.astype(np.float32) - 1
    factors = np.exp2(np.arange(len(signs), dtype=np.float32))
    levels: NDArray[np.float32] = factors @ signs
    return levels


def planes(tensor: NDArray[Any]) -> int:
    """How many planes a tensor of a file holds; 0 where it holds floats."""
    if tensor.dtype != np.uint8:
        return 0
    return 1 if tensor.ndim == 1 else len(tensor)
