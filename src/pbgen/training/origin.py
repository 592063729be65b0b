"""What a run was begun with, origin.json: hashes of its images, its model's file and its teacher.

The configuration names them by their places, where something else may lie when the run goes on.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pbgen.data import ImageSource
from pbgen.errors import PBGenError
from pbgen.files import write_atomically
from pbgen.models.load import code_file
from pbgen.training.config import TrainConfig

ORIGIN = "origin.json"
_VERSION = 1


@dataclass(frozen=True)
class Origin:
    """Hashes, None where there is no such thing: a built-in model has no file."""

    data: str
    model: str | None
    teacher: str | None

    @classmethod
    def of(cls, config: TrainConfig, source: ImageSource, teacher: Path | None) -> "Origin":
        """`teacher`: the checkpoint that is imitated."""
        return cls(source.digest, _model_digest(config), _digest(teacher) if teacher else None)

    def save(self, run: Path) -> None:
        """Write it into the run's folder, atomically."""
        text = json.dumps({"version": _VERSION, **asdict(self)}, indent=2) + "\n"
        write_atomically(run / ORIGIN, lambda file: file.write(text.encode()))


def check_origin(run: Path, config: TrainConfig, now: Origin) -> None:
    """Raises PBGenError where the run was begun with something else. One without origin.json is taken as it is."""
    begun = _load(run)
    if begun and now.data != begun.data:
        raise _another(run, config.data, "the images", "--data")
    check_model(run, config)
    if begun and now.teacher != begun.teacher:
        raise _another(run, str(config.teacher), "the teacher", "--teacher")


def check_model(run: Path, config: TrainConfig) -> None:
    """The same for the model's file alone."""
    begun = _load(run)
    if begun and _model_digest(config) != begun.model:
        raise _another(run, config.model, "the model", "--model")


def check_data(run: Path, data: str, source: ImageSource) -> None:
    """The same for the images alone."""
    begun = _load(run)
    if begun and source.digest != begun.data:
        raise _another(run, data, "the images", "--data")


def _another(run: Path, given: str, what: str, option: str) -> PBGenError:
    return PBGenError(
        f"{given}: no longer {what} that {run} was begun with; name those by {option}, "
        f"or remove {run / ORIGIN} to go on with these"
    )


def _load(run: Path) -> Origin | None:
    path = run / ORIGIN
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("version") == _VERSION:
            return Origin(**values)
    except FileNotFoundError:  # of a run of an earlier version, or removed to have it so
        return None
    except OSError as error:
        raise PBGenError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise PBGenError(f"{path}: damaged, or of another version; restore it, or remove it to do without")


def _model_digest(config: TrainConfig) -> str | None:
    file = code_file(config.model)
    return _digest(file) if file else None


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PBGenError(f"{path}: cannot be read: {error.strerror}") from None
