"""What may be asked of `compress`, checked before anything is done."""

import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass

from torch import nn

from pbgen.compression.imitate import Schedule
from pbgen.errors import PBGenError
from pbgen.redundancy import MAX_BITS
from pbgen.training.config import CHOICES

DEFAULT_MINUTES = 20.0
_MOST_DEVICES = 1024
_MOST_PSNR = 120


@dataclass(frozen=True)
class Wanted:
    """How small, or how near: one of these, or none."""

    bits: int | None
    target_bytes: int | None
    target_psnr: float | None

    def __post_init__(self) -> None:
        given = [name for name, value in asdict(self).items() if value is not None]
        if len(given) > 1:
            raise PBGenError(f"{', '.join(given)}: give one of them")
        bits, target_bytes, target_psnr = self.bits, self.target_bytes, self.target_psnr
        if bits is not None and (type(bits) is not int or not 1 <= bits <= MAX_BITS):
            raise PBGenError(f"bits {bits}: must be 1 to {MAX_BITS}")
        if target_bytes is not None and (type(target_bytes) is not int or target_bytes < 1):
            raise PBGenError(f"target_bytes {target_bytes}: must be a whole number of at least 1")
        if target_psnr is not None and not 0 < target_psnr <= _MOST_PSNR:
            raise PBGenError(f"target_psnr {target_psnr}: must be more than 0, and at most {_MOST_PSNR} decibels")


def schedule_of(steps: int | None, minutes: float | None) -> Schedule:
    if steps is not None and minutes is not None:
        raise PBGenError("steps, minutes: give one of them")
    if steps is not None:
        if type(steps) is not int or steps < 1:
            raise PBGenError(f"steps {steps}: must be a whole number of at least 1")
        return Schedule(steps, None)
    minutes = DEFAULT_MINUTES if minutes is None else minutes
    if not 0 < minutes <= 1e6:
        raise PBGenError(f"minutes {minutes}: must be more than 0")
    return Schedule(None, 60.0 * minutes)


def check_devices(devices: int, accelerator: str, factory: Callable[[], nn.Module] | None) -> None:
    if type(devices) is not int or not 1 <= devices <= _MOST_DEVICES:
        raise PBGenError(f"devices {devices}: must be 1 to {_MOST_DEVICES}")
    if accelerator not in CHOICES["accelerator"]:
        raise PBGenError(f"accelerator {accelerator!r}: choose one of {', '.join(map(str, CHOICES['accelerator']))}")
    if devices == 1:
        return
    if factory is None:
        raise PBGenError(
            f"devices {devices}: a module cannot go to other processes; give factory, a function that makes it there, "
            "or use the command pbgen compress"
        )
    try:
        pickle.dumps(factory)
    except Exception as error:  # pickle has many errors
        raise PBGenError(f"factory: cannot go to other processes: {error}; give a function of a file") from None
