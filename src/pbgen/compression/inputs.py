"""What a module is run on while it is compressed: noise, or examples of what it will be given.

Some examples are held out: a part to tell the best step by, another to judge by in the end.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pbgen.errors import PBGenError
from pbgen.training import randomness
from pbgen.training.randomness import Stream

Batch = tuple[Tensor, ...]
T = TypeVar("T")

MOST_HELD_OUT = 64
MOST_EXAMPLES = 4096
_NOISE_HELD_OUT = 64


class Inputs(Protocol):
    """Batches of float32 tensors on the CPU, one for each input of the module, which follow from their numbers."""

    def train(self, step: int, count: int) -> Batch:
        """The batch of a training step, `count` examples or fewer."""

    @property
    def chosen_by(self) -> list[Batch]:
        """Held-out examples, one each, by which the best step is chosen."""

    @property
    def judged_by(self) -> list[Batch]:
        """Others, which nothing is chosen by; the same where there are few."""


class Noise:
    """Standard normal latents of these shapes, without end."""

    def __init__(self, shapes: Sequence[tuple[int, ...]], seed: int) -> None:
        self._shapes, self._seed = shapes, seed
        held_out = [self._one(Stream.STATISTICS, number) for number in range(_NOISE_HELD_OUT)]
        self.chosen_by, self.judged_by = held_out[::2], held_out[1::2]

    def train(self, step: int, count: int) -> Batch:
        return self._draw(Stream.GENERATOR, step, count)

    def _one(self, stream: Stream, number: int) -> Batch:
        return self._draw(stream, number, 1)

    def _draw(self, stream: Stream, when: int, count: int) -> Batch:
        return tuple(
            randomness.latents(self._seed + 1_000_003 * place, stream, when, count, shape)
            for place, shape in enumerate(self._shapes)
        )


class Examples:
    """Given batches, cut into examples; those of one shape go into a batch together."""

    def __init__(self, batches: Iterable[Tensor | Sequence[Tensor]], seed: int) -> None:
        given = (example for number, batch in enumerate(batches) for example in _cut(batch, number))
        examples = list(islice(given, MOST_EXAMPLES))  # of batches that may have no end
        train, self.chosen_by, self.judged_by = split(examples, seed)
        self._seed, self._alike = seed, defaultdict[tuple[torch.Size, ...], list[Batch]](list)
        for example in train:
            self._alike[tuple(value.shape for value in example)].append(example)
        self._order = [shape for shape, alike in self._alike.items() for _ in alike]

    def train(self, step: int, count: int) -> Batch:
        random = randomness.generator(self._seed, Stream.ORDER, step)
        alike = self._alike[self._order[random.integers(len(self._order))]]
        chosen = random.permutation(len(alike))[:count]
        return tuple(torch.cat(values) for values in zip(*(alike[index] for index in chosen), strict=True))


@dataclass(frozen=True)
class Scale:
    """How stored numbers become the network's: black or silence is `low`, white `high`."""

    low: float
    high: float
    most: float  # what is stored for `high`; 0 stands for `low`

    def __call__(self, stored: NDArray[np.generic]) -> Tensor:
        values = torch.from_numpy(np.ascontiguousarray(stored, np.float32))
        return values * ((self.high - self.low) / self.most) + self.low


class Crops:
    """Random parts of pictures, uint8 (C, H, W), or sounds, float32 (C, samples), of the size that the network takes.

    What is smaller than a part is continued by its mirror image. Pictures are turned left to right half of the time.
    """

    def __init__(self, wholes: Sequence[NDArray[np.generic]], size: tuple[int, ...], scale: Scale, seed: int) -> None:
        self._size, self._scale, self._seed = size, scale, seed
        self._train, chosen, judged = split([_at_least(whole, size) for whole in wholes], seed)
        self.chosen_by, self.judged_by = ([self._middle(whole) for whole in part] for part in (chosen, judged))

    def train(self, step: int, count: int) -> Batch:
        random = randomness.generator(self._seed, Stream.ORDER, step)
        parts = []
        for number in random.integers(len(self._train), size=count):
            whole = self._train[number]
            room = [length - size for length, size in zip(whole.shape[1:], self._size, strict=True)]
            part = self._part(whole, [int(random.integers(one + 1)) for one in room])
            turned = len(self._size) == 2 and random.random() < 0.5
            parts.append(part[..., ::-1] if turned else part)
        return (self._scale(np.stack(parts)),)

    def _middle(self, whole: NDArray[np.generic]) -> Batch:
        room = [length - size for length, size in zip(whole.shape[1:], self._size, strict=True)]
        return (self._scale(self._part(whole, [one // 2 for one in room])[None]),)

    def _part(self, whole: NDArray[np.generic], first: Sequence[int]) -> NDArray[np.generic]:
        return whole[(slice(None), *(slice(a, a + size) for a, size in zip(first, self._size, strict=True)))]


def split(examples: Sequence[T], seed: int) -> tuple[list[T], list[T], list[T]]:
    """Three parts: to train by, to choose by, to judge by. Raises PBGenError where there are not two examples."""
    if len(examples) < 2:
        raise PBGenError(f"inputs: {len(examples)} of them; give two or more, as a part is held out to judge by")
    order = np.random.default_rng((seed, 17)).permutation(len(examples))
    held_out = max(1, min(MOST_HELD_OUT, len(examples) // 4))
    first, rest = order[:held_out], order[held_out:]
    chosen, judged = (first[::2], first[1::2]) if held_out > 1 else (first, first)
    train, chosen_by, judged_by = ([examples[index] for index in part] for part in (rest, chosen, judged))
    return train, chosen_by, judged_by


def _at_least(whole: NDArray[np.generic], size: tuple[int, ...]) -> NDArray[np.generic]:
    missing = [(0, max(0, least - length)) for least, length in zip(size, whole.shape[1:], strict=True)]
    return np.pad(whole, [(0, 0), *missing], mode="symmetric") if any(after for _, after in missing) else whole


def _cut(batch: Tensor | Sequence[Tensor], number: int) -> list[Batch]:
    values = (batch,) if isinstance(batch, Tensor) else tuple(batch) if isinstance(batch, tuple | list) else ()
    if not values or not all(isinstance(value, Tensor) and value.dim() > 0 for value in values):
        raise PBGenError(
            f"inputs: batch {number} is {type(batch).__name__}; give tensors (N, ...), or tuples of them where the "
            "module takes several"
        )
    if len({len(value) for value in values}) > 1:
        raise PBGenError(f"inputs: batch {number} holds {[len(value) for value in values]} examples of its inputs")
    values = tuple(value.detach().cpu() for value in values)
    values = tuple(value.float() if value.is_floating_point() else value for value in values)
    return [tuple(value[i : i + 1] for value in values) for i in range(len(values[0]))]
