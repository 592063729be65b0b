"""The training loop: steps, and now and then a row of the log, sample images and a checkpoint."""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pbgen.binarize import binary_weights, signs_and_scale
from pbgen.data import ImageSource
from pbgen.errors import PBGenError
from pbgen.training import checkpoint, randomness
from pbgen.training.average import Average, refresh_batch_norm
from pbgen.training.checkpoint import Checkpoint
from pbgen.training.config import TrainConfig
from pbgen.training.feed import Feed, Images, indices, share
from pbgen.training.interrupt import Interrupts
from pbgen.training.log import Row, RunLog
from pbgen.training.networks import Networks
from pbgen.training.randomness import Stream
from pbgen.training.sample import sample
from pbgen.training.step import TrainingStep

Progress = Callable[[int, int, Mapping[str, float | None]], object]

CHECKPOINT = "checkpoint.pt"
_SAMPLES = 64
_STATISTICS_BATCHES = 16  # of batch_size images, for the batch norm of the averaged generator


class TrainingStopped(KeyboardInterrupt):
    """Training was interrupted after `step` steps, which are saved in the run's folder `out`."""

    def __init__(self, step: int, out: Path) -> None:
        super().__init__(step, out)  # from which another process makes it again
        self.step = step
        self.out = out

    def __str__(self) -> str:
        return f"stopped at step {self.step}; resume with --resume"


class DivergedError(PBGenError):
    """The training went to infinity or to no number at all; its last good checkpoint is kept."""


class Loop:
    """Trains `networks` on `source`, keeping the folder `out`. One in each process; the first one alone writes."""

    def __init__(
        self,
        fabric: Fabric,
        config: TrainConfig,
        out: Path,
        networks: Networks,
        source: ImageSource,
        progress: Progress | None,
    ) -> None:
        self._fabric = fabric
        self._config = config
        self._out = out
        self._source = source
        self._progress = progress
        self._latent_shape = networks.latent_shape
        self._train = TrainingStep(fabric, config, networks)
        self._average = Average(self._train.generator.module, config.average)
        self._step = 0
        self._seconds = 0.0
        self._unlogged: list[Tensor] = []
        self._row: Row = {}
        self._logged = 0, 0.0  # step and seconds at the last row
        self._saved = self._ready = -1  # the steps of the checkpoint and of the statistics of the average
        self._clock = 0.0  # when training would have begun, had it never stopped

    def restore(self, state: Checkpoint) -> None:
        """Go on from `state`. Raises RuntimeError, ValueError or KeyError where it is of other networks."""
        generator, discriminator = self._train.generator, self._train.discriminator
        checkpoint.restore(generator.module, state["generator"])
        generator.optimizer.load_state_dict(state["generator_optimizer"])
        checkpoint.restore(discriminator.module, state["discriminator"])
        discriminator.optimizer.load_state_dict(state["discriminator_optimizer"])
        checkpoint.restore(self._average.module, state["average"])
        self._unlogged = list(state["unlogged"].to(self._fabric.device))
        self._step, self._seconds = state["step"], state["seconds"]
        self._logged = self._step, self._seconds
        self._saved = self._ready = self._step

    def run(self, interrupts: Interrupts) -> None:
        """Train to the end, or until `interrupts` of the first process asks to stop: then raises TrainingStopped."""
        folder = RunLog(self._out, self._step) if self._fabric.is_global_zero else nullcontext()
        with folder as log, Feed(self._read, self._step * self._config.updates) as feed:
            self._clock = time.perf_counter() - self._seconds
            if self._step == 0:
                self._save()
            while self._step < self._config.steps:
                self._one_step(feed, log)
                if self._agreed(interrupts.requested):
                    self._save()
                    raise TrainingStopped(self._step, self._out)

    def _read(self, update: int) -> Images:
        """This process's share of the real images of an update of the discriminator."""
        config = self._config
        first, n = share(update, config.batch_size, self._fabric.global_rank, config.devices)
        return self._source.images(indices(first, n, self._source.count, config.seed))

    def _agreed(self, stop: bool) -> bool:
        return self._fabric.broadcast(stop) if self._config.devices > 1 else stop

    def _one_step(self, feed: Feed, log: RunLog | None) -> None:
        config = self._config
        logging = self._is_due(self._step + 1, config.log_every)
        before = self._signs() if logging and log else {}
        self._unlogged.append(self._train(self._step, feed))
        self._average.update(self._train.generator.module, self._step)
        self._step += 1
        if logging:
            self._log(log, before)
        if log and self._is_due(self._step, config.sample_every):
            log.samples(self._step, sample(self._ready_average(), _SAMPLES, config.seed))
        if self._is_due(self._step, config.checkpoint_every):
            self._save()
        if self._progress:
            self._progress(self._step, config.steps, self._row)

    def _is_due(self, step: int, every: int) -> bool:
        return step % every == 0 or step == self._config.steps

    def _log(self, log: RunLog | None, before: dict[str, list[Tensor]]) -> None:
        told = self._told().mean(0).tolist()
        self._unlogged.clear()
        if not log:
            return
        steps, seconds = self._step - self._logged[0], time.perf_counter() - self._clock
        self._row = {
            "step": self._step,
            "seconds": seconds,
            "images_per_second": steps * self._config.batch_size / (seconds - self._logged[1]),
            **dict(zip(("discriminator_loss", "generator_loss", "real_output", "fake_output"), told, strict=True)),
            **{f"{name}_flips": _flips(before[name], signs) for name, signs in self._signs().items()},
        }
        self._logged = self._step, seconds
        log.row(self._row)

    def _told(self) -> Tensor:
        """What the training steps since the last row told, (n, 4), averaged over the processes.

        Raises PBGenError where some of it is not finite. Looking only here spares the device a stop at each step.
        """
        told = self._fabric.all_reduce(torch.stack(self._unlogged), reduce_op="mean")
        assert isinstance(told, Tensor)
        broken = told.isfinite().logical_not().any(1).nonzero()
        if len(broken):
            self._diverged("the loss", self._step - len(told) + 1 + int(broken[0]))
        return told

    def _diverged(self, what: str, step: int) -> NoReturn:
        raise DivergedError(
            f"{self._out}: {what} is no longer finite at step {step}; the checkpoint of step {self._saved} is kept; "
            "try a lower learning rate"
        )

    def _signs(self) -> dict[str, list[Tensor]]:
        """The binary weights of both networks."""
        players = {"generator": self._train.generator, "discriminator": self._train.discriminator}
        return {
            name: [signs_and_scale(w.owner, w.tensor)[0] for w in binary_weights(player.module).values()]
            for name, player in players.items()
        }

    def _ready_average(self) -> nn.Module:
        """The averaged generator with its own batch-norm statistics, measured on latents that the seed gives."""
        config = self._config
        if self._ready != self._step:
            batches = (
                randomness.latents(config.seed, Stream.STATISTICS, i, config.batch_size, self._latent_shape)
                for i in range(_STATISTICS_BATCHES)
            )
            self._average.copy_buffers(self._train.generator.module)
            refresh_batch_norm(self._average.module, (batch.to(self._fabric.device) for batch in batches))
            self._ready = self._step
        return self._average.module

    def _save(self) -> None:
        """Write the checkpoint, unless it is there already. Raises PBGenError before a broken state is written."""
        if self._saved == self._step:
            return
        players = (self._train.generator, self._train.discriminator)
        told = self._told() if self._unlogged else torch.empty(0, 4)
        if not all(bool(value.isfinite().all()) for player in players for value in player.module.parameters()):
            self._diverged("a weight", self._step)
        if self._fabric.is_global_zero:
            checkpoint.save(
                self._out / CHECKPOINT,
                step=self._step,
                seconds=time.perf_counter() - self._clock,
                generator=players[0].module.state_dict(),
                discriminator=players[1].module.state_dict(),
                average=self._ready_average().state_dict(),
                generator_optimizer=players[0].optimizer.state_dict(),
                discriminator_optimizer=players[1].optimizer.state_dict(),
                unlogged=told,
            )
        self._saved = self._step


def _flips(before: list[Tensor], after: list[Tensor]) -> float | None:
    """The share of binary weights that differ; None where there are none. Larq's flip ratio, of one training step."""
    count = sum(signs.numel() for signs in after)
    changed = sum(int((old != new).sum()) for old, new in zip(before, after, strict=True))
    return changed / count if count else None
