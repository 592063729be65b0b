"""pbgen generate"""

from pathlib import Path
from typing import Annotated

import typer

from pbgen.cli import options

BATCH = 16


def generate(
    file: options.Packed,
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture, such as grid.png.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of images.")] = 64,
    seed: options.Seed = 0,
    columns: Annotated[int, typer.Option(min=1, help="Images in a row.")] = 8,
    scale: Annotated[int, typer.Option(min=1, max=16, help="Enlarge every pixel this many times.")] = 1,
) -> None:
    """Make images with a packed generator, as one picture. Needs no PyTorch.

    Without Python, pbgen-run makes the same picture of the same seed.
    """
    from pbgen.cli.terminal import check_output
    from pbgen.engine import Engine
    from pbgen.errors import PBGenError
    from pbgen.latents import latents
    from pbgen.report import Grid, picture_format, save_picture, to_pixels

    check_output("--output", output)
    engine = Engine(file)
    if len(engine.output_shape) != 3 or engine.output_shape[0] not in (1, 3):
        raise PBGenError(f"{file}: makes {engine.output_shape}, no images of 1 or 3 channels")
    grid = Grid(count, *engine.output_shape, columns, scale)
    picture_format(grid.picture, output)
    for first in range(0, count, BATCH):
        z = latents(seed, min(BATCH, count - first), engine.input_shape, first)
        grid.place(first, to_pixels(engine(z)))
    save_picture(grid.picture, output)
