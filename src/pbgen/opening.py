"""Opens a packed file by the native engine, and says what goes in."""

import os
from dataclasses import dataclass
from operator import index
from typing import Any

from pbgen.errors import PBGenError

try:
    from pbgen import _core
except ImportError as error:
    raise PBGenError(
        f"pbgen._core: the native engine cannot be loaded ({error}); install pbgen again with a C++ compiler at hand"
    ) from None

MAX_THREADS = 1024
NOISE = (None, "normal", "uniform")
ACTIVATIONS = ("float32", "int8")


Shape = tuple[int | None, ...]  # None: a free dimension


@dataclass(frozen=True)
class Input:
    """What goes in, its shape without the batch. noise: "normal" or "uniform" where it is drawn unless it is given.

    number: its place among all inputs of the file, on which what is drawn for a seed hangs (`pbgen.latents.noise`).
    """

    name: str
    shape: Shape
    integer: bool
    noise: str | None
    number: int


def opened(
    path: str | os.PathLike[str], threads: int | None = None, activations: str = "float32"
) -> tuple[_core.Engine, list[Input]]:
    """The native engine with the file in it, and all inputs, noise among them. As `pbgen.Engine`, errors too."""
    if activations not in ACTIVATIONS:
        raise PBGenError(f"activations={activations!r}: must be {' or '.join(map(repr, ACTIVATIONS))}")
    try:
        core = _core.Engine(_file_name(path), _thread_count(threads), activations == "int8")
    except RuntimeError as error:
        raise PBGenError(str(error)) from None
    inputs = enumerate(core.inputs)
    return core, [Input(name, shape, integer, NOISE[noise], number) for number, (name, shape, integer, noise) in inputs]


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
