"""Runs a packed generator natively: NumPy in, NumPy out."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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
ACTIVATIONS = ("float32", "int8")


@dataclass(frozen=True)
class Layer:
    """A layer with weights.

    kernel: what runs it. operations: multiply-adds for one image, those with pixels outside of it left out.
    weight_bytes: what its weights take in memory.
    """

    name: str
    kernel: str
    operations: int
    weight_bytes: int


class Engine:
    """A packed generator, loaded and ready to make images.

    path: a file that `pbgen.pack` wrote (docs/format.md).
    threads: how many threads a call may use; None means one for each core that the process may use, and
        that its container's quota pays for.
    activations: "float32", or "int8": layers round their inputs, or sums of four of them, to 8 bits, by a scale found
        for each image and layer, and float weights as well. That is faster, and the images differ a little
        (docs/precision.md).

    Calls from several threads at once are safe. The images do not depend on the number of threads, to the bit.
    Raises PBGenError where the file cannot be opened, is damaged, or is no packed generator.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None, activations: str = "float32") -> None:
        if activations not in ACTIVATIONS:
            raise PBGenError(f"activations={activations!r}: must be {' or '.join(map(repr, ACTIVATIONS))}")
        if threads is not None and not 1 <= threads <= MAX_THREADS:
            raise PBGenError(f"threads={threads!r}: must be 1 to {MAX_THREADS}, or None for all usable cores")
        name = os.fsencode(path)
        if b"\0" in name:
            raise PBGenError(f"{path!r}: no file has a zero byte in its name")
        try:
            self._engine = _core.Engine(name, threads or 0, activations == "int8")
        except RuntimeError as error:
            raise PBGenError(str(error)) from None
        self._input_shape, self._output_shape = self._engine.input_shape, self._engine.output_shape

    def __call__(self, z: ArrayLike) -> NDArray[np.float32]:
        """Make images from latent vectors.

        z: numbers of shape (N, *input_shape), of any kind that converts to float32. Returns float32 of shape
        (N, *output_shape), the values that the module in evaluation mode gives for z. Raises PBGenError where z has
        another shape or holds no real numbers.
        """
        z = self._check(z)
        images = np.empty((len(z), *self.output_shape), np.float32)
        if len(z):
            self._run(self._engine.run, z, images)
        return images

    def time_layers(self, z: ArrayLike) -> tuple[NDArray[np.float32], dict[str, float]]:
        """Make images as a call does; also returns the seconds that each layer with weights took, by its name."""
        z = self._check(z)
        images = np.empty((len(z), *self.output_shape), np.float32)
        seconds = np.zeros(len(self._engine.layers))
        self._run(self._engine.time_layers, z, images, seconds)
        return images, dict(zip(self.kernels, seconds.tolist(), strict=True))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the batch."""
        return self._input_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one image, without the batch."""
        return self._output_shape

    @property
    def resident_bytes(self) -> int:
        """Bytes that the engine holds now: packed weights, scales and shifts, and the buffers it keeps for calls."""
        return self._engine.resident_bytes

    @property
    def kernels(self) -> dict[str, str]:
        """Which kernel runs each layer with weights, by the layer's name."""
        return {layer.name: layer.kernel for layer in self.layers}

    @property
    def layers(self) -> list[Layer]:
        """The layers with weights, in the order in which they run."""
        return [Layer(*layer) for layer in self._engine.layers]

    @staticmethod
    def _run(call: Callable[..., None], *arrays: NDArray[Any]) -> None:
        try:
            call(*arrays)
        except RuntimeError as error:
            raise PBGenError(str(error)) from None

    def _check(self, z: ArrayLike) -> NDArray[np.float32]:
        try:
            array = np.asarray(z)
        except ValueError:
            raise PBGenError(f"z: not an array; it must have the shape {self._expected()}") from None
        if array.dtype.kind not in "fiub":
            raise PBGenError(f"z: holds {array.dtype}, not real numbers; convert it to float32")
        if array.shape[1:] != self.input_shape or array.ndim == 0:
            raise PBGenError(f"z: has the shape {_shape_text(array.shape)}; it must be {self._expected()}")
        return np.ascontiguousarray(array, np.float32)

    def _expected(self) -> str:
        return _shape_text(("N", *self.input_shape))


def _shape_text(shape: Sequence[object]) -> str:
    return f"({', '.join(map(str, shape))})"
