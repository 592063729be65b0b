"""pbgen compress"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pbgen.cli import StoppedError, options
from pbgen.redundancy import MAX_BITS


def compress(
    model: options.Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="The packed file, such as g.safetensors.")],
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its trained weights: .safetensors, or a state dict of torch.")
    ] = None,
    inputs: Annotated[
        str,
        typer.Option(
            metavar="noise|DIR|ZIP|FILE.npy|FILE.py:FUNCTION",
            help="What it is run on: noise, pictures or sounds, an array (N, ...), or batches that a function gives.",
        ),
    ] = "noise",
    bits: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_BITS, help="As large as with so many bits a weight, as a plan has it; default: 3."),
    ] = None,
    target_bytes: Annotated[int | None, typer.Option(min=1, help="As large as this at most.")] = None,
    target_psnr: Annotated[
        float | None, typer.Option(metavar="DB", help="As small as keeps so many decibels before it learns.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of learning, instead of minutes.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Minutes of learning; default: 20.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="A page with what came of it.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what was interrupted.")] = False,
    values: options.Ends = "0:1",
    seed: options.Seed = 0,
    devices: options.Devices = 1,
    accelerator: options.Accelerator = "auto",
) -> None:
    """Make a trained float generator small: its layers get few bits, and it learns to make its own images again."""
    from pbgen import compression
    from pbgen.cli.terminal import Terminal, check_output
    from pbgen.compression.sources import open_inputs, open_module
    from pbgen.compression.table import compress_table
    from pbgen.pictures import Range

    check_output("--output", output)
    if report:
        check_output("--report", report)
    scale = Range.parse(values)
    module = open_module(model, weights)
    given = open_inputs(inputs, module, scale, seed)
    stopped = None
    with Terminal() as terminal:
        progress = terminal.compressing()
        try:
            info = compression.compress(
                module, given, output, bits, target_bytes, steps, progress,
                target_psnr=target_psnr, minutes=minutes, resume=resume, report=report, seed=seed,
                devices=devices, accelerator=accelerator, factory=partial(open_module, model, None),
            )  # fmt: skip
        except compression.CompressionStopped as stop:
            info, stopped = stop.info, stop
    terminal.show(compress_table(info))
    terminal.say(
        f"{output}: {info.packed_bytes:,} bytes instead of {info.float_bytes:,} in float32, "
        f"{info.ratio:.2f} times smaller"
    )
    terminal.say(f"PSNR to the float module on held-out inputs: {info.psnr}")
    if stopped:
        raise StoppedError(f"stopped at step {info.curve[-1].step}; {output} is the best so far; go on with --resume")
