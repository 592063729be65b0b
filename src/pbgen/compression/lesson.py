"""The steps of the imitation, which all processes of a run do together: the first says what, each does its share."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from statistics import median
from typing import Any, NamedTuple, TypedDict, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricOptimizer
from torch import Tensor, nn
from torch.autograd.graph import allow_mutation_on_saved_tensors
from torch.utils import _pytree as pytree

from pbgen.binarize import binary_weights, estimator_of
from pbgen.compression.inputs import Batch
from pbgen.compression.judge import ImageSet, log_error
from pbgen.compression.opponent import Opponent, OpponentState
from pbgen.compression.sound import is_sound, spectral_distance
from pbgen.training.teacher import Teacher, held

SIGN_RATE, LEVEL_RATE, RATE = 3e-2, 1e-2, 3e-3
"""A step's part of a tensor's usual size: of weights behind signs, other weights, and all else (scales, shifts)."""
LEAST_SIZE = 1e-2  # that is taken for a tensor's: shifts begin at 0
MOST = 3.0
"""Times its usual length that a gradient may have: a flat picture before instance norms makes it 1e30 times as long."""
_RECENT = 20  # gradients, whose median is the usual length
_FIRST_LENGTH = 30.0  # at most; of the logarithm of an error some tenths to some ones are common


class Order(NamedTuple):
    """What the first process has all do: step `number`, at a part of the full rates, on this batch."""

    number: int
    rate: float
    batch: Batch


class LessonState(TypedDict):
    """What a step changes beside the student."""

    optimizer: dict[str, Any]
    lengths: list[float]  # of the recent gradients
    opponent: OpponentState | None


class Lesson:
    """Moves `student`, on the device of `fabric`, towards what `teacher` makes; `variances` are those of its outputs.

    images: what it makes, where that is images of latents: then against an opponent, too.

    Each process runs both on its share of a batch, and has the others' outputs told, so the loss is that of the whole
    batch; gradients are added up. So all have the same student after each step, that of one process alone but for the
    rounding of sums.
    """

    def __init__(
        self,
        fabric: Fabric,
        teacher: nn.Module,
        student: nn.Module,
        images: ImageSet | None,
        variances: Sequence[float] = (),
    ) -> None:
        self._fabric, self._variances = fabric, variances
        self._teacher = Teacher(fabric, teacher)
        self._student = fabric.to_device(student)
        self._opponent = Opponent(fabric, images) if images else None
        self._adam = torch.optim.Adam(_groups(student), betas=(0.5 if images else 0.9, 0.99))
        self._optimizer = cast(_FabricOptimizer, fabric.setup_optimizers(self._adam))
        self._lengths: list[float] = []
        # Whether the student writes in place on what its gradient is computed of, as `y = x.sigmoid(); y *= x` does:
        # torch refuses that unless it looks out for it and keeps copies, which takes time. The first step tells.
        self._writes = True

    def state(self) -> LessonState:
        """What is to be kept of it."""
        opponent = self._opponent.state() if self._opponent else None
        return {"optimizer": self._adam.state_dict(), "lengths": self._lengths, "opponent": opponent}

    def restore(self, state: LessonState) -> None:
        """Go on from what `state` gave."""
        self._adam.load_state_dict(state["optimizer"])
        self._lengths = state["lengths"]
        if self._opponent and state["opponent"]:
            self._opponent.restore(state["opponent"])

    def begin(self) -> None:
        """Give all processes the first one's numbers."""
        if self._fabric.world_size == 1:
            return
        mine = [*held(self._teacher.module), *held(self._student)]
        numbers = [value.detach().cpu() for value in mine]
        numbers, self._variances, state = self._fabric.broadcast((numbers, self._variances, self.state()))
        self.restore(state)
        for value, told in zip(mine, numbers, strict=True):
            if not torch.equal(value.detach().cpu(), told):
                value.data.copy_(told)

    def step(self, order: Order) -> bool:
        """Of the first process. False, and nothing is learned, where the loss or its gradient is not finite."""
        return self._step(self._fabric.broadcast(order))

    def end(self) -> None:
        """Let the other processes go, and move both modules to the CPU."""
        self._fabric.broadcast(None)
        self._student.cpu()
        self._teacher.module.cpu()

    def follow(self) -> None:
        """What the other processes do: the first one's steps, until it ends."""
        while True:
            order: Order | None = self._fabric.broadcast(None)
            if order is None:
                return
            self._step(order)

    def _step(self, order: Order) -> bool:
        batch, count = self._share(order.batch), len(order.batch[0])
        for group in self._adam.param_groups:
            group["lr"] = group["full_rate"] * order.rate
        expected = self._whole(self._teacher.outputs(batch, order.number), count)
        self._adam.zero_grad()
        with allow_mutation_on_saved_tensors() if self._writes else nullcontext() as kept:
            made = self._whole(self._made(batch, order.number), count)
            self._writes = kept is not None and len(kept.cloned) > 0
            loss = torch.stack(list(map(_loss, made, expected, self._variances))).mean()
            if self._opponent:
                self._opponent.step(expected[0], made[0], order.rate)
                loss = loss + self._opponent.loss(made[0], expected[0], order.number)
            self._fabric.backward(loss)
        self._add_up_gradients()
        if not self._shorten_gradient():
            return False
        self._optimizer.step()
        return True

    def _made(self, batch: Batch, seed: int) -> list[Tensor]:
        torch.manual_seed(seed)  # as for the teacher
        made = self._student(*(value.clone() for value in batch))
        return [value for value in pytree.tree_leaves(made) if value is not None]

    def _share(self, batch: Batch) -> Batch:
        """This process's examples, as many as any other's: where they do not suffice, the last one again."""
        processes, count = self._fabric.world_size, len(batch[0])
        if processes > 1:
            most = -(-count // processes)
            rows = torch.arange(most).add(self._fabric.global_rank * most).clamp(max=count - 1)
            batch = tuple(value[rows] for value in batch)
        return tuple(self._fabric.to_device(value) for value in batch)

    def _whole(self, values: list[Tensor], count: int) -> list[Tensor]:
        """All processes' outputs of a batch of `count` examples; gradients flow through this process's own."""
        return values if self._fabric.world_size == 1 else [self._gathered(value)[:count] for value in values]

    def _gathered(self, value: Tensor) -> Tensor:
        places = value.new_zeros(self._fabric.world_size, *value.shape)
        places[self._fabric.global_rank] = value.detach()
        parts = list(cast(Tensor, self._fabric.all_reduce(places, reduce_op="sum")))
        parts[self._fabric.global_rank] = value
        return torch.cat(parts)

    def _add_up_gradients(self) -> None:
        if self._fabric.world_size == 1:
            return
        own = [group["params"][0].grad for group in self._adam.param_groups]
        own = [gradient for gradient in own if gradient is not None]
        total = self._fabric.all_reduce(torch.cat([gradient.flatten() for gradient in own]), reduce_op="sum")
        parts = torch.split(cast(Tensor, total), [gradient.numel() for gradient in own])
        for gradient, whole in zip(own, parts, strict=True):
            gradient.copy_(whole.view_as(gradient))

    def _shorten_gradient(self) -> bool:
        """Hold the gradient to some times its usual length, that of a tensor counted in its size; False: it has none.

        One that is far longer points nowhere, and Adam, which divides by what it has seen, would stand still for long.
        """
        groups = [group for group in self._adam.param_groups if group["params"][0].grad is not None]
        lengths = [group["size"] * group["params"][0].grad.norm() for group in groups]
        length = float(torch.stack(lengths).norm())
        if not math.isfinite(length):
            return False
        most = MOST * min(_FIRST_LENGTH, median(self._lengths or [_FIRST_LENGTH]))
        if length > most:
            for group in groups:
                group["params"][0].grad.mul_(most / length)
        self._lengths = [*self._lengths, length][-_RECENT:]
        return True


def _groups(student: nn.Module) -> list[dict[str, Any]]:
    """Every parameter by itself, with a rate that is a part of its size: scales and weights of any network fit."""
    rates = {}
    for slot in binary_weights(student).values():
        estimator = estimator_of(slot.owner, slot.tensor)
        rates[id(slot.parameter)] = SIGN_RATE if estimator is not None and estimator.bits == 1 else LEVEL_RATE
    groups = []
    for parameter in student.parameters():
        if not parameter.requires_grad:
            continue
        size = max(LEAST_SIZE, float(parameter.detach().square().mean().sqrt()))
        rate = rates.get(id(parameter), LEVEL_RATE if parameter.dim() > 1 else RATE) * size
        groups.append({"params": [parameter], "lr": rate, "full_rate": rate, "size": size})
    return groups


def _loss(made: Tensor, right: Tensor, variance: float) -> Tensor:
    """Their log error; of sounds, the distance of their spectra as well."""
    error = log_error(made, right, variance)
    return error + spectral_distance(made, right) if is_sound(right) else error
