"""The command line. What goes wrong becomes one line on standard error and an exit code, never a traceback."""

import errno
import shlex
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import TextIO

from pbgen.cli.streams import OutputError, standard_streams
from pbgen.errors import PBGenError, PBGenWarning, enough_memory
from pbgen.visible import visible

_LESS = {
    "inspect": "give a smaller --width",
    "compress": "give smaller pictures or a smaller input_shape",
    "evaluate": "give a smaller --count",
    "generate": "give a smaller --count or --scale",
    "run": "give a smaller --tile, or fewer images at once",
    "bench": "give a smaller --batch",
    "export": "give a smaller --size",
}
"""What to do where memory does not suffice, by command."""


class StoppedError(Exception):
    """Ctrl-C or its like, in a command that can say what was kept and how to go on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `pbgen` with `arguments`, by default those of the process. Returns the exit code.

    0: done. 2: bad input, and one line on standard error says what is wrong. 130: interrupted. 141: nobody reads any
    longer what it says, and it says no more, as programs that SIGPIPE ends.
    """
    with standard_streams():
        try:
            code = _run(list(sys.argv[1:] if arguments is None else arguments))
            sys.stdout.flush()
        except OutputError as error:
            return 128 + signal.SIGPIPE if error.cause.errno == errno.EPIPE else _fail(str(error))
        return code


def _run(arguments: list[str]) -> int:
    try:
        import typer
    except ModuleNotFoundError:
        return _fail("the command line needs typer: pip install 'pbgen[train]'")
    try:
        from pbgen.cli.app import app

        warnings.showwarning = _warn
        # Typer turns Ctrl-C into the code 130 by itself; a command that can tell more raises StoppedError.
        with enough_memory(_LESS.get(next(iter(arguments), ""), "end other programs, or allow more (ulimit -v)")):
            code = app(arguments or ["--help"], prog_name="pbgen", standalone_mode=False)
    except typer.TyperException as error:
        return _fail(_usage(error))
    except (PBGenError, StoppedError) as error:
        return _fail(_with_command(error, arguments), 130 if isinstance(error, StoppedError) else 2)
    except ImportError as error:
        return _fail(_missing(error))
    except OSError as error:
        return _fail(f"{error.filename or _origin(error)}: {error.strerror or error}")
    except KeyboardInterrupt:
        code = 130
    return _fail("interrupted; no file was left half written", 130) if code == 130 else 0


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    ours = issubclass(category, PBGenWarning)
    text = f"pbgen: {message}" if ours else warnings.formatwarning(message, category, filename, lineno, line).rstrip()
    print(*map(visible, text.split("\n")), sep="\n", file=file or sys.stderr)


def _fail(message: str, code: int = 2) -> int:
    print(f"pbgen: {visible(message)}", file=sys.stderr)
    return code


def _with_command(error: Exception, arguments: Sequence[str]) -> str:
    """The message; where all that lacks is an option, with the whole command."""
    reason, remedy = getattr(error, "reason", None), getattr(error, "remedy", None)
    if not reason or not remedy:
        return str(error)
    return f"{reason}; it runs only if you name it: {shlex.join(['pbgen', *arguments, *remedy])}"


def _origin(error: OSError) -> str:
    """Where in the program the system refused something that has no name."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.name} in {frame.filename}"


def _usage(error: Exception) -> str:
    message = " ".join(getattr(error, "format_message", error.__str__)().replace("Value error, ", "").split())
    context = getattr(error, "ctx", None)
    return f"{message.rstrip('.')}; see {context.command_path} --help" if context else message


def _missing(error: ImportError) -> str:
    """What to install where a package is missing; any other failed import is a bug, and not hidden."""
    if "pip install" in str(error):
        return str(error)
    package = (error.name or "pbgen").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or package == "pbgen":
        raise error
    extra = "onnx" if package.startswith("onnx") else "train"
    return f"this command needs {package}: pip install 'pbgen[{extra}]'"
