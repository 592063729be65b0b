"""Running commands, in this process and in others."""

import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

TINY = ["--model", "dcgan32", "--width", "16", "--latent", "8", "--batch-size", "8", "--threshold", "50"]
"""A generator of which the plan makes all layers but the last binary, trained in a second."""


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


def start(*arguments: object, before: str = "") -> "subprocess.Popen[str]":
    """A command in a process of its own, after the Python statement `before`."""
    code = f"{before}\nimport sys\nfrom pbgen.cli import main\nsys.exit(main())"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> Outcome:
    out, err = process.communicate()
    return Outcome(process.returncode, out, err)
