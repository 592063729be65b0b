"""The exponential average of a network that is trained, which is what is sampled, judged and packed."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pbgen.modules import duplicate


class Average:
    """A copy of a network whose parameters (of binary layers: the latent weights) trail it by an average.

    After update t the average is d * average + (1 - d) * network with d = min(decay, (1 + t) / (10 + t)): the
    warm-up forgets a random start at once. Training never reads it.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.module = duplicate(network).requires_grad_(False).eval()
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, t: int) -> None:
        """Move towards `network` after its update number `t`, counted from 0."""
        decay = min(self._decay, (1 + t) / (10 + t))
        for mean, value in zip(self.module.parameters(), network.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)

    @torch.no_grad()
    def copy_buffers(self, network: nn.Module) -> None:
        """Take over what is not trained."""
        for mine, current in zip(self.module.buffers(), network.buffers(), strict=True):
            mine.copy_(current)


@torch.no_grad()
def refresh_batch_norm(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Measure the batch-norm statistics of `module` anew, as the plain mean over its input `batches`; leave it in eval.

    An averaged and then binarized generator has weights that never ran in training, so the statistics collected there
    are not its own. Everything but batch norm runs as in evaluation: deterministic signs, no dropout.
    """
    module.eval()
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the cumulative mean
        norm.train()
    for batch in batches:
        module(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    module.eval()
