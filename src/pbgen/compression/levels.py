"""The levels by which a layer makes what it should: rounding that knows what its weights meet."""

import numpy as np
import torch
from torch import Tensor

from pbgen.binarize import nearest_level

RIDGE = 0.01
"""Of the mean square of what the weights meet: what a weight's distance from the float one counts beside the outputs,
of which there are few examples."""
_SWEEPS = 3  # over all weights; after three nearly none changes
_AT_ONCE = 128  # weights of an output between which errors are passed on at once
_LEAST = 1e-12
_MOST_CHANGE = 10.0  # of a scale, times


def fit_levels(gram: Tensor, cross: Tensor, weights: Tensor, scale: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Levels l and scales s for which |y - s l x|^2 + ridge |w - s l|^2 is small: coordinate descent.

    gram: the mean of x x', (groups, n, n); cross: that of y x', (groups, outputs, n), y being what should be made;
    weights: the float weights w, and scale, (groups, outputs), where s begins. Returns l, as weights, and s, as scale.

    One level after another becomes the best one for all others as they are, so that each makes good what the ones
    before it could not, as in GPTQ (Frantar et al. 2022, arXiv 2210.17323); but y is what the float layer made of its
    own inputs, so the layers before are made good as well, and after each sweep the scales are the best for the levels.
    """
    ridge = (RIDGE * gram.diagonal(dim1=1, dim2=2).mean(1)).clamp_min(_LEAST)
    gram = gram + torch.diag_embed(ridge[:, None].expand(gram.shape[:2]))
    cross = cross + ridge[:, None, None] * weights
    first, levels = scale, nearest_level(weights / scale[:, :, None], bits)
    for _ in range(_SWEEPS):
        scale = _best_scale(gram, cross, levels, first)
        levels = _sweep(gram, cross / scale[:, :, None], levels, bits)
    return levels, _best_scale(gram, cross, levels, first)


def _best_scale(gram: Tensor, cross: Tensor, levels: Tensor, first: Tensor) -> Tensor:
    best = (levels * cross).sum(2) / (levels @ gram * levels).sum(2).clamp_min(_LEAST)
    return best.clamp(first / _MOST_CHANGE, first * _MOST_CHANGE)


def _sweep(gram: Tensor, target: Tensor, levels: Tensor, bits: int) -> Tensor:
    """Each level anew, those that meet most first; `target` is what levels times gram should be."""
    levels = levels.transpose(1, 2).contiguous()  # (groups, n, outputs)
    missing = target.transpose(1, 2) - gram @ levels
    diagonal = gram.diagonal(dim1=1, dim2=2)
    order = diagonal.sum(0).argsort(descending=True)
    for block in torch.split(order, _AT_ONCE):
        before = levels[:, block]
        after = _descend(gram[:, block][:, :, block], missing[:, block], before, bits)
        levels[:, block] = after
        missing -= gram[:, :, block] @ (after - before)
    return levels.transpose(1, 2)


def _descend(gram: Tensor, missing: Tensor, levels: Tensor, bits: int) -> Tensor:
    """One level after another, each the nearest to what the ones before it leave."""
    # By NumPy, which is several times as fast with operations as small as these.
    among, left, now, most = gram.numpy(), missing.numpy().copy(), levels.numpy().copy(), (1 << bits) - 1
    for place in range(now.shape[1]):
        wanted = now[:, place] + left[:, place] / among[:, place, place, None]
        best = np.clip(2 * np.floor(wanted / 2) + 1, -most, most)
        change = best - now[:, place]
        left[:, place + 1 :] -= among[:, place + 1 :, place, None] * change[:, None]
        now[:, place] = best
    return torch.from_numpy(now)


def fit_scale(made: Tensor, right: Tensor, shifted: bool) -> tuple[Tensor, Tensor]:
    """Gain and shift of each row for which right is about gain * made + shift, by least squares; shift 0 if not so."""
    made, right = made.double(), right.double()
    means = [value.mean(1) if shifted else value.new_zeros(len(value)) for value in (made, right)]
    made, right = (value - mean[:, None] for value, mean in zip((made, right), means, strict=True))
    square, product = made.square().mean(1), (made * right).mean(1)
    gain = torch.where(square > _LEAST, product / square.clamp_min(_LEAST), torch.ones_like(square))
    gain = gain.clamp(1 / _MOST_CHANGE, _MOST_CHANGE)
    return gain.float(), (means[1] - gain * means[0]).float()
