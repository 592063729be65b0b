"""pbgen inspect"""

from pathlib import Path
from typing import Annotated

import typer

from pbgen.cli import options
from pbgen.redundancy import DEFAULT_THRESHOLD


def inspect(
    model: options.Model,
    threshold: options.Threshold = DEFAULT_THRESHOLD,
    bits: options.Bits = 1,
    save: Annotated[Path | None, typer.Option(help="Write the plan to this JSON file.")] = None,
    channels: options.Channels = 3,
    kernel_size: options.KernelSize = 5,
    width: options.Width = None,
    latent: options.Latent = 100,
) -> None:
    """Show which layers of MODEL can have binary weights, and what that saves."""
    import pbgen
    from pbgen.cli.terminal import Terminal, check_output
    from pbgen.example import example_input
    from pbgen.report.tables import plan_table

    if save:
        check_output("--save", save)
    generator, _ = pbgen.models.load(model, channels=channels, kernel_size=kernel_size, width=width, latent=latent)
    plan = pbgen.plan(generator, example_input(generator), threshold=threshold, bits=bits)
    terminal = Terminal()
    terminal.show(plan_table(plan))
    terminal.say(f"F: mean number of terms in an output value. R: degree of redundancy, binary from {threshold:,g} on.")
    terminal.say("alone: how many times the SWD of the float generator, as predicted, if this layer alone were binary.")
    terminal.say("Bytes are those of the weights: 4 each before; after, their bits where they are binary.")
    if save:
        plan.save(save)
