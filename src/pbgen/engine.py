"""Runs a packed generator natively: NumPy in, NumPy out."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pbgen import hub, latents
from pbgen.errors import PBGenError
from pbgen.opening import Input, Shape, opened

MAX_INTEGER = 2**24  # float32 holds all up to it


@dataclass(frozen=True)
class Layer:
    """A layer with weights.

    kernel: what runs it. weight_bytes: what its weights take in memory.
    bits: of a weight in the file, 1 to 4 of planes of signs, else 16 or 32.
    """

    name: str
    kernel: str
    weight_bytes: int
    bits: int


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
        self._engine, self._all_inputs = opened(path, threads, activations)
        self._made_of = str(Path(os.fsdecode(path)).absolute()), threads, activations

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        *,
        threads: int | None = None,
        activations: str = "float32",
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        token: str | bool | None = None,
    ) -> "Engine":
        """The generator in a folder that `save_pretrained` wrote, or in the Hugging Face Hub's repository of that name.

        revision, cache_dir, local_files_only, force_download, token: as `huggingface_hub.hf_hub_download` has them. A
        folder needs no such package, and no network.

        Raises PBGenError where there is neither, or as `Engine` does.
        """
        options = {"revision": revision, "cache_dir": cache_dir, "local_files_only": local_files_only}
        file = hub.find(name, **options, force_download=force_download, token=token)
        return cls(file, threads, activations)

    def save_pretrained(self, folder: str | os.PathLike[str], *, repo_id: str | None = None) -> None:
        """Write the packed file and a README.md for the Hugging Face Hub, where there is none, into a folder.

        repo_id: what the README.md calls it; default: the folder's name. Raises PBGenError where that cannot be done.
        """
        hub.save(self.path, folder, repo_id or Path(folder).resolve().name)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "Push a packed generator",
        private: bool | None = None,
        token: str | bool | None = None,
    ) -> str:
        """Upload what `save_pretrained` writes to the Hub's repository, which is made where it is missing.

        A README.md that is there stays. Returns the commit's address. Raises PBGenError where that cannot be done.
        """
        return hub.push(self.path, repo_id, commit_message, private, token)

    @property
    def path(self) -> Path:
        """The packed file."""
        return Path(self._made_of[0])

    def __reduce__(self) -> tuple[type["Engine"], tuple[str, int | None, str]]:
        return type(self), self._made_of

    def __copy__(self) -> "Engine":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Engine":
        return self

    def __call__(
        self, *inputs: ArrayLike, seed: int = 0, noise: Mapping[str, ArrayLike] | None = None
    ) -> NDArray[np.float32] | tuple[NDArray[np.float32], ...]:
        """Make images.

        inputs: as many arrays as `inputs` lists, each of numbers of shape (N, *shape), of any kind that converts to
            float32: an array, a tensor in the CPU's memory (what autograd knows of it is left behind), or lists of
            these or of numbers; a free dimension (None) may have any size that makes sense to the network.
        seed: 0 .. 2^64 - 1, of the noise that the generator draws (`pbgen.latents.noise`).
        noise: arrays, by the names in `noise`, to be taken in place of what would be drawn.

        Returns float32 of shape (N, ...), the values that the module in evaluation mode gives, or a tuple of such
        arrays where it has several outputs. Raises PBGenError where an array has a shape that the network does not
        take, holds no real numbers, or fractions where integers are needed, or cannot be read, and where there is not
        enough memory.
        """
        arrays = self._arrays(inputs, seed, noise or {})
        images = self._room(arrays)
        if len(arrays[0]):
            self._run(self._engine.run, arrays, images)
        return images[0] if len(images) == 1 else tuple(images)

    def tiled(
        self,
        *inputs: ArrayLike,
        tile: int = 256,
        seed: int = 0,
        noise: Mapping[str, ArrayLike] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.float32] | tuple[NDArray[np.float32], ...]:
        """Make images of any size as a call does, in memory that is bounded by a tile (beside inputs and outputs).

        tile: about how many pixels of the inputs, along each free dimension, a tile makes; its margins come on top.
        progress: called with the tiles done and their number.

        The values are those of a call, to rounding. Raises PBGenError, with the layer, where the network is not local,
        so that a pixel hangs on all of the picture, and otherwise as a call does.
        """
        if tile < 1:
            raise PBGenError(f"tile={tile}: must be at least one pixel")
        arrays = self._arrays(inputs, seed, noise or {})
        images = self._room(arrays)
        shapes = [list(array.shape[1:]) for array in arrays]
        try:
            tiles = self._engine.tiles(shapes, tile)
            for image in range(len(arrays[0])):
                given, made = ([array[image : image + 1] for array in some] for some in (arrays, images))
                for index in range(tiles):
                    self._engine.run_tile(given, made, tile, index)
                    if progress:
                        progress(image * tiles + index + 1, len(arrays[0]) * tiles)
        except RuntimeError as error:
            raise PBGenError(str(error)) from None
        return images[0] if len(images) == 1 else tuple(images)

    def time_layers(
        self, *inputs: ArrayLike
    ) -> tuple[NDArray[np.float32] | tuple[NDArray[np.float32], ...], dict[str, float]]:
        """Make images as a call does; also returns the seconds that each layer with weights took, by its name."""
        arrays = self._arrays(inputs, 0, {})
        images = self._room(arrays)
        seconds = np.zeros(len(self._engine.layers))
        self._run(self._engine.time_layers, arrays, images, seconds)
        return images[0] if len(images) == 1 else tuple(images), dict(zip(self.kernels, seconds.tolist(), strict=True))

    @property
    def inputs(self) -> list[Input]:
        """What a call takes, in its order."""
        return [source for source in self._all_inputs if source.noise is None]

    @property
    def noise(self) -> list[Input]:
        """What is drawn from the seed of a call, unless it is given."""
        return [source for source in self._all_inputs if source.noise is not None]

    @property
    def outputs(self) -> dict[str, Shape]:
        """The shape of each output by its name, in order, without the batch."""
        return dict(self._engine.outputs)

    @property
    def input_shape(self) -> Shape | tuple[Shape, ...]:
        """Shape of the input, without the batch; one for each where there are several. Free dimensions are None."""
        shapes = tuple(source.shape for source in self.inputs)
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> Shape | tuple[Shape, ...]:
        """The same of the outputs: what hangs on a free dimension is None."""
        shapes = tuple(self.outputs.values())
        return shapes[0] if len(shapes) == 1 else shapes

    def output_shape_for(self, *shapes: Sequence[int]) -> tuple[int, ...] | tuple[tuple[int, ...], ...]:
        """The outputs' shapes for inputs of these shapes, all without the batch.

        Raises PBGenError where the network does not take them.
        """
        if len(shapes) != len(self.inputs):
            raise PBGenError(f"{len(shapes)} shapes given where the generator has {len(self.inputs)} inputs")
        found = self._output_shapes(self._with_noise([tuple(shape) for shape in shapes]))
        return found[0] if len(found) == 1 else tuple(found)

    def operations(self, *shapes: Sequence[int]) -> dict[str, int]:
        """Multiply-adds of each layer, by its name, for one image of inputs of these shapes, the batch left out.

        Those with pixels outside the image are not counted. Raises PBGenError where the network takes no such inputs.
        """
        self.output_shape_for(*shapes)
        counts = self._engine.operations([list(shape) for shape in self._with_noise([tuple(s) for s in shapes])])
        return dict(zip(self.kernels, counts, strict=True))

    def draw(
        self, *shapes: Sequence[int], count: int = 1, seed: int = 0, first: int = 0
    ) -> dict[str, NDArray[np.float32]]:
        """All inputs by name for `count` images, number `first` of `seed`'s on, where the given ones have these shapes.

        Noise is what a call draws; inputs that are none are drawn as normal noise, those of integers are 0. Raises
        PBGenError where the network does not take such shapes.
        """
        self.output_shape_for(*shapes)
        known = zip(self._all_inputs, self._with_noise([tuple(shape) for shape in shapes]), strict=True)
        return {
            source.name: np.zeros((count, *shape), np.float32)
            if source.integer
            else latents.noise(source.noise or "normal", seed, source.number, count, shape, first)
            for source, shape in known
        }

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
    def _run(call: Callable[..., None], *arguments: object) -> None:
        try:
            call(*arguments)
        except RuntimeError as error:
            raise PBGenError(str(error)) from None

    def _arrays(
        self, inputs: Sequence[ArrayLike], seed: int, noise: Mapping[str, ArrayLike]
    ) -> list[NDArray[np.float32]]:
        """All inputs in the file's order, checked, the missing noise drawn."""
        given = self.inputs
        if len(inputs) != len(given):
            names = ", ".join(source.name for source in given)
            raise PBGenError(f"{len(inputs)} arrays given where the generator takes {len(given)}: {names}")
        unknown = set(noise) - {source.name for source in self.noise}
        if unknown:
            names = ", ".join(source.name for source in self.noise) or "none"
            raise PBGenError(f"noise '{min(unknown)}': the generator draws {names}")
        arrays = {source.name: _checked(source, array) for source, array in zip(given, inputs, strict=True)}
        arrays |= {source.name: _checked(source, noise[source.name]) for source in self.noise if source.name in noise}
        counts = {name: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            raise PBGenError(f"the inputs have different numbers of images: {counts}")
        (count,) = set(counts.values())
        shapes = self._with_noise([arrays[source.name].shape[1:] for source in given])
        for source, shape in zip(self._all_inputs, shapes, strict=True):
            if source.name not in arrays:
                assert source.noise is not None
                arrays[source.name] = latents.noise(source.noise, seed, source.number, count, shape)
        return [arrays[source.name] for source in self._all_inputs]

    def _with_noise(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The shapes of all inputs, for those that a call takes."""
        if not self.noise:
            return list(shapes)
        given = iter(shapes)
        known = [[] if source.noise else list(next(given)) for source in self._all_inputs]
        try:
            return self._engine.complete_shapes(known)
        except RuntimeError as error:
            raise PBGenError(str(error)) from None

    def _room(self, arrays: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Arrays for the outputs."""
        shapes = self._output_shapes([array.shape[1:] for array in arrays])
        try:
            return [np.empty((len(arrays[0]), *shape), np.float32) for shape in shapes]
        except (MemoryError, ValueError):
            raise PBGenError(f"no memory for {len(arrays[0])} images; give fewer at once") from None

    def _output_shapes(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        try:
            return self._engine.output_shapes([list(shape) for shape in shapes])
        except RuntimeError as error:
            raise PBGenError(str(error)) from None


def _checked(source: Input, value: ArrayLike) -> NDArray[np.float32]:
    name, expected = source.name, _shape_text(("N", *("any" if size is None else size for size in source.shape)))
    array = _read(name, value, expected)
    if array.dtype.kind not in "fiub":
        raise PBGenError(f"{name}: holds {array.dtype}, not real numbers; convert it to float32")
    fits = array.ndim == 1 + len(source.shape) and all(
        size in (None, found) for size, found in zip(source.shape, array.shape[1:], strict=False)
    )
    if not fits:
        raise PBGenError(f"{name}: has the shape {_shape_text(array.shape)}; it must be {expected}")
    if source.integer and array.size and not (np.all(array == np.floor(array)) and np.abs(array).max() <= MAX_INTEGER):
        raise PBGenError(f"{name}: holds numbers that are no integers of at most {MAX_INTEGER}")
    try:
        return np.ascontiguousarray(array, np.float32)
    except MemoryError:
        raise PBGenError(f"{name}: no memory for {len(array)} inputs as float32; give fewer at once") from None


def _read(name: str, value: Any, expected: str) -> NDArray[Any]:
    try:
        return np.asarray(_without_torch(name, value))
    except PBGenError:
        raise
    except ValueError:
        raise PBGenError(f"{name}: not an array; it must have the shape {expected}") from None
    except Exception as error:  # whatever the kind of array that somebody wrote says
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PBGenError(f"{name}: {type(value).__name__} cannot be read as an array: {reason}") from None


def _without_torch(name: str, z: Any) -> Any:
    """The same with arrays for torch's tensors, which NumPy does not read in each state. torch is not imported."""
    torch = sys.modules.get("torch")
    if torch is None:
        return z
    if isinstance(z, list | tuple) and any(isinstance(item, torch.Tensor) for item in z):
        return [_without_torch(name, item) for item in z]
    if not isinstance(z, torch.Tensor):
        return z
    if z.device.type != "cpu" or z.layout != torch.strided:
        wrong, remedy = (z.layout, "to_dense()") if z.device.type == "cpu" else (z.device, "cpu()")
        raise PBGenError(f"{name}: is a tensor of {wrong}; give its {remedy}")
    z = z.detach().resolve_conj().resolve_neg()
    return (z.float() if z.is_floating_point() else z).numpy()


def _shape_text(shape: Sequence[object]) -> str:
    return f"({', '.join(map(str, shape))})"
