"""Every operator that can be packed, over odd shapes, at two sizes where these are free, against torch in float64.

What is packed together is one module with an output for each entry, so that it is traced once.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from small_modules import Function, Several
from torch import Tensor, nn

torch.manual_seed(0)

IMAGE, OTHER_IMAGE = (4, 6, 9), (4, 11, 5)
SOUND, OTHER_SOUND = (4, 10), (4, 17)


ACTIVATIONS = {
    "relu": nn.ReLU(),
    "leaky": nn.LeakyReLU(0.2),
    "leaky_in_place": lambda x: F.leaky_relu_(x * 2, 0.3),
    "prelu_one": nn.PReLU(),
    "prelu_each": nn.PReLU(4),
    "rrelu": nn.RReLU(),
    "relu6": nn.ReLU6(),
    "elu": nn.ELU(0.7),
    "selu": nn.SELU(),
    "celu": nn.CELU(0.7),
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU("tanh"),
    "silu": nn.SiLU(),
    "silu_in_place": lambda x: F.silu(x + 1, inplace=True),
    "mish": nn.Mish(),
    "softplus": nn.Softplus(),
    "softplus_beta": nn.Softplus(2, 3),
    "hardtanh": nn.Hardtanh(-0.5, 0.7),
    "hardswish": nn.Hardswish(),
    "hardsigmoid": nn.Hardsigmoid(),
    "log_sigmoid": nn.LogSigmoid(),
    "softsign": nn.Softsign(),
    "tanhshrink": nn.Tanhshrink(),
    "softshrink": nn.Softshrink(),
    "hardshrink": nn.Hardshrink(),
    "threshold": nn.Threshold(0.1, 0.3),
    "glu": nn.GLU(1),
    "softmax": nn.Softmax(1),
    "softmin": nn.Softmin(2),
    "log_softmax": nn.LogSoftmax(1),
    "snake": lambda x: x + torch.sin(x * 2) ** 2 / 2,
    "swish": lambda x: x * torch.sigmoid(1.7 * x),
    "tanh": torch.tanh,
    "sigmoid_in_place": lambda x: (x * 3).sigmoid_(),
}

ARITHMETIC = {
    "unary": lambda x: sum(
        f(x) for f in (torch.sin, torch.cos, torch.exp, torch.abs, torch.neg, torch.erf, torch.expm1)
    ),
    "roots": lambda x: x.abs().sqrt() + (x.abs() + 0.1).rsqrt() + (x.abs() + 0.5).log() + x.abs().log1p(),
    "logs": lambda x: torch.log2(x.abs() + 1) + torch.log10(x.abs() + 1) + torch.exp2(x),
    "angles": lambda x: (
        torch.asin(x.tanh()) + torch.acos(x.sigmoid()) + torch.atan2(x, x.flip(2)) + torch.atan(x * 1e25)
    ),
    "angles to the axes": lambda x: torch.atan2(x.round(), x.roll(1, 2).round()) + torch.asin(x.clamp(-1, 1)),
    "signs": lambda x: torch.copysign(x.flip(3) + 2, x) + x.signbit(),
    "hyperbolic": lambda x: torch.sinh(x) + torch.cosh(x) + torch.asinh(x) + torch.atan(x) + torch.tan(x / 4),
    "steps": lambda x: x.round() + x.floor() + x.ceil() + x.trunc() + x.frac() + x.sign(),
    "powers": lambda x: x**2 + x**3 + x.abs() ** 1.7 + 2**x + x.square() + (x.abs() + 1) ** -0.5,
    "clamp": lambda x: x.clamp(-0.5, 0.5) + x.clamp_min(0.1) + x.clamp(max=0.2),
    "modulo": lambda x: torch.remainder(x, 0.3) + torch.fmod(x, 0.7) + x // 0.3,
    "reversed": lambda x: 1 - x + 1 / (x.abs() + 1) + torch.rsub(x, 2, alpha=3),
    "scaled_sum": lambda x: torch.add(x, x.sin(), alpha=2) - torch.sub(x, 1, alpha=0.5),
    "where": lambda x: torch.where(x > 0.1, x, -x) + torch.where(x < 0, x, 2.0),
    "logic": lambda x: ((x > 0) & (x < 1)).float() + ((x > 1) | (x < -1)) * 2.0 + (~(x >= 0)).float(),
    "compare": lambda x: (x == x.round()).float() + (x != 0).float() + (x <= 0.3) * x,
    "masked": lambda x: x.masked_fill(x > 0.5, -math.inf).softmax(3) + x.masked_fill(x > 0, 3.0),
    "two_values": lambda x: torch.maximum(x, -x) + torch.minimum(x, x * x) + x.lerp(x * 2, 0.3),
    "addcmul": lambda x: torch.addcmul(x, x, x, value=0.5) + torch.addcdiv(x, x, x.abs() + 1),
    "in_place": lambda x: (x * 1).add_(1).mul_(2).clamp_(-1, 2),
    "casts": lambda x: (x * 3).to(torch.int32).float() + (x > 0).double() + x.half().float() * 0,
    "wide": lambda x: x.double().sin().float(),
    "of_sizes": lambda x: x / x.shape[2] + x * (x.shape[3] ** -0.5) + x.shape[2] // 2,
}

PADDING = {
    f"{mode}_{name}": lambda x, mode=mode, edges=edges: F.pad(x, edges, mode=mode)
    for mode in ("constant", "reflect", "replicate", "circular")
    for name, edges in {"both": (1, 2, 3, 0), "crop": (-1, 2, 1, -2), "width": (3, 1, 0, 0)}.items()
} | {
    "value": lambda x: F.pad(x, (1, 1, 1, 1), value=2.5),
    "zero_layer": nn.ZeroPad2d((1, 2, 0, 1)),
    "reflect_layer": nn.ReflectionPad2d((1, 2, 0, 1)),
    "replicate_layer": nn.ReplicationPad2d(2),
    "channels": lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)),
    "to_a_multiple": lambda x: F.pad(x, (0, -x.shape[-1] % 4, 0, (8 - x.shape[-2] % 8) % 8), mode="replicate"),
    "conv_reflect": nn.Conv2d(4, 3, 3, padding=(1, 2), padding_mode="reflect"),
    "conv_circular": nn.Conv2d(4, 3, 3, padding=1, padding_mode="circular"),
    "conv_replicate": nn.Conv2d(4, 3, (3, 4), padding="same", padding_mode="replicate"),
}

NORMS = {
    "batch": nn.BatchNorm2d(4, eps=0.1),
    "batch_plain": nn.BatchNorm2d(4, affine=False),
    "instance": nn.InstanceNorm2d(4),
    "instance_affine": nn.InstanceNorm2d(4, affine=True),
    "instance_tracked": nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
    "group": nn.GroupNorm(2, 4),
    "group_one": nn.GroupNorm(1, 4, affine=False),
    "layer_of_image": lambda x: F.layer_norm(x, x.shape[1:]),
    "local_response": nn.LocalResponseNorm(3),
    "pixel": lambda x: x / torch.sqrt(torch.mean(x**2, dim=1, keepdim=True) + 1e-8),
    "normalize": lambda x: F.normalize(x, dim=1),
    "channels_last": lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (4,), torch.arange(4.0).to(x), torch.ones(4).to(x)),
    "rms": lambda x: F.rms_norm(x.permute(0, 2, 3, 1), (4,), torch.arange(4.0).to(x), 1e-6),
    "adaptive": lambda x: F.instance_norm(x) * x.std((2, 3), keepdim=True) + x.mean((2, 3), keepdim=True),
}

POOLING = {
    "max": nn.MaxPool2d(2),
    "max_padded": nn.MaxPool2d(3, 2, 1),
    "max_ceil": nn.MaxPool2d(3, 2, 1, ceil_mode=True),
    "max_dilated": nn.MaxPool2d(2, 1, dilation=2),
    "mean": nn.AvgPool2d(2),
    "mean_padded": nn.AvgPool2d(3, 2, 1),
    "mean_not_padding": nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "mean_ceil": nn.AvgPool2d(3, 2, 1, ceil_mode=True),
    "mean_divisor": nn.AvgPool2d(3, 2, 1, divisor_override=5),
    "mean_divisor_ceil": nn.AvgPool2d((3, 2), 2, ceil_mode=True, divisor_override=5),
    "norm": nn.LPPool2d(2, 2),
    "adaptive_mean": nn.AdaptiveAvgPool2d((3, 2)),
    "adaptive_half": nn.AdaptiveAvgPool2d((None, 2)),
    "adaptive_max": nn.AdaptiveMaxPool2d((3, 2)),
    "nan_where_infinite": lambda x: torch.where(x.abs() < 9, x, torch.nan),
    "global_mean": nn.AdaptiveAvgPool2d(1),
    "global_max": lambda x: F.adaptive_max_pool2d(x, 1),
}


def _put_back(x: Tensor, kernel, size=None) -> Tensor:
    pooled, places = F.max_pool2d(x, kernel, return_indices=True)
    return F.max_unpool2d(pooled * 2, places, kernel, output_size=size)


PLACES = {
    "side by side": lambda x: F.max_pool2d(x, 2, return_indices=True)[1],
    "padded": lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True)[1],
    "ceil": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True, return_indices=True)[1],
    "dilated": lambda x: F.max_pool2d(x, (3, 2), (1, 2), (1, 0), dilation=2, return_indices=True)[1],
    "sound": lambda x: F.max_pool1d(x[:, :, 0], 3, 1, return_indices=True)[1],
    "put back": lambda x: _put_back(x[:, :, :6, :4], 2),
    "put back to a size": lambda x: _put_back(x, (2, 3), x.shape),
    "put back in a sound": lambda x: F.max_unpool1d(*F.max_pool1d(x[:, 0, :, :4], 2, return_indices=True), 2),
}

RESAMPLING = (
    {
        f"{mode}_{name}": lambda x, mode=mode, options=options: F.interpolate(x, mode=mode, **options)
        for mode in ("nearest", "nearest-exact", "bilinear", "bicubic")
        for name, options in {
            "twice": {"scale_factor": 2},
            "odd": {"scale_factor": (1.7, 0.6)},
            "size": {"size": (7, 13)},
            "recomputed": {"scale_factor": 1.5, "recompute_scale_factor": True},
        }.items()
    }
    | {
        f"{mode}_corners_{number}": lambda x, mode=mode, options=options: F.interpolate(
            x, mode=mode, align_corners=True, **options
        )
        for mode in ("bilinear", "bicubic")
        for number, options in enumerate(({"scale_factor": 2}, {"size": (7, 1)}))
    }
    | {
        "like_another": lambda x: F.interpolate(x, size=(x.shape[2] * 2, x.shape[3] // 2), mode="bilinear"),
        "layer": nn.Upsample(scale_factor=3),
        **{
            f"{mode}_antialiased_{number}": lambda x, mode=mode, options=options: F.interpolate(
                x, mode=mode, antialias=True, **options
            )
            for mode in ("bilinear", "bicubic")
            for number, options in enumerate(
                (
                    {"scale_factor": 0.5},
                    {"scale_factor": (1.7, 0.6)},
                    {"size": (7, 3)},
                    {"size": (3, 12), "align_corners": True},
                )
            )
        },
        "corners_layer": nn.UpsamplingBilinear2d(scale_factor=2),
    }
)

VIEWS = {
    "joined with nothing": lambda x: torch.cat([x, x[:, x.shape[1] : 4].flip(1)], 1),
    "flatten": lambda x: x.flatten(1),
    "flatten_size": lambda x: x.flatten(2),
    "view": lambda x: x.view(x.size(0), 2, 2, *x.shape[2:]).sin(),
    "unflatten": lambda x: x.unflatten(1, (2, 2)),
    "squeeze": lambda x: x[:, :1].squeeze(1).unsqueeze(-1),
    "permute": lambda x: x.permute(0, 2, 3, 1),
    "transpose": lambda x: x.transpose(1, 2) + x.mT.permute(0, 3, 1, 2),
    "movedim": lambda x: x.movedim(1, -1),
    "shuffle": nn.PixelShuffle(2),
    "unshuffle": lambda x: F.pixel_unshuffle(F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2)), 2),
    "channel_shuffle": lambda x: F.channel_shuffle(x, 2),
    "slice": lambda x: x[:, 1:3] * 2,
    "slice_steps": lambda x: x[:, 1::2, :, ::3],
    "slice_end": lambda x: x[..., -3:],
    "crop": lambda x: x[:, :, 1:-1, 2:-2],
    "select": lambda x: x[:, -1] + x[:, 0],
    "split": lambda x: x.split(1, 1)[2],
    "split_sizes": lambda x: x.split([1, 3], 1)[1],
    "chunk": lambda x: x.chunk(3, -1)[1],
    "unbind": lambda x: x.unbind(1)[2],
    "narrow": lambda x: x.narrow(3, 1, 3),
    "stack": lambda x: torch.stack([x, x * 2], 2),
    "cat": lambda x: torch.cat([x, x.mean(1, keepdim=True)], 1),
    "flip": lambda x: x.flip(1, 3),
    "rot90": lambda x: x.rot90(1, (2, 3)),
    "roll": lambda x: x.roll((1, -1, 1), (2, 3, 1)),
    "repeat": lambda x: x.repeat(1, 2, 1, 3),
    "tile": lambda x: x.tile(1, 1, 2, 2),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 1).repeat_interleave(3, dim=3),
    "expand": lambda x: x.mean(1, keepdim=True).expand(-1, 3, -1, -1),
    "windows": lambda x: x.unfold(3, 3, 2),
    "patches": nn.Unfold(3, padding=1, stride=2),
    "diff": lambda x: x.diff(dim=3),
    "written_select": lambda x: _written(x, 0),
    "written_slice": lambda x: _written(x, 1),
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last).clone().relu_(),
}


def _written(x: Tensor, kind: int) -> Tensor:
    x = x.clone()
    if kind == 0:
        x[:, 0] = 1
        x[:, :, -1] = x[:, :, 0]
    else:
        x[:, 1:3] += 2
        x[..., :2] = 0.5
    return x


REDUCTIONS = {
    "sum": lambda x: x.sum(1) + x.sum((1, 2, 3), keepdim=True).squeeze(1),
    "mean": lambda x: x.mean((1, 3), keepdim=True),
    "extremes": lambda x: x.amax(1) - x.amin(1),
    "max_values": lambda x: x.max(1)[0] + x.min(1).values,
    "max_places": lambda x: x.max(1).indices.float(),
    "argmin": lambda x: x.argmin(1, keepdim=True) * 1.0,
    "variance": lambda x: x.var(1) + x.var((1, 2), unbiased=False).unsqueeze(1),
    "deviation": lambda x: x.std((2, 3), keepdim=True) + x.std(1, correction=0, keepdim=True),
    "var_mean": lambda x: sum(torch.var_mean(x, (2, 3))),
    "norms": lambda x: x.norm(dim=1) + x.norm(p=1, dim=1) + torch.linalg.vector_norm(x, 3, dim=1),
    "norm_max": lambda x: torch.linalg.vector_norm(x, math.inf, dim=(2, 3)),
    "logsumexp": lambda x: x.logsumexp(1),
    "prod": lambda x: x.prod(1),
    "any_all": lambda x: (x > 0).any(1).float() + (x > -1).all(1).float(),
    "cumsum": lambda x: x.cumsum(1),
    "cumsum_free": lambda x: x.cumsum(2),
    "cumsum_long": lambda x: x.repeat(1, 1, 1, 150).cumsum(3),
    "cumprod": lambda x: x.cumprod(1),
    "cumulative_extremes": lambda x: x.cummax(1)[0] + x.cummin(1).values,
    "cosine": lambda x: F.cosine_similarity(x, x.flip(1), dim=1),
}

RANKS = {
    "sort": lambda x: x.sort(1)[0] + x.sort(1, descending=True)[1],
    "sort_free": lambda x: x.sort(2, descending=True)[0],
    "sort_equal": lambda x: x.sign().sort(dim=1, stable=True)[1] * 1.0,
    "argsort": lambda x: x.argsort(1) * 1.0,
    "largest": lambda x: x.topk(2, 1)[0] + x.topk(2, 1).indices,
    "smallest": lambda x: x.topk(3, 2, largest=False)[0],
    "median": lambda x: x.median(1)[1] + x.median(1, keepdim=True).values.squeeze(1),
    "median_free": lambda x: x.median(3)[0],
    "kth": lambda x: x.kthvalue(2, 1)[0],
    "quantile": lambda x: x.quantile(0.3, dim=2),
}

WRITING = {
    "masked": lambda x: _masked(x, x > 0.5, 0.25),
    "hue": lambda x: _hue(x),
    "masked_by_itself": lambda x: _squared_where_positive(x),
    "masked_part": lambda x: _masked(x, x[:, 0] > 0, -1.0),
    "masked_each": lambda x: _masked(x.permute(0, 2, 3, 1), x[:, 0] > 0, torch.arange(4.0).to(x)),
    "listed": lambda x: _put(x, [2, -4], x[:, 1:3] * 2),
    "listed_one": lambda x: _put(x, [0, 3], 0.5),
    "listed_twice": lambda x: _put(x, [0, 2, 0], x[:, 1:]),
    "every_other": lambda x: _every_other(x),
    "into_every_other": lambda x: _interleaved(x),
    "one_hot": lambda x: torch.zeros_like(x).scatter_(1, x.argmax(1, keepdim=True), 1.0),
    "scatter_largest": lambda x: torch.zeros_like(x).scatter(1, x.topk(2, 1)[1], 2.0),
    "scatter_free": lambda x: x.scatter(2, (x > 0).long() + 1, x * 3),
    "scatter_add": lambda x: x.scatter_add(1, (x > 0).long() + 1, x),
    "index_add": lambda x: torch.zeros_like(x).index_add_(1, torch.tensor([0, 2, 0, 1]), x),
    "index_copy": lambda x: x.index_copy(1, torch.tensor([0, 2]), x[:, 2:] * 3),
    "index_fill": lambda x: x.index_fill(1, torch.tensor([0, 2]), 3.0),
}


def _hue(x: Tensor) -> Tensor:
    """By which channel is the largest, as conversions of colours have it: the mask is made anew for each use."""
    largest, hue = x[:, :3].max(1)[0], torch.zeros_like(x[:, 0])
    for number in range(3):
        apart = (x[:, (number + 1) % 3] - x[:, (number + 2) % 3]) / (largest.abs() + 1)
        hue[x[:, number] == largest] = (2.0 * number + apart[x[:, number] == largest]) % 6
    return hue[:, None]


def _squared_where_positive(x: Tensor) -> Tensor:
    mask, y = x[:, 0] > 0, x.permute(0, 2, 3, 1) * 1
    y[mask] = y[mask] * y[mask].square()
    return y


def _masked(x: Tensor, mask: Tensor, value: Tensor | float) -> Tensor:
    x = x.clone()
    if x.shape != mask.shape and x.shape[-1] != 4:
        x[:, 1][mask] = value
    else:
        x[mask] = value
    return x


def _put(x: Tensor, places: list[int], value: Tensor | float) -> Tensor:
    x = x.clone()
    x[:, places] = value
    return x


def _every_other(x: Tensor) -> Tensor:
    x = x.clone()
    x[..., 1:-1:3] = 2 * x[..., 1:-1:3]
    x[:, 1::2] += 3
    return x


def _interleaved(x: Tensor) -> Tensor:
    made = x.new_zeros(x.shape[0], 1, 2 * x.shape[2], 2 * x.shape[3])
    for channel in range(4):
        made[:, :, channel // 2 :: 2, channel % 2 :: 2] = x[:, channel : channel + 1]
    return made


INDEXING = {
    "listed": lambda x: x[:, [2, 0]],
    "from_the_end": lambda x: x[:, :, torch.tensor([1, 0, -1])],
    "two_axes": lambda x: x[:, :, torch.arange(3)[:, None], torch.arange(2)],
    "index_select": lambda x: x.index_select(1, torch.tensor([3, 1])),
    "gather": lambda x: x.gather(1, x.argmax(1, keepdim=True)),
    "grid_sample": lambda x: F.grid_sample(x, x.permute(0, 2, 3, 1)[..., :2].tanh(), align_corners=False),
    "one_hot": lambda x: F.one_hot(x.argmax(1), 4).permute(0, 3, 1, 2) * 1.0,
    "arange": lambda x: x * torch.arange(x.shape[3]) + torch.arange(1, 2 * x.shape[2], 2)[:, None],
    "linspace": lambda x: x + torch.linspace(-1, 1, 4)[:, None, None].to(x),
    "zeros": lambda x: x.new_zeros(1, 2, *x.shape[2:]) + x[:, :2] + torch.zeros_like(x[:, 2:]),
    "ones_beside": lambda x: torch.cat([x, torch.ones(x.shape[0], 1, *x.shape[2:])], 1),
    "full": lambda x: torch.full((1, 1, x.shape[2], 1), 2.0) * x,
    "coordinates": lambda x: (
        x[:, :1] * torch.stack(torch.meshgrid(torch.arange(x.shape[2]), torch.arange(x.shape[3]), indexing="ij"))
    ),
    "triangle": lambda x: torch.tril(x) + torch.triu(x, 2),
}


def _matrices(x: Tensor, size: int) -> Tensor:
    """Of an image's beginning; without a zero above on the diagonal it would be no test of the order of rows."""
    flat = x.flatten(1)[:, : size * size].view(-1, size, size)
    return flat * (1 - torch.eye(size).to(x)) + torch.eye(size).to(x).roll(1, 0) * 5


MATRICES = {
    "inverse of two": lambda x: torch.inverse(_matrices(x, 2)),
    "inverse of four": lambda x: torch.linalg.inv(_matrices(x, 4)),
    "solved": lambda x: torch.linalg.solve(_matrices(x, 3), x[:, 0, :3, :]),
    "solved for a vector": lambda x: torch.linalg.solve(_matrices(x, 3), x[:, 0, 0, :3]),
    "solved from the right": lambda x: torch.linalg.solve(_matrices(x, 3), x[:, 0, :, :3], left=False),
}

PRODUCTS = {
    "einsum": lambda x: torch.einsum("bct,bcs->bts", x, x),
    "matmul": lambda x: x @ x.transpose(1, 2),
    "matmul_fixed": lambda x: x.transpose(1, 2) @ torch.arange(8.0).view(4, 2).to(x),
    "bmm": lambda x: torch.bmm(x, x.transpose(1, 2)),
    "baddbmm": lambda x: torch.baddbmm(x.mean(2, keepdim=True), x, x.transpose(1, 2), beta=0.5, alpha=2),
    "attention": lambda x: _attention(x),
    "attention_causal": lambda x: _attention(x, is_causal=True),
    "attention_scaled": lambda x: _attention(x, scale=0.3),
    "attention_mask": lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=torch.tril(torch.ones(4, 4)).bool()),
    "attention_bias": lambda x: F.scaled_dot_product_attention(
        x, x, x, attn_mask=x.new_zeros(4, 4).masked_fill(torch.tril(torch.ones(4, 4)) == 0, -math.inf)
    ),
    "distances": lambda x: torch.cdist(x, x * 2),
    "positions": lambda x: F.linear(x.transpose(1, 2), torch.arange(12.0).view(3, 4).to(x), torch.ones(3).to(x)),
    "conv": nn.Conv1d(4, 6, 3, padding="same"),
    "conv_reflect": nn.Conv1d(4, 3, 4, padding="same", padding_mode="reflect"),
    "pools": lambda x: F.max_pool1d(x, 2) + F.avg_pool1d(x, 2),
    "pool_ceil": nn.AvgPool1d(4, 3, 1, ceil_mode=True),
    "adaptive": lambda x: F.adaptive_avg_pool1d(x, 3) + F.adaptive_max_pool1d(x, 3),
    "upsample": lambda x: F.interpolate(x, scale_factor=3, mode="linear") + F.interpolate(x, scale_factor=3),
    "upsample_size": lambda x: F.interpolate(x, size=x.shape[-1] * 2 - 3, mode="linear", align_corners=True),
    "pads": lambda x: F.pad(x, (3, 1), mode="reflect") + F.pad(x, (2, 2), mode="replicate") + F.pad(x, (4, 0)),
    "norms": lambda x: F.instance_norm(x) + F.group_norm(x, 2),
    "batch_norm": nn.BatchNorm1d(4),
}


def _attention(x: Tensor, **options) -> Tensor:
    heads = x.unflatten(1, (2, 2)).transpose(2, 3)
    return F.scaled_dot_product_attention(heads, heads.sin(), heads.cos(), **options).transpose(2, 3).flatten(1, 2)


GROUPS = {
    "activations": (ACTIVATIONS, IMAGE, OTHER_IMAGE),
    "arithmetic": (ARITHMETIC, IMAGE, OTHER_IMAGE),
    "padding": (PADDING, IMAGE, OTHER_IMAGE),
    "norms": (NORMS, IMAGE, OTHER_IMAGE),
    "pooling": (POOLING, IMAGE, OTHER_IMAGE),
    "places": (PLACES, IMAGE, OTHER_IMAGE),
    "resampling": (RESAMPLING, IMAGE, OTHER_IMAGE),
    "views": (VIEWS, IMAGE, OTHER_IMAGE),
    "reductions": (REDUCTIONS, IMAGE, OTHER_IMAGE),
    "ranks": (RANKS, IMAGE, OTHER_IMAGE),
    "indexing": (INDEXING, IMAGE, OTHER_IMAGE),
    "writing": (WRITING, IMAGE, OTHER_IMAGE),
    "matrices": (MATRICES, IMAGE, OTHER_IMAGE),
    "products": (PRODUCTS, SOUND, OTHER_SOUND),
}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_operators(compare, group) -> None:
    entries, shape, other = GROUPS[group]
    packed = compare(Several(entries), shape, (1, 2), [other])
    assert packed.free == ["h", "w"] if len(shape) == 3 else ["length"]
    assert [name for name, _ in packed.graph.outputs] == sorted(
        entries, key=lambda n: isinstance(entries[n], nn.Module)
    )


TRANSPOSED = [
    # channels in, out, size, and torch's options
    (6, 4, (5, 7), {"kernel_size": 4, "stride": 2, "padding": 1}),
    (6, 4, (5, 7), {"kernel_size": 5, "stride": 2, "padding": 2, "output_padding": 1}),
    (
        4,
        6,
        (3, 5),
        {"kernel_size": (3, 2), "stride": (1, 3), "padding": (2, 0), "output_padding": (0, 2), "bias": False},
    ),
    (4, 6, (4, 3), {"kernel_size": 3, "stride": 2, "dilation": 2, "padding": 1, "output_padding": 1, "groups": 2}),
    (6, 6, (4, 3), {"kernel_size": 3, "stride": 4, "output_padding": 3, "groups": 6}),
    (6, 9, (1, 1), {"kernel_size": 4, "groups": 3}),
    (3, 5, (6, 2), {"kernel_size": 1, "stride": 2}),
    (3, 5, (2, 3), {"kernel_size": 2, "dilation": 3, "output_padding": 2, "padding": 3}),
    (4, 6, (7,), {"kernel_size": 5, "stride": 3, "padding": 1, "output_padding": 2, "groups": 2}),
    (3, 8, (1,), {"kernel_size": 4, "bias": False}),
]

ORDINARY = [
    (6, 4, (5, 7), {"kernel_size": 3, "padding": 1}),
    (6, 4, (9, 8), {"kernel_size": 4, "stride": 2, "padding": 1, "bias": False}),
    (4, 6, (9, 8), {"kernel_size": (3, 2), "stride": (3, 2), "padding": (0, 5)}),
    (4, 6, (9, 11), {"kernel_size": 3, "dilation": (2, 3), "groups": 2}),
    (6, 6, (5, 5), {"kernel_size": 3, "padding": 1, "groups": 6}),
    (3, 5, (5, 6), {"kernel_size": 3, "padding": "same"}),
    (3, 5, (5, 6), {"kernel_size": (4, 2), "padding": "same", "dilation": (1, 3)}),
    (3, 5, (5, 6), {"kernel_size": 2, "padding": "valid"}),
    (3, 5, (2, 2), {"kernel_size": 1, "stride": 4, "padding": 3}),
    (4, 6, (11,), {"kernel_size": 5, "stride": 3, "padding": 4, "groups": 2}),
    (4, 6, (9,), {"kernel_size": 4, "padding": "same", "bias": False}),
]


def _larger(channels: int, size: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Another size, where torch leaves sizes free: those of 1 it does not."""
    return [(channels, *(pixels + 3 + 2 * axis for axis, pixels in enumerate(size)))] if min(size) > 1 else []


@pytest.mark.parametrize(("channels", "out", "size", "options"), TRANSPOSED)
def test_transposed_convolution(compare, channels, out, size, options) -> None:
    kind = nn.ConvTranspose1d if len(size) == 1 else nn.ConvTranspose2d
    packed = compare(kind(channels, out, **options), (channels, *size), (1, 5), _larger(channels, size))
    assert packed.ops == ["conv_transpose"]


@pytest.mark.parametrize(("channels", "out", "size", "options"), ORDINARY)
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_convolution(compare, channels, out, size, options) -> None:
    kind = nn.Conv1d if len(size) == 1 else nn.Conv2d
    packed = compare(kind(channels, out, **options), (channels, *size), (1, 5), _larger(channels, size))
    assert packed.ops == ["conv"]


@pytest.mark.parametrize(("inputs", "outputs", "bias"), [(1, 1, True), (7, 13, False), (33, 65, True)])
def test_linear(compare, inputs, outputs, bias) -> None:
    assert compare(nn.Linear(inputs, outputs, bias), (inputs,), (1, 33)).ops == ["linear"]


def test_linear_of_positions(compare) -> None:
    assert compare(nn.Linear(6, 3), (5, 6), others=[(9, 6)]).ops == ["linear"]


def test_linear_of_a_flattened_image_fixes_the_image(compare) -> None:
    packed = compare(nn.Sequential(nn.Conv2d(2, 3, 1), nn.Flatten(), nn.Linear(3 * 4 * 5, 2)), (2, 4, 5))
    assert packed.ops == ["conv", "reshape", "linear"]


TWO_VALUES = {
    "gate": (lambda x, y: x * y.sigmoid(), (4, 6, 5), (4, 1, 1)),
    "noise_a_pixel": (lambda x, y: x - 0.3 * y, (4, 6, 5), (1, 6, 5)),
    "quotient": (lambda x, y: x / (y.abs() + 1), (4, 6), (1, 6)),
    "joined": (lambda x, y: torch.cat([x, y], 1), (4, 6, 5), (2, 6, 5)),
    "condition": (lambda x, y: torch.cat([x, y[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1), (4, 6, 5), (3,)),
    "one_twice_the_other": (lambda x, y: torch.cat([F.interpolate(x, scale_factor=2.0), y], 1), (4, 6), (2, 12)),
    "modulated": (lambda x, y: _modulated(x, y), (4, 6, 5), (4,)),
    "modulated_transposed": (lambda x, y: _modulated(x, y, transposed=True), (4, 6, 5), (4,)),
    "computed_linear": (lambda x, y: F.linear(x, y[0].view(3, 4)) if len(x) == 1 else _each(x, y), (6, 4), (12,)),
}


def _modulated(x: Tensor, style: Tensor, transposed: bool = False) -> Tensor:
    """A convolution whose weight an image makes, the batch folded into groups."""
    batch, channels = x.shape[:2]
    weight = torch.linspace(-1, 1, 3 * 4 * 9).to(x).view(1, 3, 4, 3, 3) * style.view(batch, 1, channels, 1, 1)
    weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
    x = x.reshape(1, batch * channels, *x.shape[2:])
    if transposed:
        weight = weight.transpose(1, 2).reshape(batch * channels, 3, 3, 3)
        made = F.conv_transpose2d(x, weight, stride=2, groups=batch)
    else:
        made = F.conv2d(x, weight.reshape(batch * 3, channels, 3, 3), padding=1, groups=batch)
    return made.view(batch, 3, *made.shape[2:])


def _each(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack([F.linear(image, weight.view(3, 4)) for image, weight in zip(x, y, strict=True)])


@pytest.mark.parametrize("name", TWO_VALUES)
def test_two_inputs(compare, name) -> None:
    function, first, second = TWO_VALUES[name]
    compare(Function(function), [first, second], (1, 3))


@pytest.mark.parametrize(
    "activation",
    [nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(0.2), nn.Tanh(), nn.Sigmoid(), nn.PReLU(), Function(torch.relu_)],
)
def test_the_commonest_activations_are_one_instruction(compare, activation) -> None:
    packed = compare(nn.Sequential(nn.Conv2d(3, 4, 1), activation), (3, 2, 5))
    ((instruction, *_),) = packed.graph.nodes[0].attributes["program"]
    assert packed.ops == ["conv"]
    assert instruction in ("relu", "leaky", "tanh", "sigmoid")


def test_dropout_and_copies_do_nothing(compare) -> None:
    module = nn.Sequential(
        nn.Linear(6, 12),
        nn.Dropout(),
        nn.Identity(),
        nn.Unflatten(1, (3, 4)),
        nn.Flatten(2),
        nn.Dropout1d(),
        nn.Unflatten(2, (2, 2)),
        nn.Dropout2d(),
        nn.AlphaDropout(),
        nn.Upsample(scale_factor=1),
        nn.PixelShuffle(1),
        Function(lambda x: x.contiguous().clone().detach().to(x.dtype) * 1 + 0),
    )
    packed = compare(module, (6,))
    assert packed.ops == ["linear", "reshape"]
    assert packed.graph.nodes[-1].shape == (1, 3, 2, 2)


def test_input_written_in_place(compare) -> None:
    assert compare(Function(torch.tanh_), (4, 3)).programs == ["map tanh"]
