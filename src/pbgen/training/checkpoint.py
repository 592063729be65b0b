"""The file that a run goes on from: everything that a step changes, written so that the last good one is never lost."""

import os
from pathlib import Path
from typing import Any, TypedDict, cast
from zipfile import ZipFile

import torch
from torch import Tensor, nn

from pbgen.errors import PBGenError
from pbgen.files import write_atomically

_VERSION = 1


class Checkpoint(TypedDict):
    """The state after `step` training steps.

    Random numbers and the place in the data are functions of the step (see randomness.py), so it stands for both.
    """

    version: int
    step: int
    seconds: float  # of training so far
    generator: dict[str, Any]
    discriminator: dict[str, Any]
    average: dict[str, Any]  # ready for use: its batch-norm statistics are its own
    generator_optimizer: dict[str, Any]
    discriminator_optimizer: dict[str, Any]
    unlogged: Tensor  # (n, 4), what the next row of the log averages beside later steps


def save(path: str | os.PathLike[str], **state: Any) -> None:
    """Write a checkpoint atomically; `state` is all of Checkpoint but its version."""
    write_atomically(path, lambda file: torch.save({"version": _VERSION, **state}, file))


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint, tensors on the CPU. Raises PBGenError where it is missing, damaged or of another version."""
    if not Path(path).is_file():
        raise PBGenError(f"{path}: there is no checkpoint; give the folder of a training run")
    state = read(path, "damaged, or not a checkpoint; restore it from a copy or train again")
    if not isinstance(state, dict) or state.get("version") != _VERSION or set(state) != set(Checkpoint.__annotations__):
        raise PBGenError(f"{path}: not a version {_VERSION} checkpoint; train again with this version of PBGen")
    return cast(Checkpoint, state)


def read(path: str | os.PathLike[str], damaged: str) -> Any:
    """What torch saved, tensors on the CPU. Raises PBGenError where it cannot be read, or is `damaged`: so."""
    try:
        with ZipFile(path) as archive:  # torch itself does not compare the checksums that it writes
            if archive.testzip():
                raise ValueError
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise PBGenError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception:  # torch has no error type of its own for a damaged file: zip, pickle and runtime errors come
        raise PBGenError(f"{path}: {damaged}") from None


def restore(module: nn.Module, state: dict[str, Any]) -> None:
    """Load a module's own state, not a float one's into a binary module, which takes that as a beginning.

    Raises RuntimeError where it is another module's.
    """
    if state.keys() != module.state_dict().keys():
        raise RuntimeError("the state of another module")
    module.load_state_dict(state)
