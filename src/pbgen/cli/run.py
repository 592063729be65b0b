"""pbgen run"""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from pbgen.cli import options
from pbgen.errors import PBGenError

Activations = Literal["float32", "int8"]


def run(
    file: options.Packed,
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture, .npy, .npz or .wav, or a folder of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="What is made of it; a folder for a folder.")],
    ending: Annotated[
        str | None, typer.Option(help="Of the files in an output folder, such as .wav; default: the input's.")
    ] = None,
    values: Annotated[
        str, typer.Option("--range", metavar="LOW:HIGH", help="What the network has for black and for white.")
    ] = "0:1",
    rate: Annotated[int, typer.Option(min=1, help="Samples a second of a .wav that is made of no .wav.")] = 22050,
    tile: Annotated[
        int | None, typer.Option(min=1, help="Pixels along a tile's edge; default: tiles only where IN is large.")
    ] = None,
    activations: Annotated[Activations, typer.Option(help="int8 is faster, and the values differ a little.")] = "float32",
    threads: Annotated[int | None, typer.Option(min=1, help="Default: one for each usable core.")] = None,
    seed: options.Seed = 0,
) -> None:
    """Run a packed network on pictures, sounds or arrays of any size that it takes. Needs no PyTorch.

    What is too large to be made at once is made in tiles, where each pixel hangs on its neighbourhood alone.
    """
    from pbgen import media
    from pbgen.cli.terminal import Terminal
    from pbgen.engine import Engine

    scale = media.Range.parse(values)
    jobs = _jobs(source, output, ending)
    engine = Engine(file, threads=threads, activations=activations)
    inputs = {source.name: source.shape for source in engine.inputs}
    with Terminal() as terminal:
        progress = terminal.task("running", len(jobs) * 100)
        for number, (given, made) in enumerate(jobs):
            content = media.read(given, inputs, scale)
            try:
                result = media.run(engine, content, tile, seed, partial(_part, progress, number, len(jobs)))
            except PBGenError as error:
                raise PBGenError(f"{given}: {error}") from None
            media.write(made, result, scale, rate)
            progress(number * 100 + 100, len(jobs) * 100)
    terminal.say(f"{output}: {len(jobs)} {'file' if len(jobs) == 1 else 'files'}")


def _part(progress: options.Progress, number: int, jobs: int, done: int, tiles: int) -> None:
    """A file counts for a hundred, its tiles for parts of it."""
    progress(number * 100 + done * 100 // tiles, jobs * 100)


def _jobs(source: Path, output: Path, ending: str | None) -> list[tuple[Path, Path]]:
    """Files to read and to write. Raises PBGenError where they do not fit, before any work is done."""
    from pbgen import media
    from pbgen.cli.terminal import check_output

    known = media.PICTURES + media.SOUNDS + media.ARRAYS
    if ending is not None and ending.lower() not in known:
        raise PBGenError(f"--ending {ending}: give one of {' '.join(known)}")
    if not source.exists():
        raise PBGenError(f"{source}: there is no such file or folder")
    if not source.is_dir():
        check_output("--output", output)
        if output.suffix.lower() not in known:
            raise PBGenError(f"--output {output}: its name must end in one of {' '.join(known)}")
        return [(source, output)]
    given = sorted(path for path in source.iterdir() if path.suffix.lower() in known and not path.name.startswith("."))
    if not given:
        raise PBGenError(f"{source}: holds no picture, sound or array; their names end in {' '.join(known)}")
    if output.resolve() == source.resolve():
        raise PBGenError(f"--output {output}: is the folder of the inputs; give another")
    if output.exists() and not output.is_dir():
        raise PBGenError(f"--output {output}: is a file; IN is a folder, so give a folder")
    output.mkdir(exist_ok=True)
    return [(path, output / (path.stem + (ending or path.suffix))) for path in given]
