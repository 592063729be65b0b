"""Pictures, sounds and arrays in files, as a packed network takes and gives them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbgen.engine import Engine, Shape
from pbgen.errors import PBGenError
from pbgen.files import write_atomically

Floats = NDArray[np.float32]

ARRAYS = (".npy", ".npz")
SOUNDS = (".wav", ".flac", ".ogg")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif")
LARGE = 2**19
"""Positions of an input from which on it is made in tiles, where that is possible."""
TILE = 384
"""Pixels along a tile's edge there."""


@dataclass(frozen=True)
class Range:
    """What a network has for black and for white."""

    low: float
    high: float

    @staticmethod
    def parse(text: str) -> "Range":
        """From "low:high". Raises PBGenError where it is no such pair."""
        low, _, high = text.partition(":")
        try:
            found = Range(float(low), float(high))
        except ValueError:
            found = Range(0, 0)
        if not -1e6 <= found.low < found.high <= 1e6:
            raise PBGenError(f"range '{text}': give the numbers for black and white, such as 0:1, -1:1 or 0:255")
        return found


@dataclass(frozen=True)
class Content:
    """What a file holds: arrays (N, ...) by name, whether it holds the batch, and a sound's samples a second."""

    arrays: dict[str, Floats]
    batched: bool = False
    rate: int | None = None


def read(path: Path, inputs: dict[str, Shape], values: Range) -> Content:
    """The network's inputs (shapes without the batch, free dimensions None) from a file.

    A .npy holds the only input, a .npz all by their names, both with the batch or without; a sound is (1, channels,
    samples) in -1 .. 1, a picture (1, channels, height, width) in the range `values`. Raises PBGenError where the file
    cannot be read, or is not what the network takes.
    """
    ending = path.suffix.lower()
    if ending == ".npz":
        return _read_arrays(path, inputs)
    if len(inputs) > 1:
        raise PBGenError(f"{path}: the network takes {', '.join(inputs)}; give a .npz with these")
    ((name, shape),) = inputs.items()
    if ending == ".npy":
        array = _loaded(path)
        batched = array.ndim == 1 + len(shape)
        return Content({name: array if batched else array[None]}, batched)
    if ending in SOUNDS:
        samples, rate = _read_sound(path)
        return Content({name: samples[None]}, rate=rate)
    return Content({name: _read_picture(path, shape, values)[None]})


def write(path: Path, content: Content, values: Range, rate: int) -> None:
    """The network's outputs to a file, whose ending says how; as `read` reads them.

    Raises PBGenError where they are not what such a file can hold, or it cannot be written.
    """
    ending = path.suffix.lower()
    arrays = {name: array if content.batched else array[0] for name, array in content.arrays.items()}
    if ending == ".npz":
        write_atomically(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]  # names are not options
        return
    if len(arrays) > 1:
        raise PBGenError(f"{path}: the network makes {', '.join(arrays)}; give a name that ends in .npz")
    ((_, array),) = arrays.items()
    if ending == ".npy":
        write_atomically(path, lambda file: np.save(file, array))
    elif ending in SOUNDS:
        _write_sound(path, array, content.rate or rate)
    else:
        _write_picture(path, array, values)


def run(engine: Engine, content: Content, tile: int | None, seed: int, progress: Callable[[int, int], None]) -> Content:
    """What the network makes. In tiles of `tile` where it is given, or where an input is large and the network local."""
    arrays = [content.arrays[source.name] for source in engine.inputs]
    made = _made(engine, arrays, tile, seed, progress)
    outputs = dict(zip(engine.outputs, made if isinstance(made, tuple) else (made,), strict=True))
    return Content(outputs, content.batched, _rate(content, outputs))


def _made(
    engine: Engine, arrays: list[Floats], tile: int | None, seed: int, progress: Callable[[int, int], None]
) -> Floats | tuple[Floats, ...]:
    if tile:
        return engine.tiled(*arrays, tile=tile, seed=seed, progress=progress)
    if any(array[0, :1].size > LARGE for array in arrays if array.ndim > 2):
        try:
            return engine.tiled(*arrays, tile=TILE if arrays[0].ndim > 3 else TILE**2, seed=seed, progress=progress)
        except PBGenError:  # it is not local, or fits in no way, which the whole says better
            pass
    return engine(*arrays, seed=seed)


def _rate(content: Content, outputs: dict[str, Floats]) -> int | None:
    """A sound made of a sound lasts as long."""
    if content.rate is None:
        return None
    before, after = next(iter(content.arrays.values())), next(iter(outputs.values()))
    return max(1, round(content.rate * after.shape[-1] / before.shape[-1]))


def _loaded(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise PBGenError(f"{path}: cannot be read as arrays of numbers: {_line(error)}") from None


def _read_arrays(path: Path, inputs: dict[str, Shape]) -> Content:
    with _loaded(path) as file:
        missing = [name for name in inputs if name not in file]
        if missing:
            raise PBGenError(f"{path}: has no '{missing[0]}'; the network takes {', '.join(inputs)}")
        arrays = {name: file[name] for name in inputs}
    batched = {array.ndim == 1 + len(inputs[name]) for name, array in arrays.items()}
    if len(batched) > 1:
        raise PBGenError(f"{path}: some arrays have the batch's dimension and others have not")
    return Content({name: array if True in batched else array[None] for name, array in arrays.items()}, True in batched)


def _read_sound(path: Path) -> tuple[Floats, int]:
    import soundfile

    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise PBGenError(f"{path}: cannot be read as a sound: {_line(error)}") from None
    return np.ascontiguousarray(samples.T), int(rate)


def _write_sound(path: Path, array: Floats, rate: int) -> None:
    import soundfile

    if array.ndim != 2:
        raise PBGenError(f"{path}: the network makes {_text(array.shape)}, no sound of (channels, samples)")
    kind = path.suffix[1:].upper()
    write_atomically(path, lambda file: soundfile.write(file, array.T.clip(-1, 1), rate, format=kind))


def _read_picture(path: Path, shape: Shape, values: Range) -> Floats:
    from pbgen.data.decode import picture

    if len(shape) != 3 or shape[0] not in (1, 3):
        raise PBGenError(f"{path}: the network takes {_text(shape)}, no picture; give a .npy")
    pixels = picture(path, shape[0])
    scale = np.float32((values.high - values.low) / 255)
    return pixels.transpose(2, 0, 1).astype(np.float32) * scale + np.float32(values.low)


def _write_picture(path: Path, array: Floats, values: Range) -> None:
    from PIL import Image

    from pbgen.report import save_picture

    if array.ndim != 3 or array.shape[0] not in (1, 3):
        raise PBGenError(f"{path}: the network makes {_text(array.shape)}, no picture; give a name that ends in .npy")
    scaled = (array - values.low) * (255 / (values.high - values.low))
    pixels = scaled.clip(0, 255).round().astype(np.uint8).transpose(1, 2, 0)
    save_picture(Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels), path)


def _text(shape: tuple[Any, ...]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
