"""What compressing did, for those who report it."""

from dataclasses import dataclass
from pathlib import Path

from pbgen.compression.bits import Errors
from pbgen.compression.imitate import Point
from pbgen.compression.judge import Distances, Psnr
from pbgen.contents import PackInfo
from pbgen.redundancy import Plan


@dataclass(frozen=True)
class CompressInfo(PackInfo):
    """What packing did, and how near the file's outputs are to the float module's.

    psnr: in decibels, over examples that were held out, median and worst. plan: the bits of each layer. errors: what
    they were chosen by. distances: between images or sounds. curve: the PSNR as the imitation went on, by other
    held-out examples. seconds: of imitation. finished: whether it reached its end.
    """

    psnr: Psnr
    plan: Plan
    errors: Errors
    distances: Distances
    curve: tuple[Point, ...]
    seconds: float
    finished: bool

    @property
    def bits(self) -> dict[str, int]:
        """Of a weight, by layer: 1 to 4, or 32 where it stays in float (float16 in the file)."""
        return self.plan.bits


class CompressionStopped(KeyboardInterrupt):
    """The imitation was interrupted; the best of it is packed at `path`, and `info` tells of it. `state`: the file to
    go on from."""

    def __init__(self, info: CompressInfo, path: Path, state: Path) -> None:
        super().__init__(info, path, state)
        self.info, self.path, self.state = info, path, state

    def __str__(self) -> str:
        step = self.info.curve[-1].step
        return f"stopped at step {step}, PSNR {self.info.psnr}; {self.path} is the best so far; go on with resume=True"
