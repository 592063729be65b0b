"""pbgen run"""

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
    values: options.Ends = "0:1",
    rate: Annotated[int, typer.Option(min=1, help="Samples a second of a .wav that is made of no .wav.")] = 22050,
    tile: Annotated[
        int | None, typer.Option(min=1, help="Pixels along a tile's edge; default: tiles only where IN is large.")
    ] = None,
    activations: Annotated[
        Activations, typer.Option(help="int8 is faster, and the values differ a little.")
    ] = "float32",
    threads: Annotated[int | None, typer.Option(min=1, help="Default: one for each usable core.")] = None,
    seed: options.Seed = 0,
) -> None:
    """Run a packed network on pictures, sounds or arrays of any size that it takes. Needs no PyTorch.

    What is too large to be made at once is made in tiles, where each pixel hangs on its neighbourhood alone.
    """
    from pbgen import media
    from pbgen.cli.terminal import Terminal
    from pbgen.engine import Engine
    from pbgen.pictures import Range

    scale = Range.parse(values)
    jobs = _jobs(source, output, ending)
    engine = Engine(file, threads=threads, activations=activations)
    outside: dict[Path, float] = {}
    for _, made in jobs:
        media.check(made, engine.outputs)
    _check_writable(jobs, source, output)
    with Terminal() as terminal:
        progress = terminal.task("running", len(jobs))
        for number, (given, made) in enumerate(jobs, 1):
            content = media.read(given, engine, scale)
            try:
                result = media.run(engine, content, tile, seed, progress if len(jobs) == 1 else _no_progress)
            except PBGenError as error:
                raise PBGenError(f"{given}: {error}") from None
            outside[made] = media.write(made, result, scale, rate)
            if len(jobs) > 1:
                progress(number, len(jobs))
    terminal.say(f"{output}: {len(jobs)} {'file' if len(jobs) == 1 else 'files'}")
    worst = max(outside, key=outside.__getitem__)
    scale.doubt(outside[worst], worst)


def _no_progress(done: int, total: int) -> None:
    """Of the tiles, where files are counted."""


def _jobs(source: Path, output: Path, ending: str | None) -> list[tuple[Path, Path]]:
    """Files to read and to write. Raises PBGenError where they do not fit, before any work is done."""
    from pbgen import media

    if ending is not None and ending.lower() not in media.WRITTEN:
        raise PBGenError(f"--ending {ending}: give one of {' '.join(media.WRITTEN)}")
    if not source.exists():
        raise PBGenError(f"{source}: there is no such file or folder")
    if output.exists() and output.samefile(source):
        raise PBGenError(f"--output {output}: is what is read; give another")
    if not source.is_dir():
        if source.suffix.lower() not in media.READ:
            raise PBGenError(f"{source}: its name must end in one of {' '.join(media.READ)}")
        if ending is not None:
            raise PBGenError("--ending: is for folders; the name that --output gives has its own")
        return [(source, output)]
    given = sorted(path for path in source.iterdir() if path.suffix.lower() in media.READ and path.is_file())
    if not given:
        raise PBGenError(f"{source}: holds no picture, sound or array; their names end in {' '.join(media.READ)}")
    jobs = [(path, output / (path.stem + (ending or path.suffix))) for path in given]
    _check_names(jobs)
    return jobs


def _check_names(jobs: list[tuple[Path, Path]]) -> None:
    """No two files become one, on disks too that do not tell small letters from large ones."""
    seen: dict[str, Path] = {}
    for given, made in jobs:
        other = seen.setdefault(made.name.lower(), given)
        if other != given:
            raise PBGenError(f"{other}, {given}: would both become {made}; rename one, or leave out --ending")


def _check_writable(jobs: list[tuple[Path, Path]], source: Path, output: Path) -> None:
    """Makes the output's folder, where one is needed."""
    from pbgen.cli.terminal import check_output

    if source.is_dir() and output.exists() and not output.is_dir():
        raise PBGenError(f"--output {output}: is a file; IN is a folder, so give a folder")
    if source.is_dir():
        try:
            output.mkdir(exist_ok=True)
        except OSError as error:
            raise PBGenError(f"--output {output}: cannot make this folder: {error.strerror}; choose another") from None
    for _, made in jobs:
        check_output("--output", made)
