"""Draws what generators make beside real images, from the trainings on this machine.

python -m experiments.grids                         of seed 0
python -m experiments.grids faces --seed 1          some images, of another seed
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from PIL import Image, ImageDraw

from pbgen.data import open_images
from pbgen.evaluation import real_images
from pbgen.pictures import image_grid, save_picture

from . import full_size, large
from .layers import NETWORK, selections
from .run import HERE, images_of
from .trial import DATA, Trial

COLUMNS, ROWS, GAP = 4, 4, 12
WIDTH = 1400
"""Pixels; pictures of small images are doubled as long as they are not wider."""


def small(data: str, seed: int) -> dict[str, Trial]:
    """Of the first question, and taught ones: trials by what is written over them."""
    layers = selections()
    chosen = Trial(NETWORK, data, layers["the plan's choice"], seed)
    return {
        "float": Trial(NETWORK, data, (), seed),
        "the plan's choice": chosen,
        "teacher of weight 30": replace(chosen, teacher=NETWORK),
        "deconv32 alone": Trial(NETWORK, data, layers["deconv32 alone"], seed),
        "all": Trial(NETWORK, data, layers["all"], seed),
    }


SHOWN = {
    "float": "float",
    "the plan's choice": "the plan's choice",
    "the plan's choice, binary discriminator": "the same, D binary",
    "teacher of weight 30": "teacher of weight 30",
    "teacher of weight 300": "teacher of weight 300",
    "teacher of weight 1000, twice as wide": "weight 1000, twice as wide",
    "all": "all",
}
"""Which generators of 64 pixels, and what is written over them."""


def large_ones(question: ModuleType, data: str, seed: int) -> dict[str, Trial]:
    """Of a question about generators of 64 pixels."""
    generators: dict[str, Trial] = question.generators()
    return {
        caption: replace(generators[name], data=data, seed=seed)
        for name, caption in SHOWN.items()
        if name in generators
    }


PICTURES = {
    "layers": (32, small),
    "large": (64, partial(large_ones, large)),
    "full": (64, partial(large_ones, full_size)),
}
"""The size of the images, and the trials."""


def main(
    sets: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(DATA)}; default: all.")] = None,
    images: Annotated[Path, typer.Option(help="Folder with the folders of images that the README names.")] = Path(),
    work: Annotated[Path, typer.Option(help="Folder with the trainings.")] = Path("runs"),
    pictures: Annotated[Path, typer.Option(help="Folder for the pictures.")] = HERE / "plots",
    seed: Annotated[int, typer.Option(min=0, help="Of the trainings.")] = 0,
) -> None:
    """Draw a picture for each set of images, of those trainings that there are."""
    for name, (size, shown) in PICTURES.items():
        for data in sets or DATA:
            columns = _columns(shown(data, seed), work, size)
            if columns:
                real = real_images(open_images(images_of(data, images), size, 3), COLUMNS * ROWS // 2)
                columns = {"real": image_grid(real, COLUMNS), **columns}
                save_picture(_captioned(columns), pictures / f"{name}-{data}-{seed}.png")


def _columns(trials: dict[str, Trial], work: Path, size: int) -> dict[str, Image.Image]:
    """Samples of those trials that were trained here."""
    paths = {
        caption: work / trial.folder / "samples" / f"step-{trial.steps:06}.png" for caption, trial in trials.items()
    }
    return {caption: _corner(path, size) for caption, path in paths.items() if path.exists()}


def _corner(path: Path, size: int) -> Image.Image:
    with Image.open(path) as samples:
        return samples.crop((0, 0, COLUMNS * (size + 2) - 2, ROWS * (size + 2) - 2))


def _captioned(columns: dict[str, Image.Image]) -> Image.Image:
    width, height = next(iter(columns.values())).size
    picture = Image.new("RGB", (len(columns) * (width + GAP) - GAP, height + 16), "white")
    draw = ImageDraw.Draw(picture)
    for i, (name, column) in enumerate(columns.items()):
        draw.text((i * (width + GAP), 0), name, "#333435")
        picture.paste(column, (i * (width + GAP), 16))
    doubled = (picture.width * 2, picture.height * 2)
    return picture if doubled[0] > WIDTH else picture.resize(doubled, Image.Resampling.NEAREST)


if __name__ == "__main__":
    typer.run(main)
