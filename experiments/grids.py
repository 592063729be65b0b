"""Draws what the generators of the first question make, side by side, from the trainings on this machine.

python -m experiments.grids --work runs
"""

from pathlib import Path
from typing import Annotated

import typer
from PIL import Image, ImageDraw

from pbgen.data import open_images
from pbgen.evaluation import real_images
from pbgen.report import image_grid, save_picture

from .layers import NETWORK, selections
from .run import HERE
from .trial import Trial

SHOWN = ("none", "the plan's choice", "deconv32 alone", "all")
"""Binary layers."""
COLUMNS, ROWS, PIXELS, GAP = 4, 4, 34, 12


def main(
    work: Annotated[Path, typer.Option(help="Folder with the trainings.")] = Path("runs"),
    pictures: Annotated[Path, typer.Option(help="Folder for the picture.")] = HERE / "plots",
) -> None:
    """Draw the picture of the built-in faces."""
    real = real_images(open_images("faces", PIXELS - 2, 3), COLUMNS * ROWS // 2)
    columns = {"real": image_grid(real, COLUMNS)}
    for name in SHOWN:
        trial = Trial(NETWORK, layers=selections()[name])
        with Image.open(work / trial.folder / "samples" / f"step-{trial.steps:06}.png") as samples:
            columns[f"binary: {name}"] = samples.crop((0, 0, COLUMNS * PIXELS - 2, ROWS * PIXELS - 2))
    save_picture(_captioned(columns), pictures / "layers-faces.png")


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
