"""Draws what generators of the first question and their taught sisters make, from the trainings on this machine.

python -m experiments.grids                         of seed 0
python -m experiments.grids faces --seed 1          some images, of another seed
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image, ImageDraw

from pbgen.data import open_images
from pbgen.evaluation import real_images
from pbgen.report import image_grid, save_picture

from .layers import DATA, NETWORK, selections
from .run import HERE, images_of
from .trial import Trial

COLUMNS, ROWS, PIXELS, GAP = 4, 4, 34, 12


def shown(data: str, seed: int) -> dict[str, Trial]:
    """The trials in a picture, by what is written over them."""
    layers = selections()
    chosen = Trial(NETWORK, data, layers["the plan's choice"], seed)
    return {
        "float": Trial(NETWORK, data, (), seed),
        "the plan's choice": chosen,
        "with a teacher": replace(chosen, teacher=NETWORK),
        "deconv32 alone": Trial(NETWORK, data, layers["deconv32 alone"], seed),
        "all": Trial(NETWORK, data, layers["all"], seed),
    }


def main(
    sets: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(DATA)}; default: all.")] = None,
    images: Annotated[Path, typer.Option(help="Folder with the folders of images that the README names.")] = Path(),
    work: Annotated[Path, typer.Option(help="Folder with the trainings.")] = Path("runs"),
    pictures: Annotated[Path, typer.Option(help="Folder for the pictures.")] = HERE / "plots",
    seed: Annotated[int, typer.Option(min=0, help="Of the trainings.")] = 0,
) -> None:
    """Draw a picture for each set of images, of those trainings that there are."""
    for data in sets or DATA:
        samples = {
            name: work / trial.folder / "samples" / f"step-{trial.steps:06}.png"
            for name, trial in shown(data, seed).items()
        }
        columns = {name: _corner(path) for name, path in samples.items() if path.exists()}
        if columns:
            real = real_images(open_images(images_of(data, images), PIXELS - 2, 3), COLUMNS * ROWS // 2)
            save_picture(_captioned({"real": image_grid(real, COLUMNS), **columns}), pictures / f"layers-{data}.png")


def _corner(path: Path) -> Image.Image:
    with Image.open(path) as samples:
        return samples.crop((0, 0, COLUMNS * PIXELS - 2, ROWS * PIXELS - 2))


def _captioned(columns: dict[str, Image.Image]) -> Image.Image:
    width, height = next(iter(columns.values())).size
    picture = Image.new("RGB", (len(columns) * (width + GAP) - GAP, height + 16), "white")
    draw = ImageDraw.Draw(picture)
    for i, (name, column) in enumerate(columns.items()):
        draw.text((i * (width + GAP), 0), name, "#333435")
        picture.paste(column, (i * (width + GAP), 16))
    return picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.NEAREST)


if __name__ == "__main__":
    typer.run(main)
