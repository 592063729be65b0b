"""What a training run is, as one frozen record that is saved with it."""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pbgen.binarize import METHODS
from pbgen.errors import PBGenError
from pbgen.files import write_atomically
from pbgen.training.losses import LOSSES, Loss

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
_VERSION = 1


@dataclass(frozen=True)
class TrainConfig:
    """A training run. Two runs with equal configurations on the same machine give the same weights.

    One training step is `discriminator_steps` updates of the discriminator, each on its own batch of `batch_size` real
    and as many generated images, then `generator_steps` updates of the generator. The batch is shared out over
    `devices` processes, and each share is worked through in micro-batches of `micro_batch` images whose gradients are
    added up; batch norm sees one micro-batch at a time.

    Raises PBGenError where a value is out of range.
    """

    model: str = "dcgan64"  # a built-in name or FILE.py:FACTORY
    data: str = "faces"  # "faces", a folder or a zip file
    generator: str = "partial"  # partial: the layers that the plan chooses are binary; binary: all; float: none
    discriminator: str = "binary"
    loss: str = "nonsaturating"
    teacher: str | None = None  # the folder of a run whose images, from the same latents, the generator imitates
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
        object.__setattr__(self, "betas", tuple(self.betas))  # JSON gives a list
        if self.layers is not None:
            object.__setattr__(self, "layers", tuple(self.layers))
            if self.generator != "partial" or not self.layers:
                raise PBGenError("layers: name at least one layer, of a partial generator")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise PBGenError(f"{name} {getattr(self, name)!r}: choose one of {', '.join(map(str, choices))}")
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise PBGenError(f"{name} {value}: must be greater than 0")
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
    def updates(self) -> int:
        """Updates of the discriminator in a training step."""
        return self.discriminator_steps or self.objective.discriminator_steps

    @property
    def images_per_pass(self) -> int:
        """Images of a micro-batch."""
        return self.micro_batch or self.batch_size // self.devices

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the configuration as JSON, atomically."""
        text = json.dumps({"version": _VERSION, **asdict(self)}, indent=2) + "\n"
        write_atomically(path, lambda file: file.write(text.encode()))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TrainConfig":
        """Read what `save` wrote. Raises PBGenError naming the file and what is wrong with it."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise PBGenError(f"{path}: cannot be read: {error.strerror}; give the folder of a training run") from None
        except ValueError:
            raise PBGenError(f"{path}: not JSON; this is not the configuration of a training run") from None
        if not isinstance(values, dict) or values.pop("version", None) != _VERSION:
            raise PBGenError(f"{path}: not a version {_VERSION} configuration; train again with this version of PBGen")
        return cls(**_checked(values, path))

    def difference(self, other: "TrainConfig") -> str | None:
        """The first option, other than `steps`, in which the two differ: "name: this value, other value"."""
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if field.name != "steps" and mine != theirs:
                return f"{field.name}: {mine}, {theirs}"
        return None


def _checked(values: dict[str, Any], path: str | os.PathLike[str]) -> dict[str, Any]:
    hints = get_type_hints(TrainConfig)
    if set(values) != set(hints):
        odd = sorted(set(values) ^ set(hints))
        raise PBGenError(f"{path}: option {odd[0]!r} is missing or unknown; train again with this version of PBGen")
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise PBGenError(f"{path}: option {name!r} has the value {value!r}; restore the file")
    return values


def _fits(value: object, hint: Any) -> bool:
    """Whether a value read from JSON is of the annotated type."""
    kinds = get_args(hint)
    if get_origin(hint) is tuple:
        if kinds[-1] is Ellipsis:
            return isinstance(value, list) and all(_fits(item, kinds[0]) for item in value)
        return isinstance(value, list) and len(value) == len(kinds) and all(map(_fits, value, kinds))
    if get_origin(hint) is Literal:
        return value in kinds
    if kinds:
        return any(_fits(value, kind) for kind in kinds)
    return type(value) is hint or (hint is float and type(value) is int)
