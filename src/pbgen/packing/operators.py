"""The aten operators that can be packed, each with the small function that makes its step."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pbgen.packing.call import Call
from pbgen.packing.export import Constant
from pbgen.packing.step import Epilogue, Numbers, Step, plain

SUPPORTED = (
    "transposed and ordinary convolution (1-D, 2-D), linear, batch norm, ReLU, leaky ReLU, tanh, sigmoid, reshape, "
    "add, concatenate, nearest and bilinear upsampling, pixel shuffle, and arithmetic with one number a channel"
)


def conv(call: Call) -> Step:
    weight = call.constant("weight")
    dims = weight.tensor.dim() - 2
    dilation = _each(call["dilation"], dims)
    padding = call["padding"]
    if padding == "same":  # where it cannot be even, the odd pixel stands at the high edge
        padding = [d * (k - 1) // 2 for d, k in zip(dilation, weight.tensor.shape[2:], strict=True)]
    return _convolution(call, "conv", _each(0 if padding == "valid" else padding, dims))


def conv_transpose(call: Call) -> Step:
    dims = call.constant("weight").tensor.dim() - 2
    return _convolution(call, "conv_transpose", _each(call["padding"], dims))


def _convolution(call: Call, op: str, padding: list[int]) -> Step:
    kernel = list(call.constant("weight").tensor.shape[2:])
    if len(call.value().shape) != 1 + len(kernel):
        raise call.refuse(
            f"its input has shape {list(call.value().shape)} for one image; it needs a batch of [C, size...]"
        )
    geometry = {
        "kernel": kernel,
        "stride": _each(call["stride"], len(kernel)),
        "padding": padding,
        "dilation": _each(call["dilation"], len(kernel)),
        "groups": call["groups"],
    }
    return _layer(call, op, geometry)


def linear(call: Call) -> Step:
    shape = call.value().shape
    if len(shape) != 1:
        raise call.refuse(f"its input has shape {list(shape)} for one image; only [C] can be packed: flatten it before")
    return _layer(call, "linear", {})


def _layer(call: Call, op: str, attributes: dict[str, Any]) -> Step:
    weight, scale = call.weights.get(call.constant("weight"), op, call["groups"] if attributes else 1)
    shift = np.zeros(len(scale)) if call["bias"] is None else _numbers(call.constant("bias"))
    return call.step(op, [call.value()], attributes, weight, Epilogue(scale, shift))


def batch_norm(call: Call) -> Step:
    mean, variance = _numbers(call.constant("running_mean")), _numbers(call.constant("running_var"))
    weight = 1.0 if call["weight"] is None else _numbers(call.constant("weight"))
    bias = 0.0 if call["bias"] is None else _numbers(call.constant("bias"))
    scale = weight / np.sqrt(variance + call["eps"])
    return call.step("affine", [call.value()], epilogue=Epilogue(scale, bias - mean * scale))


def batch_norm_of_the_batch(call: Call) -> Step:
    raise call.refuse(
        "it normalizes by the batch at hand, so an image would depend on the others; "
        "train with running statistics (track_running_stats=True)"
    )


def activation(call: Call, name: str) -> Step:
    x = call.value()
    slope = float(call["negative_slope"]) if name == "leaky_relu" else None
    return call.step("affine", [x], epilogue=plain(x.shape[0], name, slope))


def add(call: Call, sign: float = 1.0) -> Step:
    left, right, factor = call["self"], call["other"], sign * call["alpha"]
    if not isinstance(left, Step):
        return _affine(call, right, scale=factor, shift=_per_channel(call, left, right))
    if not isinstance(right, Step):
        return _affine(call, left, shift=factor * _per_channel(call, right, left))
    if left.shape != right.shape or factor != 1:
        raise call.refuse(
            f"{list(left.shape)} and {factor:g} times {list(right.shape)}; only plain sums of one shape can be packed"
        )
    return call.step("add", [left, right])


def multiply(call: Call) -> Step:
    left, right = call["self"], call["other"]
    if not isinstance(left, Step):
        left, right = right, left
    return _affine(call, left, scale=_per_channel(call, right, left))


def divide(call: Call) -> Step:
    left = call.value("self")
    return _affine(call, left, scale=1 / _per_channel(call, call["other"], left))


def reshape(call: Call) -> Step:
    return call.step("reshape", [call.value()])


def same(call: Call) -> Step:
    """Copies, other layouts in memory, and dropout, which is a copy in evaluation."""
    return call.value()


def concatenate(call: Call) -> Step:
    values = [call.as_value(value) for value in call["tensors"]]
    if len(values) == 1:
        return values[0]
    return call.step("concat", values, {"axis": call["dim"] % (1 + len(call.shape)) - 1})


def upsample(call: Call, mode: str) -> Step:
    x = call.value()
    factors = call["scale_factors"] or [None] * (len(x.shape) - 1)
    corners = call.arguments.get("align_corners", False)
    sizes = zip(x.shape[1:], call.shape[1:], factors, strict=True)
    attributes: dict[str, Any] = {"mode": mode, "step": [_pixel_step(*size, corners) for size in sizes]}
    if mode == "bilinear":
        attributes["align_corners"] = corners
    return call.step("upsample", [x], attributes)


def _pixel_step(size: int, output: int, factor: float | None, corners: bool) -> float:
    """Distance of neighbouring output pixels in input pixels, a float32 as in torch."""
    if corners:
        return float(np.float32(size - 1) / np.float32(output - 1)) if output > 1 else 0.0
    return float(np.float32(1 / factor) if factor else np.float32(size) / np.float32(output))


def pixel_shuffle(call: Call) -> Step:
    return call.step("pixel_shuffle", [call.value()], {"factor": call["upscale_factor"]})


def _affine(call: Call, x: Step, scale: Numbers | float = 1.0, shift: Numbers | float = 0.0) -> Step:
    if call.shape != x.shape:
        raise call.refuse(
            f"makes {list(call.shape)} of {list(x.shape)}; only numbers that keep the shape can be packed"
        )
    channels = np.ones(x.shape[0])
    return call.step("affine", [x], epilogue=Epilogue(scale * channels, shift * channels))


def _per_channel(call: Call, value: Any, x: Step) -> Numbers | float:
    """A number, or a tensor that holds one for each channel of `x`."""
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, Step):
        raise call.refuse("of two values; only sums of values can be packed")
    tensor = value.tensor
    along = [1] * (1 + len(x.shape) - tensor.dim()) + list(tensor.shape)
    if len(along) != 1 + len(x.shape) or along[:1] + along[2:] != [1] * len(x.shape):
        call.as_value(value)
    return _numbers(value).reshape(-1)


def _numbers(constant: Constant) -> Numbers:
    return constant.tensor.detach().cpu().double().numpy()


def _each(value: Any, dims: int) -> list[int]:
    """One integer a dimension; torch also accepts one for all of them."""
    values = [value] if isinstance(value, int) else list(value)
    return values * dims if len(values) == 1 else values


Operator = Callable[[Call], Step]

OPERATORS: dict[str, Operator] = {
    "aten.conv1d.default": conv,
    "aten.conv2d.default": conv,
    "aten.conv1d.padding": conv,
    "aten.conv2d.padding": conv,
    "aten.conv_transpose1d.default": conv_transpose,
    "aten.conv_transpose2d.input": conv_transpose,
    "aten.linear.default": linear,
    "aten._native_batch_norm_legit_no_training.default": batch_norm,
    "aten._native_batch_norm_legit.no_stats": batch_norm_of_the_batch,
    "aten._native_batch_norm_legit_functional.default": batch_norm_of_the_batch,
    "aten.relu.default": partial(activation, name="relu"),
    "aten.leaky_relu.default": partial(activation, name="leaky_relu"),
    "aten.tanh.default": partial(activation, name="tanh"),
    "aten.sigmoid.default": partial(activation, name="sigmoid"),
    "aten.add.Tensor": add,
    "aten.sub.Tensor": partial(add, sign=-1.0),
    "aten.mul.Tensor": multiply,
    "aten.div.Tensor": divide,
    "aten.view.default": reshape,
    "aten._unsafe_view.default": reshape,
    "aten.unsqueeze.default": reshape,
    "aten.squeeze.default": reshape,
    "aten.squeeze.dim": reshape,
    "aten.squeeze.dims": reshape,
    "aten.clone.default": same,
    "aten.detach.default": same,
    "aten._to_copy.default": same,
    "aten.cat.default": concatenate,
    "aten.upsample_nearest1d.vec": partial(upsample, mode="nearest"),
    "aten.upsample_nearest2d.vec": partial(upsample, mode="nearest"),
    "aten.upsample_bilinear2d.vec": partial(upsample, mode="bilinear"),
    "aten.pixel_shuffle.default": pixel_shuffle,
}
