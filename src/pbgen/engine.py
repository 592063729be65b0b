"""Runs a packed generator natively: NumPy in, NumPy out."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path
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

    Calls from several threads at once are safe, and so is os.fork meanwhile: the child may use the engine, which there
    computes in the calling thread alone. The images do not depend on the number of threads, to the bit.

    An engine never changes, so copies are the engine itself. It is pickled as its path, threads and activations: the
    file must be there, and the same, where the pickle is read.

    Raises PBGenError where the file cannot be opened, is damaged, or is no packed generator.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None, activations: str = "float32") -> None:
        if activations not in ACTIVATIONS:
            raise PBGenError(f"activations={activations!r}: must be {' or '.join(map(repr, ACTIVATIONS))}")
        name, count = _file_name(path), _thread_count(threads)
        try:
            self._engine = _core.Engine(name, count, activations == "int8")
        except RuntimeError as error:
            raise PBGenError(str(error)) from None
        self._input_shape, self._output_shape = self._engine.input_shape, self._engine.output_shape
        self._made_of = str(Path(os.fsdecode(name)).absolute()), threads, activations

    def __reduce__(self) -> tuple[type["Engine"], tuple[str, int | None, str]]:
        return type(self), self._made_of

    def __copy__(self) -> "Engine":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Engine":
        return self

    def __call__(self, z: ArrayLike) -> NDArray[np.float32]:
        """Make images from latent vectors.

        z: numbers of shape (N, *input_shape), of any kind that converts to float32: an array, a tensor in the CPU's
        memory (what autograd knows of it is left behind), or lists of these or of numbers. Returns float32 of shape
        (N, *output_shape), the values that the module in evaluation mode gives for z. Raises PBGenError where z has
        another shape, holds no real numbers or cannot be read, and where there is not enough memory.
        """
        z = self._check(z)
        images = self._room(len(z))
        if len(z):
            self._run(self._engine.run, z, images)
        return images

    def time_layers(self, z: ArrayLike) -> tuple[NDArray[np.float32], dict[str, float]]:
        """Make images as a call does; also returns the seconds that each layer with weights took, by its name."""
        z = self._check(z)
        images = self._room(len(z))
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
        array = self._read(z)
        if array.dtype.kind not in "fiub":
            raise PBGenError(f"z: holds {array.dtype}, not real numbers; convert it to float32")
        if array.shape[1:] != self.input_shape or array.ndim == 0:
            raise PBGenError(f"z: has the shape {_shape_text(array.shape)}; it must be {self._expected()}")
        try:
            return np.ascontiguousarray(array, np.float32)
        except MemoryError:
            raise PBGenError(f"z: no memory for {len(array)} inputs as float32; give fewer at once") from None

    def _read(self, z: ArrayLike) -> NDArray[Any]:
        try:
            return np.asarray(_without_torch(z))
        except PBGenError:
            raise
        except ValueError:
            raise PBGenError(f"z: not an array; it must have the shape {self._expected()}") from None
        except Exception as error:  # whatever the kind of array that somebody wrote says
            reason = " ".join(str(error).split()) or type(error).__name__
            raise PBGenError(f"z: {type(z).__name__} cannot be read as an array: {reason}") from None

    def _room(self, count: int) -> NDArray[np.float32]:
        try:
            return np.empty((count, *self.output_shape), np.float32)
        except (MemoryError, ValueError):
            raise PBGenError(f"z: no memory for {count} images; give fewer at once") from None

    def _expected(self) -> str:
        return _shape_text(("N", *self.input_shape))


def _file_name(path: Any) -> bytes:
    try:
        name = os.fsencode(path)
    except (TypeError, ValueError):
        raise PBGenError(f"{path!r}: no name that a file can have; give that of a packed file") from None
    if b"\0" in name:
        raise PBGenError(f"{path!r}: no file has a zero byte in its name")
    return name


def _thread_count(threads: Any) -> int:
    """As the core takes it: 0 for all usable cores."""
    if threads is None:
        return 0
    try:
        count = index(threads)
    except TypeError:
        count = 0
    if not 1 <= count <= MAX_THREADS:
        raise PBGenError(f"threads={threads!r}: must be 1 to {MAX_THREADS}, or None for all usable cores")
    return count


def _without_torch(z: Any) -> Any:
    """The same with arrays for torch's tensors, which NumPy does not read in each state. torch is not imported."""
    torch = sys.modules.get("torch")
    if torch is None:
        return z
    if isinstance(z, list | tuple) and any(isinstance(item, torch.Tensor) for item in z):
        return [_without_torch(item) for item in z]
    if not isinstance(z, torch.Tensor):
        return z
    if z.device.type != "cpu" or z.layout != torch.strided:
        wrong, remedy = (z.layout, "to_dense()") if z.device.type == "cpu" else (z.device, "cpu()")
        raise PBGenError(f"z: is a tensor of {wrong}; give z.{remedy}")
    z = z.detach().resolve_conj().resolve_neg()
    return (z.float() if z.is_floating_point() else z).numpy()


def _shape_text(shape: Sequence[object]) -> str:
    return f"({', '.join(map(str, shape))})"
