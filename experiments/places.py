"""Whether the distance moves when each set is cut at places of its own rather than both at the same; no trials.

    python -m experiments.places --images IMAGES

Sets of 1,024 images: real ones against other real ones, against other real ones blurred, and, as pairs, against
themselves blurred. Prints mean and standard deviation over seeds of the measure, and the mean difference with its
standard error.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated
from unittest.mock import patch

import numpy as np
import torch
import typer

from pbgen.data import open_images
from pbgen.evaluation import Images, real_images
from pbgen.metrics import pyramid, sliced_wasserstein, swd

from .run import images_of

COUNT = 1024
SEEDS = 3
SETS = [("cells", 32), ("faces", 32), ("cats", 64)]


def main(
    images: Annotated[Path, typer.Option(help="Folder with the folders of images that the README names.")],
) -> None:
    """Print a row for each pair of sets."""
    print("| images | | places shared | each its own | difference |\n|---|---|---|---|---|")
    for name, size in SETS:
        for what, one, other in _pairs(images_of(name, images), size):
            shared = np.array([_shared(one, other, seed) for seed in range(SEEDS)])
            own = np.array([sliced_wasserstein(one, other, seed).mean for seed in range(SEEDS)])
            difference = own - shared
            error = stdev(difference) / SEEDS**0.5
            print(
                f"| {name}, {size} pixels | {what} | {_spread(shared)} | {_spread(own)} "
                f"| {difference.mean():+.2f} ± {error:.2f} |",
                flush=True,
            )


def _pairs(data: str, size: int) -> Iterator[tuple[str, Images, Images]]:
    real = real_images(open_images(data, size, 3), COUNT)
    one, other = real[:COUNT], real[COUNT:]
    yield "real, other real ones", one, other
    yield "real, other real ones blurred", one, _blurred(other)
    yield "real, the same blurred", one, _blurred(one)


def _blurred(images: Images) -> Images:
    """Without what the next level of the pyramid does not hold."""
    size = images.shape[-1]
    there, back = pyramid.down(size), pyramid.up(size // 2)
    smooth = back @ (there @ torch.from_numpy(images).float() @ there.T) @ back.T
    return smooth.round().clamp(0, 255).byte().numpy()


def _shared(one: Images, other: Images, seed: int) -> float:
    """The distance where the other set is cut where the real one is, and all else is the same."""

    def draw(*what: object) -> list[swd.Draw]:
        return [replace(drawn, places=drawn.places[:1] * 2) for drawn in draw_own(*what)]

    draw_own = swd.draw
    with patch.object(swd, "draw", draw):
        return sliced_wasserstein(one, other, seed).mean


def _spread(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> str:
    return f"{fmean(values):.2f} ± {stdev(values):.2f}"


if __name__ == "__main__":
    typer.run(main)
