"""Rendered faces: the built-in, seeded, endless source of colour portraits."""

import numpy as np
import numpy.typing as npt

from pbgen.data.faces.draws import Array, Draws
from pbgen.data.faces.people import draw_people
from pbgen.data.faces.portrait import paint

_BLOCK_PIXELS = 2**17  # painted together: enough to amortize NumPy's calls, few enough to stay in the cache

# glibc hands freed memory back to the system, to be faulted in again page by page, above a size that grows with the
# largest block freed so far. Painting frees many middling blocks: one large one first makes it twice as fast.
np.empty(2**24, dtype=np.uint8)


class Faces:
    """Portraits of people who do not exist. Image n depends on (seed, n, size, channels) alone. Thread-safe."""

    name = "faces"
    count = None

    def __init__(self, size: int, channels: int, seed: int = 0) -> None:
        self.size, self.channels, self.seed = size, channels, seed
        self.skipped: list[str] = []
        self.digest = self.name

    def images(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Images number `indices` (n,): uint8 (n, channels, size, size)."""
        draw = Draws.of(self.seed, indices)
        out = np.empty((len(indices), self.channels, self.size, self.size), dtype=np.uint8)
        step = max(1, _BLOCK_PIXELS // self.size**2)
        for start in range(0, len(indices), step):
            block = slice(start, start + step)
            out[block] = self._render(draw[block])
        return out

    def _render(self, draw: Draws) -> npt.NDArray[np.uint8]:
        people = draw_people(draw.stream("people"))
        images: Array = np.zeros((len(people.woman), 3, self.size, self.size), dtype=np.float32)
        paint(images, people, draw)
        if self.channels == 1:
            images = images[:, :1] * 0.299 + images[:, 1:2] * 0.587 + images[:, 2:] * 0.114
        np.clip(images, 0, 1, out=images)
        return (images * 255 + 0.5).astype(np.uint8)
