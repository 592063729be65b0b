"""pbgen pack"""

from pathlib import Path
from typing import Annotated

import typer

from pbgen.cli import options


def pack(
    source: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder that `pbgen train` wrote, file.py:factory or file.pt2.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The packed file, such as g.safetensors.")],
    model: options.RunModel = None,
) -> None:
    """Pack the trained generator of RUN, or the one in a file, to one bit a binary weight."""
    import pbgen
    from pbgen.cli.terminal import Terminal, check_output
    from pbgen.example import example_input
    from pbgen.models.load import is_file
    from pbgen.packing import told
    from pbgen.report.tables import pack_table

    check_output("--output", output)
    if is_file(str(source)) and not source.is_dir():
        generator, _ = pbgen.models.load(str(source))
    else:
        generator = pbgen.training.load_run(source, model).generator
    terminal = Terminal()
    with terminal.doing() as step, told(step):
        info = pbgen.pack(generator, example_input(generator), output)
    terminal.show(pack_table(info))
    sizes = f"{info.packed_bytes:,} bytes instead of {info.float_bytes:,} in float32"
    binary = any(layer.binary for layer in info.layers)
    terminal.say(f"{output}: {sizes}, {info.comparison}" + ("" if binary else "; nothing in it is binary"))
