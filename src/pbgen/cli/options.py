"""Arguments and options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from pbgen.errors import PBGenError
from pbgen.redundancy import MAX_BITS

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="dcgan32, dcgan64, dcgan128, dcgan256, file.py:factory or file.pt2 (torch.export.save)"
    ),
]
Channels = Annotated[int, typer.Option(help="Channels of the images: 1 or 3.")]
KernelSize = Annotated[int, typer.Option(help="Kernel of a built-in model: 4 or 5.")]
Width = Annotated[int | None, typer.Option(help="Channels of a built-in model's widest layer; default: its own.")]
Latent = Annotated[int, typer.Option(help="Length of a built-in model's latent vector.")]
Threshold = Annotated[float, typer.Option(help="Layers with a degree of redundancy from here on get binary weights.")]
Bits = Annotated[int, typer.Option(min=1, max=MAX_BITS, help="Bits of a weight in the layers from the threshold on.")]
Data = Annotated[
    str,
    typer.Option(
        help="faces (rendered, built in), a folder or a zip of images: PNG, JPEG, WebP, AVIF, JPEG 2000, BMP, GIF, "
        "TIFF, PNM."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")]
Devices = Annotated[int, typer.Option(min=1, help="Processes or accelerators.")]
Accelerator = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to learn.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `pbgen train` wrote.")]
RunModel = Annotated[
    str | None, typer.Option("--model", metavar="FILE:FACTORY", help="Of a RUN whose model is a Python file: run it.")
]
Packed = Annotated[Path, typer.Argument(metavar="FILE", help="Packed generator that `pbgen pack` wrote.")]
Ends = Annotated[str, typer.Option("--range", metavar="LOW:HIGH", help="What the network has for black and for white.")]
Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]

Progress = Callable[[int, int], None]
"""Of a task: what is done, and the whole."""


def sizes(text: str) -> tuple[int, ...]:
    """Of `--size`. Raises PBGenError where the text is none."""
    found = tuple(int(part) if part.isascii() and part.isdigit() and len(part) < 10 else 0 for part in text.split("x"))
    if not all(1 <= size <= 2**28 for size in found):
        raise PBGenError(f"--size {text}: give whole numbers such as 256x256, or 100")
    return found
