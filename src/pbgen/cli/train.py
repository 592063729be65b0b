"""pbgen train"""

from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from pbgen.cli import StoppedError, options
from pbgen.redundancy import DEFAULT_THRESHOLD

Weights = Literal["partial", "float", "binary"]
Loss = Literal["nonsaturating", "lsgan", "wgan-gp", "hinge"]
Precision = Literal["32-true", "bf16-mixed"]
Method = Literal["binaryconnect", "binaryconnect-stochastic", "bwn", "irnet", "learned-scale"]


def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder for everything about this run.")],
    model: Annotated[str, typer.Option(help="dcgan32, dcgan64, dcgan128, dcgan256 or file.py:factory.")] = "dcgan64",
    data: options.Data = "faces",
    generator: Annotated[
        Weights, typer.Option(help="Its weights; partial: binary where the plan says so.")
    ] = "partial",
    discriminator: Annotated[Literal["binary", "float"], typer.Option(help="Its weights.")] = "binary",
    loss: Annotated[Loss, typer.Option(help="The adversarial loss.")] = "nonsaturating",
    teacher: Annotated[
        str | None, typer.Option(metavar="RUN", help="Imitate the images of this run, usually a float one.")
    ] = None,
    teacher_model: Annotated[
        str | None, typer.Option(metavar="FILE:FACTORY", help="Of a teacher whose model is a Python file: run it.")
    ] = None,
    imitation: Annotated[float, typer.Option(help="Weight of the distance to the teacher's images.")] = 300,
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 10_000,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with RUN, by its own options.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images in a step, over all devices.")] = 64,
    micro_batch: Annotated[int | None, typer.Option(min=1, help="Images worked on at a time, to save memory.")] = None,
    learning_rate: Annotated[float, typer.Option(help="Adam's step size.")] = 2e-4,
    latent_rate: Annotated[float, typer.Option(help="Factor of it for the weights behind binary ones.")] = 10,
    generator_steps: Annotated[int, typer.Option(min=1, help="Updates of the generator in a step.")] = 1,
    method: Annotated[Method, typer.Option(help="How weights are made binary.")] = "bwn",
    threshold: options.Threshold = DEFAULT_THRESHOLD,
    bits: options.Bits = 1,
    layers: Annotated[
        list[str] | None, typer.Option("--layer", help="A binary layer, instead of the plan's choice; may be repeated.")
    ] = None,
    seed: options.Seed = 0,
    width: options.Width = None,
    kernel_size: options.KernelSize = 5,
    latent: options.Latent = 100,
    channels: options.Channels = 3,
    sample_every: Annotated[int, typer.Option(min=1, help="Steps between sample pictures.")] = 500,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 500,
    devices: options.Devices = 1,
    accelerator: options.Accelerator = "auto",
    precision: Annotated[Precision, typer.Option(help="Arithmetic of the networks.")] = "32-true",
) -> None:
    """Train a generator and a discriminator, with binary weights or float ones each."""
    from pbgen import training
    from pbgen.cli.terminal import Terminal

    given = {f.name: context.params[f.name] for f in fields(training.TrainConfig) if _given(context, f.name)}
    config = training.TrainConfig.load(out / "config.json", given.get("model")) if resume else training.TrainConfig()
    config = replace(config, **given)
    try:
        with Terminal() as terminal:
            training.train(config, out, resume, terminal.training("training", config.steps))
    except training.TrainingStopped as stop:
        raise StoppedError(
            f"stopped at step {stop.step}, which is kept in {out}; go on with: pbgen train --out {out} --resume"
        ) from None
    terminal.say(f"{out}: {config.steps} steps; next: pbgen evaluate {out}, pbgen pack {out} -o FILE")


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
