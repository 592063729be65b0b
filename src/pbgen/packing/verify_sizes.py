"""Whether a packed file makes what its module makes at other sizes than the example's."""

import os
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pbgen.errors import PBGenError
from pbgen.packing.file import read
from pbgen.packing.other_sizes import Bounds, Shape, Sizes, Turns, other_sizes
from pbgen.packing.verify import Inputs, Runner, compare, made


class SizesDifferError(PBGenError):
    """The file is right at the example's sizes and wrong at those of `inputs`."""

    def __init__(self, message: str, inputs: Inputs) -> None:
        super().__init__(message)
        self.inputs = inputs


class SizesRefusedError(SizesDifferError):
    """The file does not take sizes that the module takes."""


class SeveralImagesError(PBGenError):
    """Of an input of another size the module makes several images, as `z.view(-1, 100, 1, 1)` of a longer latent: that
    is no size of one image."""


@dataclass
class Elsewhere:
    """What was found at other sizes: how often the file is right, the first smaller ones at which it differs, and the
    first that its module takes and it does not."""

    right: int = 0
    differs: SizesDifferError | None = None
    refused: SizesRefusedError | None = None


def verify_sizes(
    path: str | os.PathLike[str], module: nn.Module, inputs: Inputs, bounds: Bounds, turns: Turns, every: bool
) -> Elsewhere:
    """Compare where the file's sizes are free, at as many sizes of a kind as are enough, or at `every` one.

    Raises SizesDifferError where the file makes something else at larger sizes, or takes none of those that were tried
    and that the module takes, and SeveralImagesError; tells where it does at smaller ones, or refuses some.
    """
    sources = [source for source in read(path)[0].inputs if source.noise is None]
    shapes = {
        source.name: tuple(size if isinstance(size, str) else None for size in source.shape) for source in sources
    }
    pair = _Pair(Runner(path), module, inputs, list(shapes.values()))
    found = Elsewhere()
    for group in other_sizes(pair.example, shapes, bounds, turns):
        if group.smaller:
            found.differs = pair.differs(group.sizes)
        else:
            pair.find_right(group.sizes, found, every)
    if found.refused is not None and not found.right:
        raise found.refused
    return found


@dataclass
class _Pair:
    """A file that runs and its module, what they are compared on, and the names of its free sizes."""

    runs: Runner
    module: nn.Module
    inputs: Inputs
    shapes: list[Shape]

    @property
    def example(self) -> Sizes:
        return {
            name: size
            for value, shape in zip(self.inputs, self.shapes, strict=True)
            for name, size in zip(shape, value.shape, strict=True)
            if name is not None
        }

    def find_right(self, several: list[Sizes], found: Elsewhere, every: bool) -> None:
        """Tell `found` of these until the file is right at one, or of `every` one."""
        for sizes in several:
            if found.refused is not None and not self.runs.takes(self._resized(sizes)):
                continue  # one that is refused is told
            try:
                agrees = self._agrees(sizes)
            except SizesRefusedError as error:
                found.refused = found.refused or error
                continue
            found.right += agrees
            if agrees and not every:
                return

    def differs(self, several: list[Sizes]) -> SizesDifferError | None:
        """How the file differs at the first of these where it does."""
        for sizes in several:
            try:
                self._agrees(sizes)
            except SizesRefusedError:
                pass  # as a user would be told
            except SizesDifferError as error:
                return error
        return None

    def _agrees(self, sizes: Sizes) -> bool:
        """False where the module does not take these sizes, such as those that are no multiples of 16."""
        other = self._resized(sizes)
        try:
            expected = made(self.module.float(), other)
        except PBGenError:
            return False
        if len(sizes) == 1 and any(len(output) != 1 for output in expected.outputs):
            raise SeveralImagesError(f"{type(self.module).__name__} makes several images of an input of another size")
        said = ", ".join(f"{name} = {size}" for name, size in sizes.items())
        try:
            packed = self.runs(expected.inputs, expected.drawn)
        except PBGenError as error:
            raise SizesRefusedError(
                f"at size {said}, which the module takes, the packed file does not: {error}", other
            ) from None
        try:
            compare(packed, expected, self.module, "the sizes of its inputs, in one way for all sizes")
        except PBGenError as error:
            raise SizesDifferError(f"at size {said} {error}", other) from None
        return True

    def _resized(self, sizes: Sizes) -> Inputs:
        return tuple(_resized(value, shape, sizes) for value, shape in zip(self.inputs, self.shapes, strict=True))


def _resized(value: Tensor, shape: Shape, sizes: Sizes) -> Tensor:
    """The first image, repeated as far as it must."""
    value = value[:1]
    for axis, name in enumerate(shape):
        if name is not None:
            index = torch.arange(sizes[name]) % value.shape[axis]
            value = value.index_select(axis, index)
    return value
