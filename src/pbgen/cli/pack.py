"""pbgen pack"""

from pathlib import Path
from typing import Annotated

import typer

from pbgen.cli import options


def pack(
    run: options.Run,
    output: Annotated[Path, typer.Option("--output", "-o", help="The packed file, such as g.safetensors.")],
    model: options.RunModel = None,
) -> None:
    """Pack the trained generator of RUN to one bit a binary weight."""
    import pbgen
    from pbgen.cli.terminal import Terminal, check_output
    from pbgen.example import example_input
    from pbgen.report.tables import pack_table

    check_output("--output", output)
    generator = pbgen.training.load_run(run, model).generator
    info = pbgen.pack(generator, example_input(generator), output)
    terminal = Terminal()
    terminal.show(pack_table(info))
    sizes = f"{info.packed_bytes:,} bytes instead of {info.float_bytes:,} in float32"
    terminal.say(f"{output}: {sizes}, {info.ratio:.2f} times smaller")
