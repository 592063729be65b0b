"""What `pbgen compress --inputs` names: noise, pictures, sounds, arrays, or a user's function."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import nn

from pbgen.compression import noise_shapes
from pbgen.compression.inputs import Crops, Examples, Inputs, Noise, Scale
from pbgen.data.decode import picture
from pbgen.data.listing import list_files
from pbgen.errors import PBGenError
from pbgen.media import SOUNDS
from pbgen.models.load import code_file, load, load_function
from pbgen.models.state import load_weights
from pbgen.pictures import Range

_MOST_BYTES = 2**29  # of pictures or sounds that are kept
_MOST_FILES = 4096

Array = NDArray[Any]


def open_module(spec: str, weights: Path | None) -> nn.Module:
    """The module that `spec` names, with the weights of a file where one is given. Raises PBGenError as `models.load`
    and `load_weights` do."""
    module, _ = load(spec)
    if weights:
        load_weights(module, weights)
    return module


def open_inputs(spec: str, module: nn.Module, values: Range, seed: int) -> Inputs:
    """The inputs that `spec` names, as `module` takes them, by its `input_shape` or its example.

    Pictures have black and white at the ends of `values`. Raises PBGenError where there is no such thing, or it is not
    what the module takes.
    """
    if spec == "noise":
        return Noise(noise_shapes(module), seed)
    if code_file(spec):
        made = load_function(spec)
        if isinstance(made, torch.Tensor) or not hasattr(made, "__iter__"):
            raise PBGenError(f"{spec}: gives {type(made).__name__}; give an iterable of batches, such as a list")
        return Examples(made, seed)
    path = Path(spec)
    if not path.exists():
        raise PBGenError(
            f"--inputs {spec}: there is no such file or folder; give noise, a folder or zip of pictures or "
            "sounds, a .npy or file.py:function"
        )
    if path.suffix.lower() == ".npy":
        return Examples([_array(path)], seed)
    shape = _shape(spec, module)
    wholes = _read(path, shape, seed)
    scale = Scale(values.low, values.high, 255.0) if len(shape) == 3 else Scale(0.0, 1.0, 1.0)
    return Crops(wholes, shape[1:], scale, seed)


def _shape(spec: str, module: nn.Module) -> tuple[int, ...]:
    shapes = noise_shapes(module)
    if len(shapes) > 1 or len(shapes[0]) not in (2, 3):
        said = " and ".join(map(str, shapes))
        raise PBGenError(f"--inputs {spec}: the module takes {said}, neither pictures nor sounds; give a function")
    if len(shapes[0]) == 3 and shapes[0][0] not in (1, 3):
        raise PBGenError(f"--inputs {spec}: the module takes {shapes[0]}; pictures have 1 or 3 channels")
    return shapes[0]


def _array(path: Path) -> torch.Tensor:
    try:
        array = np.load(path, allow_pickle=False)
        return torch.from_numpy(np.ascontiguousarray(array, np.float32))
    except MemoryError:
        raise
    except Exception as error:  # a broken file makes numpy raise anything
        raise PBGenError(f"{path}: cannot be read as an array of numbers: {' '.join(str(error).split())}") from None


def _read(path: Path, shape: tuple[int, ...], seed: int) -> list[Array]:
    """Pictures, uint8 (C, H, W), or sounds, float32 (C, samples), as many as are kept, in a random order."""
    decode = _picture if len(shape) == 3 else _sound
    what, wholes, skipped, size = "pictures" if len(shape) == 3 else "sounds", [], 0, 0
    for file in _files(path, seed, only=None if len(shape) == 3 else SOUNDS):
        try:
            whole = decode(file, shape[0])
        except MemoryError:
            raise
        except Exception:  # a broken file makes a decoder raise anything
            skipped += 1
            continue
        wholes.append(whole)
        size += whole.nbytes
        if size > _MOST_BYTES or len(wholes) == _MOST_FILES:
            break
    if len(wholes) < 2:
        none = f"{len(wholes)} {what} that can be read" + (f", and {skipped} files that cannot" if skipped else "")
        raise PBGenError(f"--inputs {path}: holds {none}; give two or more, as a part is held out")
    return wholes


def _files(path: Path, seed: int, only: tuple[str, ...] | None) -> Iterator[BinaryIO]:
    listing = list_files(path)
    for index in np.random.default_rng((seed, 23)).permutation(len(listing.entries)):
        entry = listing.entries[index]
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in entry.name.split("/"))
        if hidden or (only and not entry.name.lower().endswith(only)):
            continue
        with listing.open(entry) as file:
            yield file


def _picture(file: BinaryIO, channels: int) -> Array:
    return np.ascontiguousarray(picture(file, channels).transpose(2, 0, 1))


def _sound(file: BinaryIO, channels: int) -> Array:
    samples, _ = soundfile.read(file, dtype="float32", always_2d=True)
    if channels == 1:
        samples = samples.mean(axis=1, keepdims=True)
    if samples.shape[1] != channels or len(samples) == 0:
        raise ValueError("other channels")
    return np.ascontiguousarray(samples.T)
