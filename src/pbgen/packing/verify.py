"""Whether a packed file makes what its module makes."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
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

MOST_TRIED = 2048  # the largest bound of a size that is tried
LEAST_HALVED = 8  # the smallest size of which half is tried
FURTHER = 16  # how much larger the sizes are that must be right, too

Inputs = tuple[Tensor, ...]
Runner = Callable[[Inputs, list[Tensor]], list[Tensor]]


@dataclass(frozen=True)
class Made:
    """Inputs of N images, the numbers that the module drew, and what it made of both."""

    inputs: Inputs
    drawn: list[Tensor]
    outputs: list[Tensor]


class SizesDifferError(PBGenError):
    """The file is right at the example's sizes and wrong at those of `inputs`."""

    def __init__(self, message: str, inputs: Inputs) -> None:
        super().__init__(message)
        self.inputs = inputs


class SizesRefusedError(SizesDifferError):
    """The file does not take sizes that the module takes."""


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


class LostDigitsError(PBGenError):
    """The file differs from the module by no more than that does from itself in another precision."""


class SeveralImagesError(PBGenError):
    """Of an input of another size the module makes several images, as `z.view(-1, 100, 1, 1)` of a longer latent: that
    is no size of one image."""


class MixedError(PBGenError):
    """An image of the module depends on the others of its batch."""


def verify(path: str | os.PathLike[str], expected: list[Made], batch: Made | None, module: nn.Module) -> None:
    """Run the file on each of `expected`, one image each, and on `batch`; compare with what `module` made of them.
    The module is in float64 afterwards.

    Raises PBGenError where the results differ by more than TOLERANCE, MixedError where only those of `batch` do. Where
    rounding alone, as in an untrained generator whose values grow from layer to layer, moves the module's own float32
    output from its float64 output, ten times that is allowed, up to ROUNDED. Where the module itself rounds, as to the
    levels of a picture, a value may be what the module makes when what it rounds differs by TOLERANCE.
    """
    runs = _runner(path)
    for one in [*expected, *([] if batch is None else [batch])]:
        _check_batch(one.outputs, len(one.inputs[0]))
    for one in expected:
        _compare(runs(one.inputs, one.drawn), one, module, "its input and its weights")
    if batch is not None:
        _compare(runs(batch.inputs, batch.drawn), batch, module, None)


Bounds = Mapping[str, Mapping[int, tuple[int, int]]]


@dataclass(frozen=True)
class Elsewhere:
    """What is told of a file at smaller sizes than the example's, with the first that was found to differ, and of the
    first that its module takes and it does not."""

    warnings: list[str]
    differs: SizesDifferError | None
    refused: SizesRefusedError | None


def verify_sizes(
    path: str | os.PathLike[str],
    module: nn.Module,
    inputs: Inputs,
    bounds: Bounds,
    turns: Sequence[tuple[str, int, int]],
    every: bool,
) -> Elsewhere:
    """Compare at another size where the file's sizes are free, and at one further away (at `every` one that is tried),
    and beyond the sizes between which, as torch knows, the module does one thing, and at `turns`, where it may do
    another.

    Raises SizesDifferError where the file makes something else at larger sizes, or takes none of those that were tried
    and that the module takes, and SeveralImagesError; tells where it does at smaller ones, or refuses some.
    """
    sources = [source for source in read(path)[0].inputs if source.noise is None]
    shapes = [tuple(size if isinstance(size, str) else None for size in source.shape) for source in sources]
    runs, example = _runner(path), _example_sizes(inputs, shapes)
    right, refused, below = 0, [], []
    for more, sizes in _other_sizes(example):
        # What is right nearby may be so by chance: 33 // 2 is what 32 // 2 is.
        if right and not every and more < FURTHER:
            continue
        try:
            right += _agrees(runs, module, inputs, shapes, sizes)
        except SizesRefusedError as error:
            refused.append(error)
        if right and not every and more >= FURTHER:
            break
    for sizes in _turned(turns, dict(zip((source.name for source in sources), shapes, strict=True)), example):
        try:
            _agrees(runs, module, inputs, shapes, sizes)
        except SizesRefusedError as error:
            refused.append(error)
    for source, shape in zip(sources, shapes, strict=True):
        for axis, (least, most) in bounds.get(source.name, {}).items():
            name = shape[axis]
            if name is None:
                continue
            try:
                if most < MOST_TRIED:
                    _agrees(runs, module, inputs, shapes, example | {name: most + 1})
            except SizesRefusedError as error:
                refused.append(error)
            try:
                if least > 2:  # torch takes no size of 1 for a free one
                    _agrees(runs, module, inputs, shapes, example | {name: least - 1})
            except SizesRefusedError:
                pass  # as a user would be told
            except SizesDifferError:
                below.append(f"{name} below {least} makes the module do something else than the packed file")
    if refused and not right:
        raise refused[0]
    differs = None if below else _smaller(runs, module, inputs, shapes, example)
    return Elsewhere(below, differs, refused[0] if refused else None)


def _smaller(
    runs: Runner, module: nn.Module, inputs: Inputs, shapes: list[tuple[str | None, ...]], example: dict[str, int]
) -> SizesDifferError | None:
    """How the file differs at half the sizes, or at half of one: windows that are no larger than the image are such."""
    halves = {name: size // 2 for name, size in example.items() if size >= LEAST_HALVED}
    alone = [{name: half} for name, half in halves.items()]
    for sizes in [halves, *alone] if len(alone) > 1 else alone:
        try:
            _agrees(runs, module, inputs, shapes, example | sizes)
        except SizesRefusedError:
            pass  # as a user would be told
        except SizesDifferError as error:
            return error
    return None


def _agrees(
    runs: Runner, module: nn.Module, inputs: Inputs, shapes: list[tuple[str | None, ...]], sizes: dict[str, int]
) -> bool:
    """False where the module does not take these sizes, such as those that are no multiples of 16."""
    other = tuple(_resized(value, shape, sizes) for value, shape in zip(inputs, shapes, strict=True))
    try:
        expected = made(module.float(), other)
    except PBGenError:
        return False
    if len(sizes) == 1 and any(len(output) != 1 for output in expected.outputs):
        raise SeveralImagesError(f"{type(module).__name__} makes several images of an input of another size")
    said = ", ".join(f"{name} = {size}" for name, size in sizes.items())
    try:
        packed = runs(expected.inputs, expected.drawn)
    except PBGenError as error:
        raise SizesRefusedError(
            f"at size {said}, which the module takes, the packed file does not: {error}", other
        ) from None
    try:
        _compare(packed, expected, module, "the sizes of its inputs, in one way for all sizes")
    except PBGenError as error:
        raise SizesDifferError(f"at size {said} {error}", other) from None
    return True


def _turned(
    turns: Sequence[tuple[str, int, int]], shapes: Mapping[str, tuple[str | None, ...]], example: dict[str, int]
) -> Iterator[dict[str, int]]:
    """The sizes with one of them as a turn says, alone and with those along the same axis of other inputs that are as
    large, as two pictures are; and with all that turn at the same."""
    alike: dict[int, dict[str, int]] = {}
    for source, axis, size in turns:
        name = shapes[source][axis]
        if name is None:
            continue
        along = {shape[axis] for shape in shapes.values() if len(shape) == len(shapes[source])} - {None}
        beside = {other: size for other in along if other and example[other] == example[name]}
        alike.setdefault(size, {}).update(beside)
        yield example | {name: size}
        if len(beside) > 1:
            yield example | beside
    yield from (example | names for names in alike.values() if len(names) > 1)


def _other_sizes(example: dict[str, int]) -> Iterator[tuple[int, dict[str, int]]]:
    """How much larger, and sizes near the example's: odd ones, then multiples of more and more; then sizes in the
    example's proportions."""
    if not example:
        return
    for more in (1, 2, 4, 8, 16, 32, 64, 128):
        yield more, {name: size + more * (1 + 2 * (number % 2)) for number, (name, size) in enumerate(example.items())}
    for halves in (3, 4, 6):
        yield max(example.values()), {name: size * halves // 2 for name, size in example.items()}


def _example_sizes(inputs: Inputs, shapes: list[tuple[str | None, ...]]) -> dict[str, int]:
    return {
        name: size
        for value, shape in zip(inputs, shapes, strict=True)
        for name, size in zip(shape, value.shape, strict=True)
        if name is not None
    }


def _resized(value: Tensor, shape: tuple[str | None, ...], sizes: dict[str, int]) -> Tensor:
    """The value, repeated as far as it must."""
    value = value[:1]
    for axis, name in enumerate(shape):
        if name is not None:
            index = torch.arange(sizes[name]) % value.shape[axis]
            value = value.index_select(axis, index)
    return value


def _compare(packed: list[Tensor], one: Made, module: nn.Module, remedy: str | None) -> None:
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


def _differs(error: float, remedy: str | None, own: float) -> PBGenError:
    if remedy is None:
        return MixedError(
            "an image of the module depends on the others of its batch (its values differ from those of one image at a "
            f"time by {error:.1e} of their scale); keep dimension 0 for the batch in every operation"
        )
    if own >= error / 10:
        return LostDigitsError(
            f"the packed generator's output differs from the module's by {error:.1e} of its scale, and the module's "
            f"own in float32 from that in float64 by {own:.1e}: it loses its digits, as a variance does that is the "
            "mean of squares less the square of the mean; compute such differences before sums, or of smaller numbers"
        )
    return _hangs(error, remedy)


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


def _runner(path: str | os.PathLike[str]) -> Runner:
    """The engine; in a source tree where it was not built, the rebuilt module."""
    sources = read(path)[0].inputs
    packed = rebuild(path) if find_spec("pbgen._core") is None else _engine(path)

    def runs(inputs: Inputs, drawn: list[Tensor]) -> list[Tensor]:
        noise = {}
        for source, value in zip((source for source in sources if source.noise), drawn, strict=False):
            value = value if value.dim() == len(source.shape) else value.reshape(1, *value.shape)
            noise[source.name] = value.expand(len(inputs[0]), *value.shape[1:])  # for all images, without a batch
        if isinstance(packed, Rebuilt):
            values = iter(inputs)
            with torch.no_grad():
                outputs = packed(*(noise[source.name] if source.noise else next(values) for source in sources))
        else:
            made = packed(*map(_array, inputs), noise={name: _array(value) for name, value in noise.items()})
            outputs = tuple(map(torch.from_numpy, made if isinstance(made, tuple) else (made,)))
        return list(outputs) if isinstance(outputs, tuple) else [outputs]

    return runs


def _engine(path: str | os.PathLike[str]) -> Callable[..., Any]:
    from pbgen.engine import Engine

    return Engine(path)


def _array(value: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(value.float().numpy())
