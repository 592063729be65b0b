"""Whether a packed file makes what its module makes."""

import os
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
import torch.utils._pytree as pytree
from numpy.typing import NDArray
from torch import Tensor, nn

from pbgen.errors import PBGenError
from pbgen.packing.file import read
from pbgen.packing.freeze import run
from pbgen.packing.noise import recorded, replay, replayed
from pbgen.packing.rebuilt import Rebuilt, rebuild
from pbgen.packing.rounded import TOLERANCE, difference, versions

ROUNDED = 1e-2  # the most that rounding is given credit for: a wrong step does more

Inputs = tuple[Tensor, ...]


@dataclass(frozen=True)
class Made:
    """Inputs of N images, the numbers that the module drew, and what it made of both."""

    inputs: Inputs
    drawn: list[Tensor]
    outputs: list[Tensor]


def made(module: nn.Module, inputs: Inputs, seed: int = 0) -> Made:
    """Raises PBGenError where the module fails, or gives anything but tensors."""
    source, drawn = recorded(seed)
    with replayed(source):
        outputs = run(module, inputs)
    return Made(inputs, drawn, tensors(module, outputs))


def tensors(module: nn.Module, outputs: object) -> list[Tensor]:
    """The tensors of what a module returns, a None among them left out."""
    leaves = [value for value in pytree.tree_leaves(outputs) if value is not None]
    for value in leaves:
        if not isinstance(value, Tensor):
            raise PBGenError(
                f"{type(module).__name__} returns {type(value).__name__}, not tensors alone; pack a module that does"
            )
    if not leaves:
        raise PBGenError(f"{type(module).__name__} returns no tensor; pack a module that does")
    return leaves


def _check_batch(outputs: list[Tensor], images: int) -> None:
    """Raises PBGenError where an output does not begin with the batch."""
    for output in outputs:
        if output.dim() == 0 or len(output) != images:
            raise PBGenError(
                f"an output has shape {list(output.shape)} for {'one image' if images == 1 else f'{images} images'}; "
                "its first dimension must be the batch"
            )


class IllConditionedError(PBGenError):
    """The file differs from the module by no more than that does from itself in another precision."""


class MixedError(PBGenError):
    """An image of the module depends on the others of its batch."""


def verify(path: str | os.PathLike[str], expected: list[Made], batch: Made | None, module: nn.Module) -> str | None:
    """Run the file on each of `expected`, one image each, and on `batch`; compare with what `module` made of them.
    The module is in float64 afterwards.

    Raises PBGenError where the results differ by more than TOLERANCE, MixedError where only those of `batch` do. Where
    rounding alone, as in an untrained generator whose values grow from layer to layer, moves the module's own float32
    output from its float64 output, ten times that is allowed, up to ROUNDED, and told. Where the module itself rounds,
    as to the levels of a picture, a value may be what the module makes when what it rounds differs by TOLERANCE.
    """
    runs = Runner(path)
    for one in [*expected, *([] if batch is None else [batch])]:
        _check_batch(one.outputs, len(one.inputs[0]))
    told = [compare(runs(one.inputs, one.drawn), one, module, "its input and its weights") for one in expected]
    if batch is not None:
        told.append(compare(runs(batch.inputs, batch.drawn), batch, module, None))
    return next((line for line in told if line is not None), None)


def compare(packed: list[Tensor], one: Made, module: nn.Module, remedy: str | None) -> str | None:
    """What is told where the results differ by more than TOLERANCE, and rounding explains it. Raises PBGenError where
    it does not; `remedy` is what the module must depend on then, None of images in a batch."""
    told = None
    for number, (result, expected) in enumerate(zip(packed, one.outputs, strict=True)):
        if result.shape != expected.shape:
            raise PBGenError(
                f"the packed generator makes {list(result.shape)} where the module makes {list(expected.shape)}; "
                + (
                    "keep dimension 0 for the batch"
                    if remedy is None
                    else f"shapes must depend on nothing but {remedy}"
                )
            )
        if difference(result, [expected]) <= TOLERANCE:
            continue
        allowed = _allowed(module, one)
        error = difference(result, allowed[number])
        if error <= TOLERANCE:
            continue
        own = _rounding(module, one, allowed)
        if not error <= min(ROUNDED, 10 * own):
            raise _differs(error, remedy, own) if _repeats(module, one) else _hangs(error, "its input and its weights")
        told = _ill_conditioned(error, own)
    return told


def _differs(error: float, remedy: str | None, own: float) -> PBGenError:
    if remedy is None:
        return MixedError(
            "an image of the module depends on the others of its batch (its values differ from those of one image at a "
            f"time by {error:.1e} of their scale); keep dimension 0 for the batch in every operation"
        )
    if own >= error / 10:
        return IllConditionedError(_ill_conditioned(error, own))
    return _hangs(error, remedy)


def _ill_conditioned(error: float, own: float) -> str:
    return (
        f"the packed generator's output differs from the module's by {error:.1e} of its scale, and the module's own in "
        f"float32 from that in float64 by {own:.1e}: the network is ill-conditioned as it is, as one is whose spectral "
        "norms never saw a training step, or a variance that is the mean of squares less the square of the mean; give "
        "it trained weights, or compute such differences before sums, or of smaller numbers"
    )


def _hangs(error: float, remedy: str) -> PBGenError:
    return PBGenError(
        f"the packed generator's output differs from the module's by {error:.1e} of its scale "
        f"({TOLERANCE:.0e} allowed); the module must depend on nothing but {remedy}"
    )


def _allowed(module: nn.Module, one: Made) -> list[tuple[Tensor, ...]]:
    """Of each output what the module makes, and what it makes when what it rounds is a little larger, or smaller."""

    def again() -> list[Tensor]:
        with replayed(replay(one.drawn)):
            return tensors(module, run(module.float(), one.inputs))

    return versions(one.outputs, again)


def _rounding(module: nn.Module, one: Made, allowed: list[tuple[Tensor, ...]]) -> float:
    inputs = tuple(value.double() if value.is_floating_point() else value for value in one.inputs)
    try:
        with replayed(replay(one.drawn)):
            outputs = tensors(module, run(module.double(), inputs))
        return max(map(difference, outputs, allowed))
    except (PBGenError, ValueError, RuntimeError):  # it insists on float32
        return 0.0


def _repeats(module: nn.Module, one: Made) -> bool:
    """Whether it makes the same of the same again; a module with a memory does not, in any precision."""
    with replayed(replay(one.drawn)):
        again = tensors(module, run(module.float(), one.inputs))
    return all(difference(made, [before]) <= TOLERANCE for made, before in zip(again, one.outputs, strict=True))


class Runner:
    """A packed file that runs: by the engine; in a source tree where it was not built, as the rebuilt module."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._sources = read(path)[0].inputs
        self._packed = rebuild(path) if find_spec("pbgen._core") is None else _engine(path)

    def __call__(self, inputs: Inputs, drawn: list[Tensor]) -> list[Tensor]:
        """What it makes of inputs and of the numbers that the module drew."""
        noise = {}
        for source, value in zip((source for source in self._sources if source.noise), drawn, strict=False):
            value = value if value.dim() == len(source.shape) else value.reshape(1, *value.shape)
            noise[source.name] = value.expand(len(inputs[0]), *value.shape[1:])  # for all images, without a batch
        if isinstance(self._packed, Rebuilt):
            values = iter(inputs)
            with torch.no_grad():
                outputs = self._packed(*(noise[one.name] if one.noise else next(values) for one in self._sources))
        else:
            made = self._packed(*map(_array, inputs), noise={name: _array(value) for name, value in noise.items()})
            outputs = tuple(map(torch.from_numpy, made if isinstance(made, tuple) else (made,)))
        return list(outputs) if isinstance(outputs, tuple) else [outputs]

    def takes(self, inputs: Inputs) -> bool:
        """False where it is known to refuse inputs of these shapes."""
        if not isinstance(self._packed, Rebuilt):
            with suppress(PBGenError):
                self._packed.output_shape_for(*(value.shape[1:] for value in inputs))
                return True
            return False
        return True


def _engine(path: str | os.PathLike[str]) -> Any:
    from pbgen.engine import Engine

    return Engine(path)


def _array(value: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(value.float().numpy())
