"""A float network whose outputs another learns to make from the same inputs: beside a discriminator, or by it alone."""

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pbgen.modules import duplicate
from pbgen.packing.freeze import run
from pbgen.packing.verify import tensors


def outputs(module: nn.Module, batch: tuple[Tensor, ...], seed: int = 0) -> list[Tensor]:
    """Every tensor that the module makes; `seed` is that of the random numbers which it draws, if it does.

    Raises PBGenError where it fails, or makes something else.
    """
    torch.manual_seed(seed)
    return [value.float() for value in tensors(module, run(module, batch))]


class Teacher:
    """A module in evaluation mode, on the device of `fabric`."""

    def __init__(self, fabric: Fabric, module: nn.Module) -> None:
        self.module: nn.Module = fabric.to_device(module)
        self._steady: bool | None = None  # whether it writes nothing to its own tensors, as soon as it is known

    def outputs(self, batch: tuple[Tensor, ...], seed: int = 0) -> list[Tensor]:
        """What is to be made of a batch, without gradients; the teacher stays as it is."""
        if self._steady is None:
            self._steady = _is_steady(self.module, batch)
        if not self._steady:
            return outputs(self.module, batch, seed)
        torch.manual_seed(seed)
        with torch.no_grad():
            return [value.float() for value in tensors(self.module, self.module(*(value.clone() for value in batch)))]


def _is_steady(module: nn.Module, batch: tuple[Tensor, ...]) -> bool:
    """Whether a call leaves its tensors as they are: to restore them each time takes as long as a small network."""
    trial = duplicate(module)
    outputs(trial, batch)  # says what is wrong, if anything is
    with torch.no_grad():
        trial(*(value.clone() for value in batch))
    pairs = zip(held(trial), held(module), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def held(module: nn.Module) -> list[Tensor]:
    """The tensors that a module holds: parameters, buffers and plain attributes."""
    tables = (table for part in module.modules() for table in (part._parameters, part._buffers, vars(part)))
    return [value for table in tables for value in table.values() if isinstance(value, Tensor)]


def example_errors(made: Tensor, right: Tensor) -> Tensor:
    """Each example's mean squared error, (N,)."""
    squares = (made.float() - right).square()
    return squares.reshape(squares.shape[0] if squares.dim() else 1, -1).mean(1)
