"""At which other sizes than the example's a packed file is compared with its module."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_MOST_TRIED = 2048  # the largest bound of a size that is tried
_LEAST_HALVED = 8  # the smallest size of which half is tried

Sizes = dict[str, int]  # of the free ones, by name
Shape = tuple[str | None, ...]  # of an input: the names of its free sizes
Bounds = Mapping[str, Mapping[int, tuple[int, int]]]
Turns = Sequence[tuple[str, int, int]]


@dataclass(frozen=True)
class Group:
    """Sizes of one kind, in the order in which they are tried: `smaller` than the example's until the file differs,
    others until it is found right."""

    sizes: list[Sizes]
    smaller: bool = False


def other_sizes(example: Sizes, shapes: Mapping[str, Shape], bounds: Bounds, turns: Turns) -> list[Group]:
    """`shapes` and `bounds`, the sizes between which torch knows that the module does one thing, are those of inputs by
    name; at `turns` it may do another."""
    if not example:
        return []
    limits = {
        name: between
        for source, shape in shapes.items()
        for axis, between in bounds.get(source, {}).items()
        if (name := shape[axis]) is not None
    }
    beyond = [{name: most + 1} for name, (_, most) in limits.items() if most < _MOST_TRIED]
    below = [{name: least - 1} for name, (least, _) in limits.items() if least > 2]  # torch takes 1 for no free size
    single = [*_turned(example, shapes, turns), *(example | one for one in beyond)]
    return [
        Group(_near(example)),
        Group(_far(example)),  # what is right nearby may be so by chance: 33 // 2 is what 32 // 2 is
        *(Group([sizes]) for sizes in single),
        Group([example | one for one in [*below, *_halves(example)]], smaller=True),
    ]


def _near(example: Sizes) -> list[Sizes]:
    """Odd sizes, then multiples of more and more."""
    return [_enlarged(example, more) for more in (1, 2, 4, 8)]


def _far(example: Sizes) -> list[Sizes]:
    """Multiples of still more, but of no more than the example is: who takes multiples of 128 alone has an example of
    such, and attention to all of 144 x 400 pixels takes 50,000 times as long as to 16 x 16. Then sizes in the example's
    proportions."""
    proportional = [{name: size * halves // 2 for name, size in example.items()} for halves in (3, 4, 6)]
    steps = [more for more in (16, 32, 64, 128) if more <= max(16, *example.values())]
    return [*(_enlarged(example, more) for more in steps), *proportional]


def _enlarged(example: Sizes, more: int) -> Sizes:
    """No two sizes that follow each other by as much."""
    return {name: size + more * (1 + 2 * (number % 2)) for number, (name, size) in enumerate(example.items())}


def _turned(example: Sizes, shapes: Mapping[str, Shape], turns: Turns) -> Iterator[Sizes]:
    """One of the sizes as a turn says, alone and with those along the same axis of other inputs that are as large, as
    two pictures are; and all that turn at the same."""
    alike: dict[int, Sizes] = {}
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


def _halves(example: Sizes) -> list[Sizes]:
    """Half of all sizes, and of each alone: windows that are no larger than the image are such."""
    halves = {name: size // 2 for name, size in example.items() if size >= _LEAST_HALVED}
    alone = [{name: half} for name, half in halves.items()]
    return [halves, *alone] if len(alone) > 1 else alone
