"""Pooling and resampling."""

from collections.abc import Callable
from functools import partial
from typing import Any

from pbgen.packing import sizes
from pbgen.packing.call import Call
from pbgen.packing.operators.layers import _each
from pbgen.packing.operators.views import padded
from pbgen.packing.step import Step

_MEAN_DIMS = {"avg_pool1d": 1, "avg_pool2d": 2, "avg_pool3d": 3}


def max_pool(call: Call, dims: int) -> Any:
    kernel, stride, padding = _window(call, dims)
    dilation = _each(call["dilation"], dims)
    attributes = {"kind": "max", "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    result = call.step("pool", call.shape, [call.value()], **attributes)
    return [result, None] if call.results else result


def mean_pool(call: Call) -> Step:
    x, dims = call.value(), _MEAN_DIMS[call.operator]
    kernel, stride, padding = _window(call, dims)
    attributes: dict[str, Any] = {"kind": "mean", "kernel": kernel, "stride": stride, "dilation": [1] * dims}
    divisor = call.get("divisor_override")
    if divisor is None:
        return call.step("pool", call.shape, [x], **attributes, padding=padding, padded=call["count_include_pad"])
    # Every window whole, the sum being the mean times its size.
    edges: list[Any] = []
    for size, made, k, s, p in zip(x.shape[-dims:], call.shape[-dims:], kernel, stride, padding, strict=True):
        high = sizes.count((made - 1) * s + k - size - p)
        edges = [p, sizes.larger(high, 0), *edges]
    x = padded(call, x, edges)
    mean = call.step("pool", call.shape, [x], **attributes, padding=[0] * dims, padded=False)
    count = 1
    for size in kernel:
        count *= size
    return call.map(lambda m: m * (count / divisor), mean)


def _window(call: Call, dims: int) -> tuple[list[int], list[int], list[int]]:
    kernel = _each(call["kernel_size"], dims)
    stride = _each(call["stride"], dims) if call["stride"] not in (None, [], ()) else kernel
    if not all(isinstance(size, int) for size in (*kernel, *stride)):
        if kernel == list(call.value().shape[-dims:]):
            raise call.refuse("its window is of free size; use adaptive pooling to one pixel, or a mean over the axes")
        raise call.refuse("its window is of free size")
    return kernel, stride, _each(call["padding"], dims)


def adaptive_pool(call: Call, kind: str, dims: int) -> Any:
    x = call.value()
    axes = list(range(len(x.shape) - dims, len(x.shape)))
    if all(size == 1 for size in call.shape[-dims:]):
        result = call.reduce(kind, axes, x)
    else:
        result = call.step("adaptive_pool", call.shape, [x], kind=kind, axes=axes)
    return [result, None] if call.results else result


def resample(call: Call, mode: str, dims: int) -> Step:
    x = call.value()
    axes = list(range(len(x.shape) - dims, len(x.shape)))
    corners = bool(call.get("align_corners", False))
    steps = [None if corners or not factor else 1 / float(factor) for factor in _factors(call, dims)]
    attributes: dict[str, Any] = {"mode": mode, "axes": axes, "step": steps}
    if mode in ("linear", "cubic"):
        attributes["align_corners"] = corners
    return call.step("resample", call.shape, [x], **attributes)


def _factors(call: Call, dims: int) -> list[Any]:
    factors = call.get("scale_factors")
    if factors is None:
        names = ["scales"] if dims == 1 and "scales" in call.arguments else ["scales_d", "scales_h", "scales_w"][-dims:]
        factors = [call.get(name) for name in names]
    return list(factors)


OPERATORS: dict[str, Callable[[Call], Any]] = {
    **{f"max_pool{n}d": partial(max_pool, dims=n) for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": partial(max_pool, dims=n) for n in (2, 3)},
    **dict.fromkeys(_MEAN_DIMS, mean_pool),
    **{f"adaptive_avg_pool{n}d": partial(adaptive_pool, kind="mean", dims=n) for n in (1, 2, 3)},
    **{f"_adaptive_avg_pool{n}d": partial(adaptive_pool, kind="mean", dims=n) for n in (2, 3)},
    **{f"adaptive_max_pool{n}d": partial(adaptive_pool, kind="max", dims=n) for n in (1, 2, 3)},
    **{f"upsample_nearest{n}d": partial(resample, mode="nearest", dims=n) for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": partial(resample, mode="nearest-exact", dims=n) for n in (1, 2, 3)},
    "upsample_linear1d": partial(resample, mode="linear", dims=1),
    "upsample_bilinear2d": partial(resample, mode="linear", dims=2),
    "upsample_trilinear3d": partial(resample, mode="linear", dims=3),
    "upsample_bicubic2d": partial(resample, mode="cubic", dims=2),
}
