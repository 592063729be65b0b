"""Runs a packed generator natively: NumPy in, NumPy out."""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pbgen.errors import PBGenError

try:
    from pbgen import _core
except ImportError as error:
    raise PBGenError(
        f"pbgen._core: the native engine cannot be loaded ({error}); install pbgen again with a C++ compiler at hand"
    ) from None

MAX_THREADS = 1024


class Engine:
    """A packed generator, loaded and ready to make images.

    path: a file that `pbgen.pack` wrote (docs/format.md).
    threads: how many threads a call may use; None means one for each core that the process may use.
    activations: "float32" is the only kind that this version has.

    Calls from several threads at once are safe. The images do not depend on the number of threads, to the bit.
    Raises PBGenError where the file cannot be opened, is damaged, or is no packed generator.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None, activations: str = "float32") -> None:
        if activations != "float32":
            raise PBGenError(f"activations={activations!r}: this version runs float32 activations only")
        if threads is not None and not 1 <= threads <= MAX_THREADS:
            raise PBGenError(f"threads={threads!r}: must be 1 to {MAX_THREADS}, or None for all usable cores")
        name = os.fsencode(path)
        if b"\0" in name:
            raise PBGenError(f"{path!r}: no file has a zero byte in its name")
        try:
            self._engine = _core.Engine(name, threads or 0)
        except RuntimeError as error:
            raise PBGenError(str(error)) from None

    def __call__(self, z: ArrayLike) -> NDArray[np.float32]:
        """Make images from latent vectors.

        z: numbers of shape (N, *input_shape), of any kind that converts to float32. Returns float32 of shape
        (N, *output_shape), the values that the module in evaluation mode gives for z. Raises PBGenError where z has
        another shape or holds no real numbers.
        """
        z = self._check(z)
        images = np.empty((len(z), *self.output_shape), np.float32)
        if len(z):
            try:
                self._engine.run(z, images)
            except RuntimeError as error:
                raise PBGenError(str(error)) from None
        return images

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the batch."""
        return self._engine.input_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one image, without the batch."""
        return self._engine.output_shape

    @property
    def resident_bytes(self) -> int:
        """Bytes that the engine holds now: packed weights, scales and shifts, and the buffers it keeps for calls."""
        return self._engine.resident_bytes

    @property
    def kernels(self) -> dict[str, str]:
        """Which kernel runs each layer with weights, by the layer's name."""
        return self._engine.kernels

    def _check(self, z: ArrayLike) -> NDArray[np.float32]:
        expected = _shape_text(("N", *self.input_shape))
        try:
            array = np.asarray(z)
        except ValueError:
            raise PBGenError(f"z: not an array; it must have the shape {expected}") from None
        if array.dtype.kind not in "fiub":
            raise PBGenError(f"z: holds {array.dtype}, not real numbers; convert it to float32")
        if array.shape[1:] != self.input_shape or array.ndim == 0:
            raise PBGenError(f"z: has the shape {_shape_text(array.shape)}; it must be {expected}")
        return np.ascontiguousarray(array, np.float32)


def _shape_text(shape: Sequence[object]) -> str:
    return f"({', '.join(map(str, shape))})"
