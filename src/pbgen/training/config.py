"""What a training run is, as one frozen record that is saved with it."""

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pbgen.binarize import METHODS
from pbgen.errors import PBGenError
from pbgen.files import write_atomically
from pbgen.models.load import code_file
from pbgen.redundancy import MAX_BITS
from pbgen.training.losses import LOSSES, Loss
from pbgen.training.processes import Setup
from pbgen.training.values import converted, shown

CHOICES = {
    "generator": ("partial", "float", "binary"),
    "discriminator": ("binary", "float"),
    "loss": tuple(LOSSES),
    "method": tuple(METHODS),
    "precision": ("32-true", "bf16-mixed"),
    "accelerator": ("auto", "cpu", "cuda", "mps"),
    "channels": (1, 3),
}
_POSITIVE = (
    "imitation", "steps", "batch_size", "micro_batch", "generator_steps", "discriminator_steps", "learning_rate",
    "latent_rate", "threshold", "width", "kernel_size", "latent", "log_every", "sample_every", "checkpoint_every",
    "devices",
)  # fmt: skip
_MOST = {"batch_size": 2**16, "devices": 2**10, "seed": 2**63 - 1}
_MOST_USUALLY = 2**31 - 1  # of whole numbers
_UNSAVED = {"teacher_model"}  # a run's folder names no code that may run
_VERSION = 1


class UnnamedCodeError(PBGenError):
    """The model of a run is a Python file, which its user has not named.

    reason: the message without its remedy. remedy: the option of the command line that names the file, and its value.
    """

    reason: str
    remedy: tuple[str, str]

    @classmethod
    def of(cls, folder: str, model: str, option: str) -> "UnnamedCodeError":
        """Of the run in `folder`, whose model is said to be `model`."""
        file, _, factory = model.rpartition(":")
        there = Path(file).is_file()
        reason = f"{folder}: its model is the Python file {file}{'' if there else ', which is not there'}"
        remedy = option, model if there else f"FILE:{factory}"
        error = cls(f"{reason}; it runs only if you name it: {' '.join(remedy)}")
        error.reason, error.remedy = reason, remedy
        return error


@dataclass(frozen=True)
class TrainConfig:
    """A training run. Two runs with equal configurations on the same machine give the same weights.

    One training step is `discriminator_steps` updates of the discriminator, each on its own batch of `batch_size` real
    and as many generated images, then `generator_steps` updates of the generator. The batch is shared out over
    `devices` processes, and each share is worked through in micro-batches of `micro_batch` images whose gradients are
    added up; batch norm sees one micro-batch at a time.

    Paths, given as text or Path, are kept as absolute ones; numbers may be NumPy's. Raises PBGenError where a value is
    of another type or out of range.
    """

    model: str = "dcgan64"  # a built-in name or FILE.py:FACTORY
    data: str = "faces"  # "faces", a folder or a zip file
    generator: str = "partial"  # partial: the layers that the plan chooses are binary; binary: all; float: none
    discriminator: str = "binary"
    loss: str = "nonsaturating"
    teacher: str | None = None  # the folder of a run whose images, from the same latents, the generator imitates
    teacher_model: str | None = None  # FILE.py:FACTORY of the teacher, where it is not `model`: allows it to run
    imitation: float = 300.0  # weight of the mean squared distance to its images in the loss (arXiv 1902.00159)
    steps: int = 10_000
    batch_size: int = 64
    micro_batch: int | None = None  # images; default: all that a process has
    generator_steps: int = 1
    discriminator_steps: int | None = None  # default: 5 for wgan-gp, else 1
    learning_rate: float = 2e-4
    latent_rate: float = 10.0  # latent weights move so many times faster: nothing happens until their sign changes
    betas: tuple[float, float] = (0.5, 0.999)
    method: str = "bwn"  # how weights are binarized
    threshold: float = 1e4  # the degree of redundancy from which on the plan makes a layer binary
    bits: int = 1  # of a weight in those layers, 1 to 4
    layers: tuple[str, ...] | None = None  # of a partially binary generator, by name: instead of the plan's choice
    average: float = 0.999  # decay of the exponential average of the generator; 0 takes the generator as it is
    seed: int = 0
    width: int | None = None  # the options of the built-in models
    kernel_size: int = 5
    latent: int = 100
    channels: int = 3
    log_every: int = 20
    sample_every: int = 500
    checkpoint_every: int = 500
    devices: int = 1
    accelerator: str = "auto"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(TrainConfig).items():
            value = _placed(name, converted(name, getattr(self, name), hint), Path())
            object.__setattr__(self, name, value)
            if isinstance(value, int) and value > _MOST.get(name, _MOST_USUALLY):
                raise PBGenError(f"{name} {shown(value)}: at most {_MOST.get(name, _MOST_USUALLY)} is possible")
        if self.layers is not None and (self.generator != "partial" or not self.layers):
            raise PBGenError("layers: name at least one layer, of a partial generator")
        if self.bits != 1 and self.generator != "partial":
            raise PBGenError(f"bits {self.bits}: are those of a partial generator's layers; leave it out")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise PBGenError(f"{name} {getattr(self, name)!r}: choose one of {', '.join(map(str, choices))}")
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise PBGenError(f"{name} {value}: must be greater than 0")
        if not 1 <= self.bits <= MAX_BITS:
            raise PBGenError(f"bits {self.bits}: must be 1 to {MAX_BITS}")
        if self.bits > METHODS[self.method].most_bits:
            raise PBGenError(f"bits {self.bits}: method {self.method} has one; bwn and learned-scale have more")
        if not 0 <= self.average < 1 or not all(0 <= beta < 1 for beta in self.betas):
            raise PBGenError(f"average {self.average}, betas {self.betas}: each must be at least 0 and less than 1")
        if self.teacher is None and self.imitation != TrainConfig.imitation:
            raise PBGenError(f"imitation {self.imitation}: there is no teacher to imitate; give one, or leave it out")
        if self.seed < 0:
            raise PBGenError(f"seed {self.seed}: must not be negative")
        if self.batch_size % (self.devices * (self.micro_batch or 1)):
            raise PBGenError(
                f"batch_size {self.batch_size}: must be a multiple of devices x micro_batch "
                f"({self.devices} x {self.micro_batch or 1}), so that every process gets the same share"
            )

    @property
    def objective(self) -> Loss:
        """The loss itself."""
        return LOSSES[self.loss]

    @property
    def setup(self) -> Setup:
        """What it runs on."""
        return Setup(self.devices, self.accelerator, self.precision)

    @property
    def updates(self) -> int:
        """Updates of the discriminator in a training step."""
        return self.discriminator_steps or self.objective.discriminator_steps

    @property
    def images_per_pass(self) -> int:
        """Images of a micro-batch."""
        return self.micro_batch or self.batch_size // self.devices

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the configuration as JSON, atomically."""
        values = {name: value for name, value in asdict(self).items() if name not in _UNSAVED}
        text = json.dumps({"version": _VERSION, **values}, indent=2) + "\n"
        write_atomically(path, lambda file: file.write(text.encode()))

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: str | None = None, option: str = "--model") -> "TrainConfig":
        """Read what `save` wrote; relative paths in it are relative to its folder.

        model: FILE.py:FACTORY, where the model is no built-in one. A file that came from elsewhere names what code it
        likes: none runs unless it is named here. It may lie at another place than when the run was begun. option: what
        names it on the command line.

        Raises PBGenError naming the file and what is wrong with it, and UnnamedCodeError where `model` is needed.
        """
        config = cls.stored(path)
        folder = os.fspath(Path(path).parent)
        if model is None:
            if code_file(config.model):
                raise UnnamedCodeError.of(folder, config.model, option)
            return config
        named = replace(config, model=model)
        if not _same_model(config.model, named.model):
            raise PBGenError(f"{folder}: its model is {config.model}, not {model}")
        return named

    @classmethod
    def stored(cls, path: str | os.PathLike[str]) -> "TrainConfig":
        """The same, but to look at, and not to train or build: whatever code is its model, nobody has named it."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise PBGenError(f"{path}: cannot be read: {error.strerror}; give the folder of a training run") from None
        except (ValueError, RecursionError):
            raise PBGenError(f"{path}: not JSON; this is not the configuration of a training run") from None
        if not isinstance(values, dict) or values.pop("version", None) != _VERSION:
            raise PBGenError(f"{path}: not a version {_VERSION} configuration; train again with this version of PBGen")
        odd = sorted(set(values) ^ ({field.name for field in fields(cls)} - _UNSAVED))
        if odd:
            raise PBGenError(
                f"{path}: option {shown(odd[0])} is missing or unknown; train again with this version of PBGen"
            )
        try:
            return cls(**{name: _placed(name, value, Path(path).parent) for name, value in values.items()})
        except PBGenError as error:
            raise PBGenError(f"{path}: {error}; restore the file") from None

    def difference(self, other: "TrainConfig") -> str | None:
        """The first option in which the two differ: "name: this value, other value".

        Left out are `steps`, and where data, model and teacher lie: what they are is in the run's origin.json.
        """
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if field.name == "model":
                same = _same_model(mine, theirs)
            elif field.name == "teacher":
                same = (mine is None) == (theirs is None)
            else:
                same = mine == theirs or field.name in ("steps", "data", "teacher_model")
            if not same:
                return f"{field.name}: {mine}, {theirs}"
        return None


def _placed(name: str, value: Any, folder: Path) -> Any:
    """A path as an absolute one, by the folder that it is relative to; all else as it is."""
    if not isinstance(value, str) or not value:
        return value
    a_path = name == "teacher" or (name == "data" and value != "faces")
    if a_path or (name in ("model", "teacher_model") and code_file(value)):
        return os.fspath((folder / value).absolute())
    return value


def _same_model(one: str, other: str) -> bool:
    """Whether these are the same built-in model, or factories of the same name in some file."""
    if code_file(one) and code_file(other):
        return one.rpartition(":")[2] == other.rpartition(":")[2]
    return one == other
