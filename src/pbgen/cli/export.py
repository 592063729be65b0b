"""pbgen export"""

from pathlib import Path
from typing import Annotated

import typer

from pbgen.cli import options


def export(
    file: options.Packed,
    output: Annotated[Path, typer.Option("--output", "-o", help="The ONNX file, such as g.onnx.")],
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Fix the sizes that are free: 256x256, or 100 for a sound; default: free."),
    ] = None,
) -> None:
    """Write a packed file as ONNX, its weights still bits. ONNX Runtime must make the same values of it."""
    from pbgen.cli.terminal import Terminal, check_output
    from pbgen.errors import PBGenError
    from pbgen.packing import export_onnx
    from pbgen.report.text import size as in_words

    sizes = options.sizes(size) if size else None
    check_output("--output", output)
    if output.suffix.lower() != ".onnx":
        raise PBGenError(f"--output {output}: its name must end in .onnx")
    written = export_onnx(file, output, sizes)
    Terminal().say(f"{output}: {in_words(written)}; the packed file has {in_words(file.stat().st_size)}")
