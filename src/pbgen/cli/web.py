"""pbgen web"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pbgen.cli import options

Activations = Literal["float32", "int8"]


def web(
    file: options.Packed,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page, such as page.html.")],
    title: Annotated[str | None, typer.Option(help="Of the page; default: the file's name.")] = None,
    values: Annotated[
        str | None,
        typer.Option(
            "--range",
            metavar="LOW:HIGH",
            help="What the network has for black and for white; default: -1:1 where pictures are made of latents, 0:1 "
            "where of pictures.",
        ),
    ] = None,
    activations: Annotated[
        Activations, typer.Option(help="What the page begins with; its reader can switch.")
    ] = "float32",
) -> None:
    """Write one page that runs a packed network in the browser: engine, weights and controls inside.

    Open it from where it lies, or send it: nothing is to be served, and it fetches nothing. Needs no PyTorch.
    """
    from pbgen.cli.terminal import Terminal, check_output
    from pbgen.pictures import Range
    from pbgen.report.html import write_page
    from pbgen.report.text import size
    from pbgen.web.page import live_page

    scale = Range.parse(values) if values is not None else None
    check_output("--output", output)
    document = live_page(file, title or file.stem, activations, scale)
    write_page(output, document)
    Terminal().say(f"{output}: {size(len(document.encode()))}; open it in a browser, or send it")
