"""Channels whose weights are many times the others' become like them: so levels of few bits suit all of a layer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from pbgen.compression.inputs import Batch
from pbgen.errors import PBGenError
from pbgen.training.teacher import outputs
from pbgen.weights import LAYER_KINDS

_BEFORE = 3  # layers that ran last before a layer, one of which makes what it reads, if any does alone
_FAR = 2.0**20  # so that what bends or ends anywhere shows it


@torch.no_grad()
def even_out(module: nn.Module, batch: Batch) -> None:
    """Divide what meets a layer's large weights by a power of two, and multiply it where it is made, in place.

    That leaves the module as it is, to the bit, where between the two a channel goes its own way, in proportion, to no
    other reader: through a (leaky) ReLU, pooling, interpolation, or nothing. Where it does so is found by trying, on
    `batch`. Channels of weights beyond those of the layer's median come near to it; small ones stay, as they cost the
    others nothing. After the equalization of Nagel et al. 2019 (arXiv 1906.04721), which makes both kinds alike.
    """
    calls = _calls(module, batch)
    right = outputs(module, batch)
    for number, reader in enumerate(calls):
        read = _read(reader)
        if read is None or bool(((factor := _factor(read)) == 1).all()):
            continue
        for maker in reversed(calls[max(0, number - _BEFORE) : number]):
            written = _written(maker)
            if len(written) and len(written[0]) == len(read) and _goes_its_own_way(module, batch, right, read, written):
                _scale([read], factor)
                _scale(written, 1 / factor)
                break


def _calls(module: nn.Module, batch: Batch) -> list[nn.Module]:
    """The layers and norms in the order in which they run."""
    found: list[nn.Module] = []
    hooks = [
        one.register_forward_hook(lambda called, *_: found.append(called))
        for one in module.modules()
        if _read(one) is not None or _written(one)
    ]
    try:
        outputs(module, batch)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _read(module: nn.Module) -> Tensor | None:
    """A layer's weights by the channel that they meet, a view (channels, ...); None of a convolution in groups."""
    if not isinstance(module, LAYER_KINDS):
        return None
    if _is_transposed(module):
        return module.weight
    return module.weight.transpose(0, 1) if getattr(module, "groups", 1) == 1 else None


def _written(module: nn.Module) -> list[Tensor]:
    """What a channel of a module's output is in proportion to, as views (channels, ...)."""
    if not isinstance(module, (*LAYER_KINDS, _NormBase, nn.GroupNorm)):
        return []
    if not _is_transposed(module):
        parameters = [module.weight, module.bias]
    else:
        parameters = [module.weight.transpose(0, 1), module.bias] if module.groups == 1 else []
    return [one for one in parameters if one is not None]


def _is_transposed(module: nn.Module) -> bool:
    return bool(getattr(module, "transposed", False))


def _factor(read: Tensor) -> Tensor:
    """By channel, 1 or the power of two that brings its weights near to those of the median."""
    size = read.flatten(1).square().mean(1).sqrt()
    beyond = (size / size.median().clamp_min(torch.finfo(size.dtype).tiny)).clamp(1, _FAR)
    return torch.exp2(-beyond.log2().round())


def _goes_its_own_way(
    module: nn.Module, batch: Batch, right: Sequence[Tensor], read: Tensor, written: list[Tensor]
) -> bool:
    """Whether the module stays the same, with channels that are made far larger and smaller, and read so."""
    kept = [(one, one.clone()) for one in [read, *written]]
    far = _FAR ** (torch.arange(len(read)) % 3 - 1.0)
    same = True
    for factor in (far, 1 / far):
        _scale([read], 1 / factor)
        _scale(written, factor)
        same = same and _makes(module, batch, right)
        for one, values in kept:
            one.copy_(values)
    return same


def _makes(module: nn.Module, batch: Batch, right: Sequence[Tensor]) -> bool:
    try:
        return all(map(torch.equal, outputs(module, batch), right))
    except PBGenError:
        return False


def _scale(values: list[Tensor], factor: Tensor) -> None:
    for one in values:
        one.mul_(factor.view(-1, *[1] * (one.dim() - 1)))
