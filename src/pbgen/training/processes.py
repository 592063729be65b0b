"""One Fabric for the processes of a run: this one, and its helpers on the same machine where there are several."""

import logging
import multiprocessing
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from pbgen.errors import PBGenError
from pbgen.processors import usable_processors
from pbgen.training.interrupt import undisturbed

Worker = Callable[[Fabric], None]
_PATIENCE = 20.0  # seconds; a process that fails on a busy machine takes a while to end


@dataclass(frozen=True)
class Setup:
    """How many processes, or accelerators, and what they compute on and with."""

    devices: int = 1
    accelerator: str = "auto"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"


class _Rank(LightningEnvironment):
    """Tells Fabric which process of how many this is; we start them ourselves, so that rank 0 is the user's own."""

    def __init__(self, rank: int, port: int) -> None:
        super().__init__()
        self._rank = rank
        self._port = port

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        return self._port

    def local_rank(self) -> int:
        return self._rank

    def node_rank(self) -> int:
        return 0


@contextmanager
def together(setup: Setup, worker: Worker) -> Iterator[Fabric]:
    """Start `setup.devices` - 1 processes that call `worker` with their Fabric, and give the Fabric of this one.

    `worker` must be picklable. KeyboardInterrupt, here and there, is taken for an agreed stop. Leaving the context
    waits for the processes, or ends them where this one failed. Raises PBGenError where the machine lacks the devices,
    and where another process fails.
    """
    _check_devices(setup)
    _silence()
    if setup.devices == 1:
        with _threads(1):
            yield Fabric(accelerator=setup.accelerator, devices=1, precision=setup.precision)
        return
    port = _free_port()
    context = multiprocessing.get_context("spawn")
    # Pipes, not a queue, whose lock needs /dev/shm: containers may lack it.
    refusals, ends = zip(*(context.Pipe(duplex=False) for _ in range(1, setup.devices)), strict=True)
    others = [
        context.Process(target=_run_other, args=(setup, rank, port, worker, end), daemon=True)
        for rank, end in enumerate(ends, 1)
    ]
    resource_tracker.ensure_running()  # or else the first start does it, and lets signals through
    with undisturbed():  # the first process decides when to stop
        for process in others:
            process.start()
    try:
        with _joined(setup, 0, port) as fabric:
            try:
                yield fabric
            except RuntimeError as error:
                if not _any_failed(others):
                    raise
                reason = "another process of the run failed; its own message stands above"
                raise PBGenError(_first_refusal(refusals) or reason) from error
        _wait(others)
    except KeyboardInterrupt:
        _wait(others)  # they stop after the same step
        raise
    finally:
        for process in others:
            process.kill()
            process.join()


def _run_other(setup: Setup, rank: int, port: int, worker: Worker, refusal: Connection) -> None:
    _silence()
    try:
        with _joined(setup, rank, port) as fabric:
            worker(fabric)
    except KeyboardInterrupt:
        pass
    except PBGenError as error:
        refusal.send(str(error))
        sys.exit(1)


@contextmanager
def _joined(setup: Setup, rank: int, port: int) -> Iterator[Fabric]:
    """A Fabric that has met the others'."""
    # Running statistics are not exchanged: training never reads them, and DDP would write them between two forwards.
    strategy = DDPStrategy(cluster_environment=_Rank(rank, port), forward_sync_buffers=False)
    fabric = Fabric(accelerator=setup.accelerator, devices=setup.devices, strategy=strategy, precision=setup.precision)
    fabric.launch()
    try:
        with _threads(setup.devices):
            yield fabric
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def _threads(processes: int) -> Iterator[None]:
    """Torch takes this process's share of the threads that it would take, or that can run at once if they are fewer."""
    before = torch.get_num_threads()
    torch.set_num_threads(torch_threads(processes))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def torch_threads(processes: int) -> int:
    """For each of so many processes on this machine."""
    return max(1, min(torch.get_num_threads(), usable_processors()) // processes)


def _silence() -> None:
    """Fabric tells on standard error what it is about to do."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


def _check_devices(setup: Setup) -> None:
    cuda = torch.cuda.device_count()
    if setup.accelerator == "cuda" and not cuda:
        raise PBGenError("accelerator cuda: torch sees no CUDA device; choose auto or cpu")
    if setup.accelerator == "mps" and not torch.backends.mps.is_available():
        raise PBGenError("accelerator mps: torch sees no Metal device; choose auto or cpu")
    if cuda and setup.accelerator in ("auto", "cuda") and setup.devices > cuda:
        raise PBGenError(f"devices {setup.devices}: torch sees {cuda} CUDA devices; ask for no more")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.join(_PATIENCE)


def _first_refusal(refusals: Sequence[Connection]) -> str | None:
    """What a process says is wrong, if one does; the pipe of one that has ended without a word is at its end."""
    for refusal in refusals:
        with suppress(EOFError):
            if refusal.poll():
                return str(refusal.recv())
    return None


def _any_failed(processes: Sequence[BaseProcess]) -> bool:
    """Whether a process has ended with an error, or does so soon: the others notice a broken connection first."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if any(process.exitcode for process in processes):
            return True
        time.sleep(0.05)
    return False
