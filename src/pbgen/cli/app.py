"""The commands of `pbgen`, each in its own file; what they need is imported when they run."""

from typing import Annotated

import typer

import pbgen
from pbgen.cli.bench import bench
from pbgen.cli.compress import compress
from pbgen.cli.demo import demo
from pbgen.cli.evaluate import evaluate
from pbgen.cli.export import export
from pbgen.cli.generate import generate
from pbgen.cli.info import info
from pbgen.cli.inspect import inspect
from pbgen.cli.pack import pack
from pbgen.cli.run import run
from pbgen.cli.train import train
from pbgen.cli.web import web

app = typer.Typer(
    help="Image generators with one-bit weights: which layers may be binary, training, packing, and a native engine.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"pbgen {pbgen.__version__}")
        raise typer.Exit


_Version = typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and exit.")


@app.callback()
def _options(version: Annotated[bool, _Version] = False) -> None:
    pass


for command in (inspect, train, evaluate, compress, pack, info, generate, run, web, export, bench, demo):
    app.command()(command)
