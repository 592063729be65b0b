"""A portrait: its parts in the order in which they are painted."""

from collections.abc import Callable

import numpy as np

from pbgen.data.faces import features, hair, outfit
from pbgen.data.faces.canvas import Canvas
from pbgen.data.faces.draws import Array, Draws
from pbgen.data.faces.people import People

Part = Callable[[Canvas, People, Draws], None]

PARTS: tuple[tuple[Part, str | None], ...] = (  # and who has it: a flag of People, or everybody
    (outfit.background, None),
    (hair.bun, "has_bun"),
    (hair.back_hair, "has_long_hair"),
    (outfit.neck, None),
    (outfit.clothes, None),
    (outfit.collar, "wears_shirt"),
    (features.ears, "shows_ears"),
    (outfit.earrings, "wears_earrings"),
    (features.head, None),
    (hair.beard, "has_beard"),
    (features.nose, None),
    (hair.moustache, "has_moustache"),
    (features.mouth, "closes_mouth"),
    (features.laugh, "laughs"),
    (features.eyes, None),
    (features.brows, None),
    (outfit.glasses, "wears_glasses"),
    (hair.locks, "has_long_hair"),
    (hair.hair, "has_hair"),
    (outfit.hat, "wears_hat"),
)


def paint(images: Array, people: People, draw: Draws) -> None:
    """Paint people over images, float32 (n, 3, H, W) in 0..1. What a part alone needs it draws from its own stream."""
    for part, flag in PARTS:
        stream = draw.stream(part.__name__)
        if flag is None:
            part(Canvas(images, people), people, stream)
            continue
        rows = np.flatnonzero(getattr(people, flag))
        if len(rows):
            some = people[rows]
            part(Canvas(images, some, rows), some, stream[rows])
