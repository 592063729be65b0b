"""pbgen generate"""

from math import prod
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
    values: options.Ends = "-1:1",
) -> None:
    """Make images with a packed generator, as one picture. Needs no PyTorch.

    Without Python, pbgen-run makes the same picture of the same seed.
    """
    from pbgen.cli.terminal import check_output
    from pbgen.engine import Engine
    from pbgen.errors import PBGenError
    from pbgen.pictures import Grid, Range, picture_format, save_picture, to_pixels

    ends = Range.parse(values)
    check_output("--output", output)
    engine = Engine(file)
    for source in engine.inputs:
        if source.integer or None in source.shape:
            raise PBGenError(f"{file}: its input '{source.name}' is no latent vector of a fixed size; use pbgen run")
    shapes = [[size or 0 for size in source.shape] for source in engine.inputs]  # none is free
    made = engine.output_shape_for(*shapes)  # the first output is the picture; others are made and dropped
    image_shape = made[0] if isinstance(made[0], tuple) else made
    if len(image_shape) != 3 or image_shape[0] not in (1, 3):
        raise PBGenError(f"{file}: makes {image_shape}, no images of 1 or 3 channels; use pbgen run")
    grid = Grid(count, *image_shape, columns, scale)
    picture_format(grid.picture, output)
    outside = 0
    for first in range(0, count, BATCH):
        noise = engine.draw(*shapes, count=min(BATCH, count - first), seed=seed, first=first)
        images = engine(*(noise.pop(source.name) for source in engine.inputs), noise=noise)
        pictures = images[0] if isinstance(images, tuple) else images
        outside += ends.outside(pictures)
        grid.place(first, to_pixels(pictures, ends))
    save_picture(grid.picture, output)
    ends.doubt(outside / (count * prod(image_shape)), output)
