"""Training a generator and its discriminator, float or binary each: configuration in, a run's folder out."""

from pbgen.training.config import TrainConfig, UnnamedCodeError
from pbgen.training.loop import DivergedError, Progress, TrainingStopped
from pbgen.training.losses import LOSSES
from pbgen.training.origin import check_data
from pbgen.training.run import Run, load_run, train
from pbgen.training.sample import sample
from pbgen.training.side_by_side import train_side_by_side

__all__ = [
    "LOSSES",
    "DivergedError",
    "Progress",
    "Run",
    "TrainConfig",
    "TrainingStopped",
    "UnnamedCodeError",
    "check_data",
    "load_run",
    "sample",
    "train",
    "train_side_by_side",
]
