"""pbgen evaluate"""

import json as json_format
import warnings
from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from pbgen.cli import options
from pbgen.errors import PBGenError, PBGenWarning

PICTURES = 32
"""Real ones on the left, as many generated ones on the right."""


def evaluate(
    run: options.Run,
    data: Annotated[str | None, typer.Option(help="As for train; default: what RUN was trained on.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=64, help="Images of each set that is compared.")] = 4096,
    seeds: Annotated[int, typer.Option(min=1, help="Repetitions, for the spread.")] = 3,
    model: options.RunModel = None,
    json: options.Json = False,
) -> None:
    """Judge the generator of RUN: sliced Wasserstein distance to real images, and a picture of both in RUN.

    Where RUN cannot be written to, there is no picture.
    """
    from pbgen import training
    from pbgen.cli.terminal import Terminal
    from pbgen.data import open_images
    from pbgen.evaluation import evaluate as judge
    from pbgen.evaluation import real_images
    from pbgen.pictures import beside, image_grid, save_picture
    from pbgen.report.tables import evaluation_table

    trained = training.load_run(run, model)
    generated = training.sample(trained.generator, PICTURES)
    _, channels, size, _ = generated.shape
    picture = run / "real-and-generated.png"
    with Terminal() as terminal:
        progress = terminal.task("judging", seeds)
        source = open_images(data or trained.config.data, size, channels)
        if not data:
            training.check_data(run, trained.config.data, source)
        real = real_images(source, count)
        try:
            save_picture(beside(image_grid(real[:PICTURES]), image_grid(generated)), picture)
            about_picture = f"Picture: {picture}"
        except PBGenError as error:  # the judgement is what was asked for
            warnings.warn(f"no picture: {error}", PBGenWarning, stacklevel=1)
            about_picture = "No picture."
        result = judge(partial(training.sample, trained.generator), real, seeds, progress)
    if json:
        about = {"run": str(run), "step": trained.step, "data": data or trained.config.data}
        print(json_format.dumps(about | asdict(result), indent=2))
        return
    terminal.show(evaluation_table({"generated": result}))
    terminal.say(f"Sliced Wasserstein distance x 1000, {result.images} images against {result.images}; seeds: {seeds}.")
    terminal.say(f"Floor: real images against other real ones. {about_picture}")
