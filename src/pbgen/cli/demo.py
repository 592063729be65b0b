"""pbgen demo"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pbgen.cli import StoppedError


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the three trainings and report.html.")] = Path("demo"),
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps of each generator.")] = None,
) -> None:
    """Train three small generators on rendered faces, compress, judge, pack and run them; write OUT/report.html."""
    from pbgen.cli.terminal import Terminal
    from pbgen.demo import PAGE, DemoSettings, run_demo
    from pbgen.demo.page import write_demo_page

    settings = DemoSettings()
    if steps:
        settings = replace(settings, steps=steps)
    try:
        with Terminal() as terminal:
            results = run_demo(out, settings, terminal)
    except KeyboardInterrupt:
        raise StoppedError(f"interrupted; {out} keeps what was trained, and the same command goes on") from None
    write_demo_page(results, out / PAGE)
    terminal.say(f"{out / PAGE}: open it in a browser")
