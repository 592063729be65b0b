"""Pictures, sounds and arrays in files, as a packed network takes and gives them."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbgen.arrays import write_arrays
from pbgen.engine import Engine
from pbgen.errors import PBGenError
from pbgen.files import write_atomically
from pbgen.opening import Shape
from pbgen.pictures import Range

Floats = NDArray[np.float32]

ARRAYS = (".npy", ".npz")
SOUNDS = (".wav", ".flac", ".ogg")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
READ = (*PICTURES, ".gif", ".avif", ".jp2", *SOUNDS, *ARRAYS)
WRITTEN = (*PICTURES, *SOUNDS, *ARRAYS)
"""The endings of what is read and of what is written."""
LARGE = 2**19
"""Positions of an input from which on it is made in tiles, where that is possible."""
TILE = 384
"""Pixels along a tile's edge there."""
ROWS = 256
"""Of a picture, turned into pixels at a time."""


@dataclass(frozen=True)
class Content:
    """What a file holds: arrays (N, ...) by name, whether they have the batch there, a sound's samples a second."""

    arrays: dict[str, Floats]
    batched: bool = False
    rate: int | None = None


def read(path: Path, engine: Engine, values: Range) -> Content:
    """What the network takes, by name, from a file.

    A .npy holds the only input, a .npz all by their names, perhaps noise as well, both with the batch or without; a
    sound is (1, channels, samples) in -1 .. 1, a picture (1, channels, height, width) in the range `values`, both with
    as many channels as the network takes, of 1 and 3. Raises PBGenError where the file cannot be read, or holds
    something else than the network takes.
    """
    ending = path.suffix.lower()
    if ending == ".npz":
        return _read_arrays(path, engine)
    if len(engine.inputs) > 1:
        names = ", ".join(source.name for source in engine.inputs)
        raise PBGenError(f"{path}: the network takes {names}; give a .npz with these")
    (source,) = engine.inputs
    if ending == ".npy":
        array = _load(path)[""]
        batched = array.ndim == 1 + len(source.shape)
        return Content({source.name: array if batched else array[None]}, batched)
    if ending in SOUNDS:
        samples, rate = _read_sound(path, source.shape)
        return Content({source.name: samples[None]}, rate=rate)
    return Content({source.name: _read_picture(path, source.shape, values)[None]})


def check(path: Path, outputs: dict[str, Shape]) -> None:
    """Raises PBGenError where a file of this name cannot hold outputs of these shapes, free dimensions None."""
    ending = path.suffix.lower()
    if ending not in WRITTEN:
        raise PBGenError(f"{path}: its name must end in one of {' '.join(WRITTEN)}")
    if ending != ".npz" and len(outputs) > 1:
        raise PBGenError(f"{path}: the network makes {', '.join(outputs)}; give a name that ends in .npz")
    shape = next(iter(outputs.values()))
    if ending in SOUNDS and len(shape) not in (1, 2):
        raise PBGenError(f"{path}: the network makes {_text(shape)}, no sound; give a name that ends in .npy")
    if ending in PICTURES and (len(shape) != 3 or shape[0] not in (1, 3)):
        raise PBGenError(f"{path}: the network makes {_text(shape)}, no picture; give a name that ends in .npy")


def write(path: Path, content: Content, values: Range, rate: int) -> float:
    """The network's outputs to a file, whose ending says how; as `read` reads them.

    Returns the share of a picture's numbers that lie outside its range, 0 to 1. Raises PBGenError where they are not
    what such a file can hold, or it cannot be written.
    """
    ending = path.suffix.lower()
    arrays = content.arrays
    if ending not in ARRAYS and any(len(array) != 1 for array in arrays.values()):
        raise PBGenError(f"{path}: holds one image or sound; give a name that ends in .npy for several")
    if ending not in ARRAYS or not content.batched:
        arrays = {name: array[0] for name, array in arrays.items()}
    check(path, {name: array.shape for name, array in arrays.items()})
    array = next(iter(arrays.values()))
    if ending == ".npz":
        write_arrays(path, arrays)
    elif ending == ".npy":
        write_atomically(path, lambda file: np.save(file, array))
    elif ending in SOUNDS:
        _write_sound(path, array, content.rate or rate)
    else:
        return _write_picture(path, array, values)
    return 0.0


def run(engine: Engine, content: Content, tile: int | None, seed: int, progress: Callable[[int, int], None]) -> Content:
    """What the network makes; in tiles of `tile` where that is given, or an input is large and the network local."""
    given = [content.arrays[source.name] for source in engine.inputs]
    noise = {source.name: content.arrays[source.name] for source in engine.noise if source.name in content.arrays}
    made = _make(engine, given, noise, tile, seed, progress)
    outputs = dict(zip(engine.outputs, made if isinstance(made, tuple) else (made,), strict=True))
    return Content(outputs, content.batched, _rate(content, outputs))


def _make(
    engine: Engine,
    given: list[Floats],
    noise: dict[str, Floats],
    tile: int | None,
    seed: int,
    progress: Callable[[int, int], None],
) -> Floats | tuple[Floats, ...]:
    if tile:
        return engine.tiled(*given, tile=tile, seed=seed, noise=noise, progress=progress)
    if any(math.prod(array.shape[2:]) > LARGE for array in given):
        usual = TILE if any(array.ndim > 3 for array in given) else TILE**2
        # Where it is not local, or the input does not fit, the whole says what is wrong.
        with suppress(PBGenError):
            return engine.tiled(*given, tile=usual, seed=seed, noise=noise, progress=progress)
    return engine(*given, seed=seed, noise=noise)


def _rate(content: Content, outputs: dict[str, Floats]) -> int | None:
    """A sound made of a sound lasts as long."""
    if content.rate is None:
        return None
    before, after = (int(next(iter(arrays.values())).shape[-1]) for arrays in (content.arrays, outputs))
    return max(1, round(content.rate * after / before))


def _load(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz by name, or that of a .npy by no name."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        with loaded as file:
            return dict(file)
    except MemoryError:
        raise
    except Exception as error:  # a broken file makes numpy and zipfile raise anything
        raise PBGenError(f"{path}: cannot be read as arrays of numbers: {_line(error)}") from None


def _read_arrays(path: Path, engine: Engine) -> Content:
    found, names = _load(path), [source.name for source in engine.inputs]
    missing = [name for name in names if name not in found]
    if missing:
        raise PBGenError(f"{path}: has no '{missing[0]}'; the network takes {', '.join(names)}")
    sources = [source for source in [*engine.inputs, *engine.noise] if source.name in found]
    batched = {found[source.name].ndim == 1 + len(source.shape) for source in sources}
    if len(batched) > 1:
        raise PBGenError(f"{path}: some arrays have the dimension of the batch and others have not")
    arrays = {source.name: found[source.name] for source in sources}
    return Content({name: array if True in batched else array[None] for name, array in arrays.items()}, True in batched)


def _read_sound(path: Path, shape: Shape) -> tuple[Floats, int]:
    import soundfile

    if len(shape) != 2:
        raise PBGenError(f"{path}: the network takes {_text(shape)}, no sound of (channels, samples); give a .npy")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise PBGenError(f"{path}: cannot be read as a sound: {_line(error)}") from None
    if shape[0] == 1:
        samples = samples.mean(axis=1, keepdims=True)
    return np.ascontiguousarray(samples.T), int(rate)


def _write_sound(path: Path, array: Floats, rate: int) -> None:
    import soundfile

    samples, content = array.reshape(-1, array.shape[-1]).T.clip(-1, 1), BytesIO()
    try:
        soundfile.write(content, samples, rate, format=path.suffix[1:].upper())
    except (RuntimeError, ValueError) as error:
        raise PBGenError(
            f"{path}: cannot be written: {samples.shape[1]} channels, {rate} samples a second: {_line(error)}"
        ) from None
    write_atomically(path, lambda file: file.write(content.getbuffer()))


def _read_picture(path: Path, shape: Shape, values: Range) -> Floats:
    from PIL import UnidentifiedImageError

    from pbgen.data.decode import picture

    if len(shape) != 3 or shape[0] not in (1, 3):
        raise PBGenError(f"{path}: the network takes {_text(shape)}, no picture; give a .npy")
    try:
        with path.open("rb") as file:
            pixels = picture(file, shape[0])
    except MemoryError:
        raise
    except UnidentifiedImageError:
        raise PBGenError(f"{path}: is no picture that can be read") from None
    except Exception as error:  # a broken file makes a decoder raise anything
        raise PBGenError(f"{path}: cannot be read as a picture: {_line(error)}") from None
    numbers = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)
    numbers *= np.float32((values.high - values.low) / 255)
    numbers += np.float32(values.low)
    return numbers


def _write_picture(path: Path, array: Floats, values: Range) -> float:
    from PIL import Image

    from pbgen.pictures import save_picture, to_pixels

    pixels, outside = np.empty((*array.shape[1:], len(array)), np.uint8), 0
    for first in range(0, len(pixels), ROWS):
        rows = array[:, first : first + ROWS]
        if np.isnan(rows).any():
            raise PBGenError(f"{path}: the network makes values that are no numbers (NaN)")
        outside += values.outside(rows)
        pixels[first : first + ROWS] = to_pixels(rows, values).transpose(1, 2, 0)
    save_picture(Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels), path)
    return outside / array.size


def _text(shape: Sequence[int | None]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"


def _line(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(reason.split()) or type(error).__name__
