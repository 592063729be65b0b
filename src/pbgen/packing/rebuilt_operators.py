"""The operators without weights of docs/format.md: by torch's own where these say just that, else by plain arithmetic.

Each takes the values that its node reads, the shape that it shall have and its node's attributes, in which sizes are
numbers. Sizes may be torch's symbols, while another engine takes the module up.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pbgen.packing.graph import Node

Shape = Sequence[int]
Attributes = dict[str, Any]
Operator = Callable[[list[Tensor], Shape, Attributes], Tensor]


def traced() -> bool:
    """Whether another engine takes the module up: values and sizes are none then, and nothing can be checked."""
    compiled = torch.compiler.is_compiling() or torch.compiler.is_exporting()
    return compiled or torch._C._get_tracing_state() is not None


def prepared(node: Node) -> Node:
    """The node with its numbers as float32 has them: done once, since torch's compiler follows no NumPy."""
    attributes = dict(node.attributes)
    if "numbers" in attributes:
        attributes["numbers"] = [n if isinstance(n, str) else float(np.float32(n)) for n in attributes["numbers"]]
    if node.op == "resample":
        attributes["step"] = [None if step is None else _ratio(step) for step in attributes["step"]]
    return replace(node, attributes=attributes)


def _ratio(step: float) -> float:
    """The quotient of whole numbers, one of them 1, that the step is in float32, if it is one."""
    if step < 2.0**-28:
        return step
    quotient = max(1, round(step)) / max(1, round(1 / step))
    return quotient if np.float32(quotient) == np.float32(step) else step


# Element by element


def _run_program(program: list[Any], inputs: list[Tensor], numbers: list[Any]) -> Tensor:
    """The value of the last instruction."""
    operands: list[Any] = [*inputs, *numbers]
    for name, *indices in program:
        operands.append(_result(name, [operands[index] for index in indices]))
    made: Tensor = operands[-1]
    return made


def _result(name: str, operands: list[Any]) -> Tensor:
    if not any(isinstance(operand, Tensor) for operand in operands):
        operands = [torch.full((), operand, dtype=torch.float32) for operand in operands]
    return _INSTRUCTIONS[name](*operands)


def _extreme(operator: Callable[[Tensor, Tensor], Tensor], bound: str) -> Callable[[Any, Any], Tensor]:
    def larger_or_smaller(a: Any, b: Any) -> Tensor:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return operator(a, b)
        value, number = (a, b) if isinstance(a, Tensor) else (b, a)
        return torch.clamp(value, **{bound: number})

    return larger_or_smaller


def _leaky(a: Any, b: Any) -> Tensor:
    if isinstance(a, Tensor) and isinstance(b, float):
        return F.leaky_relu(a, b)
    return torch.where(torch.as_tensor(a) >= 0, a, a * b)


def _where(condition: Any, yes: Any, no: Any) -> Tensor:
    if not isinstance(condition, Tensor):
        condition = torch.full((), condition, dtype=torch.float32)
    return torch.where(condition != 0, yes, no)


_INSTRUCTIONS: dict[str, Callable[..., Tensor]] = {
    "neg": torch.neg,
    "abs": torch.abs,
    "sign": torch.sign,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "erf": torch.erf,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "relu": F.relu,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "max": _extreme(torch.maximum, "min"),
    "min": _extreme(torch.minimum, "max"),
    "mod": lambda a, b: a - torch.floor(a / b) * b,
    "leaky": _leaky,
    "lt": lambda a, b: (a < b).float(),
    "le": lambda a, b: (a <= b).float(),
    "gt": lambda a, b: (a > b).float(),
    "ge": lambda a, b: (a >= b).float(),
    "eq": lambda a, b: (a == b).float(),
    "ne": lambda a, b: (a != b).float(),
    "where": _where,
}


def run_map(inputs: list[Tensor], shape: Shape, attributes: Attributes) -> Tensor:
    """What a program makes of inputs that broadcast to the shape."""
    made = _run_program(attributes["program"], inputs, attributes.get("numbers", []))
    return made if made.shape == tuple(shape) else made.expand(*shape)


def _reduce(inputs: list[Tensor], shape: Shape, attributes: Attributes) -> Tensor:
    value = inputs[0]
    if "program" in attributes:
        value = _run_program(attributes["program"], inputs, attributes.get("numbers", []))
        whole = torch.broadcast_shapes(*(x.shape for x in inputs))
        value = value if value.shape == whole else value.expand(whole)
    return _REDUCTIONS[attributes["kind"]](value, dim=attributes["axes"], keepdim=True)


_REDUCTIONS: dict[str, Callable[..., Tensor]] = {
    "sum": torch.sum,
    "mean": torch.mean,
    "max": torch.amax,
    "min": torch.amin,
}


# Where numbers stand


def _range(inputs: list[Tensor], shape: Shape, attributes: Attributes) -> Tensor:
    numbers: Tensor = torch.arange(shape[0], dtype=torch.float32) * attributes["step"] + attributes["start"]
    return numbers


def _slice(inputs: list[Tensor], shape: Shape, attributes: Attributes) -> Tensor:
    (x,), axis, start, step = inputs, attributes["axis"], attributes["start"], attributes["step"]
    last = start + (shape[axis] - 1) * step
    low, high = (start, last) if step > 0 else (last, start)
    if not traced() and not 0 <= low <= high < x.shape[axis]:
        raise ValueError(f"reads {low} .. {high} of {x.shape[axis]} numbers")
    if step < 0:
        x, low, high = x.narrow(axis, low, high - low + 1).flip(axis), 0, high - low
    return x[(slice(None),) * axis + (slice(low, high + 1, abs(step)),)]


def _pad(inputs: list[Tensor], shape: Shape, attributes: Attributes) -> Tensor:
    (x,), mode = inputs, attributes["mode"]
    edges = [(low, n - low - size) for low, n, size in zip(attributes["before"], shape, x.shape, strict=True)]
    if not traced():
        _check_edges(x, edges, mode)
    if mode == "constant":
        return F.pad(x, _from_the_last(edges), value=attributes["value"])
    if 3 <= x.dim() <= 5 and edges[0] == edges[1] == (0, 0):  # what torch can ask for
        return F.pad(x, _from_the_last(edges[2:]), mode=mode)
    for axis, (low, high) in enumerate(edges):
        if (low, high) != (0, 0):
            x = x.index_select(axis, _padded_index(mode, x.shape[axis], low, shape[axis], x.device))
    return x


def _check_edges(x: Tensor, edges: list[tuple[int, int]], mode: str) -> None:
    for size, edge in zip(x.shape, edges, strict=True):
        most = {"reflect": size - 1, "circular": size}.get(mode, 2**53)
        if not 0 <= min(edge) <= max(edge) <= most:
            raise ValueError(f"pads {size} numbers by {edge[0]} and {edge[1]}")


def _from_the_last(edges: list[tuple[int, int]]) -> list[int]:
    """Before and after the last dimension, then the one before it ...: as torch has them."""
    return [edge for pair in reversed(edges) for edge in pair]


def _padded_index(mode: str, size: int, low: int, n: int, device: torch.device) -> Tensor:
    index = torch.arange(n, device=device) - low
    match mode:
        case "reflect":
            return (size - 1) - ((size - 1) - index.abs()).abs()
        case "replicate":
            return index.clamp(0, size - 1)
        case _:
            return index.remainder(size)


def _take(inputs: list[Tensor], shape: Shape, attributes: Attributes) -> Tensor:
    (values, indices), axis = inputs, attributes["axis"]
    index = indices.to(torch.int64)
    if not traced() and not indices.is_meta:
        right = (index == indices) & (index >= 0) & (index < values.shape[axis])
        if not bool(right.all()):
            raise ValueError(f"an index of {float(indices[~right][0])}, none of 0 .. {values.shape[axis] - 1}")
    taken = values.index_select(axis, index.reshape(-1))
    return taken.reshape(*values.shape[:axis], *index.shape, *values.shape[axis + 1 :])


# Windows and neighbours


def _pool(inputs: list[Tensor], shape: Shape, attributes: Attributes) -> Tensor:
    (x,), mean = inputs, attributes["kind"] == "mean"
    windows = list(zip(*(attributes[name] for name in ("kernel", "stride", "padding", "dilation")), strict=True))
    dims = len(windows)
    sizes = list(zip(x.shape[-dims:], shape[-dims:], windows, strict=True))
    kernel, stride, padding, dilation = ([window[i] for window in windows] for i in range(4))
    torch_has_it = dims <= 3 and all(2 * p <= k and (d == 1 or not mean) for k, _, p, d in windows)
    for ceil_mode in (False, True) if torch_has_it else ():
        if all(n == _pooled(size, window, ceil_mode) for size, n, window in sizes):
            leading, x = x.shape[:-dims], x.reshape(1, -1, *x.shape[-dims:])
            if mean:
                made: Tensor = _AVG_POOL[dims](x, kernel, stride, padding, ceil_mode, attributes["padded"])
            else:
                made = _MAX_POOL[dims](x, kernel, stride, padding, dilation, ceil_mode)
            return made.reshape(*leading, *shape[-dims:])
    for axis, (_, n, window) in enumerate(sizes, start=x.dim() - dims):
        x = _pooled_along(x, axis, n, window, mean, attributes.get("padded", False))
    return x


_MAX_POOL: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVG_POOL: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def _pooled(size: int, window: tuple[int, int, int, int], ceil_mode: bool) -> int:
    """As torch counts windows: with `ceil_mode` one more, but none that begins in the padding at the high edge."""
    kernel, stride, padding, dilation = window
    rest = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return rest // stride + 1
    n = -(-rest // stride) + 1
    return n - 1 if (n - 1) * stride >= size + padding else n


def _pooled_along(x: Tensor, axis: int, n: int, window: tuple[int, int, int, int], mean: bool, padded: bool) -> Tensor:
    """One axis: extremes and, with divisors that hang on the place along each axis alone, means are separable."""
    kernel, stride, padding, dilation = window
    pixels = torch.arange(n, device=x.device)[:, None] * stride - padding
    taps = pixels + torch.arange(kernel, device=x.device) * dilation  # [n, kernel]
    inside = (taps >= 0) & (taps < x.shape[axis])
    fill = 0.0 if mean else -torch.inf
    along = (-1, kernel) + (1,) * (x.dim() - axis - 1)
    read = x.index_select(axis, taps.clamp(0, x.shape[axis] - 1).reshape(-1))
    read = read.reshape(*x.shape[:axis], n, kernel, *x.shape[axis + 1 :])
    read = torch.where(inside.reshape(along), read, fill)
    if not mean:
        return read.amax(axis + 1)
    counted = (taps < x.shape[axis] + padding) if padded else inside
    return read.sum(axis + 1) / counted.sum(1).reshape(-1, *along[2:])


def _adaptive_pool(inputs: list[Tensor], shape: Shape, attributes: Attributes) -> Tensor:
    (x,), axes, mean = inputs, attributes["axes"], attributes["kind"] == "mean"
    n = [shape[axis] for axis in axes]
    if len(axes) <= 3 and list(axes) == list(range(2, x.dim())):
        return _adaptive(x, n, mean)
    for axis in axes:  # rectangles: an extreme of extremes, a mean of means
        last = x.movedim(axis, -1)
        made = _adaptive(last.reshape(1, -1, last.shape[-1]), [shape[axis]], mean)
        x = made.reshape(*last.shape[:-1], shape[axis]).movedim(-1, axis)
    return x


def _adaptive(x: Tensor, n: list[int], mean: bool) -> Tensor:
    means: dict[int, Any] = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}
    extremes: dict[int, Any] = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}
    made: Tensor = (means if mean else extremes)[len(n)](x, n)
    return made


def _resample(inputs: list[Tensor], shape: Shape, attributes: Attributes) -> Tensor:
    (x,), mode, axes, steps = inputs, attributes["mode"], attributes["axes"], attributes["step"]
    corners = attributes.get("align_corners")
    dims = x.dim() - 2
    name = _TORCH_MODES.get((mode, dims))
    known = all(
        step is None or (not corners and _is_ratio(step, x.shape[axis], shape[axis]))
        for axis, step in zip(axes, steps, strict=True)
    )
    if name and known and list(axes) == list(range(2, x.dim())):
        return F.interpolate(x, [shape[axis] for axis in axes], mode=name, align_corners=corners)
    for axis, step in zip(axes, steps, strict=True):
        x = _resampled(x, axis, step, shape[axis], mode, bool(corners))
    return x


_TORCH_MODES = {
    ("nearest", 1): "nearest",
    ("nearest", 2): "nearest",
    ("nearest", 3): "nearest",
    ("nearest-exact", 1): "nearest-exact",
    ("nearest-exact", 2): "nearest-exact",
    ("nearest-exact", 3): "nearest-exact",
    ("linear", 1): "linear",
    ("linear", 2): "bilinear",
    ("linear", 3): "trilinear",
    ("cubic", 2): "bicubic",
}


def _is_ratio(step: float, size: int, n: int) -> bool:
    """Whether the step is that of the sizes, input / output: asked so that symbols can answer."""
    if step < 2.0**-28:
        return False
    up, down = max(1, round(1 / step)), max(1, round(step))
    return bool(step == down / up and n * down == size * up)


def _resampled(x: Tensor, axis: int, step: float | None, n: int, mode: str, corners: bool) -> Tensor:
    size = x.shape[axis]
    if step is None:
        step = (size / n) if not corners else (size - 1) / (n - 1) if n > 1 else 0.0
    pixels = torch.arange(n, dtype=torch.float32, device=x.device)
    if mode.startswith("nearest"):
        at = pixels * step if mode == "nearest" else (pixels + 0.5) * step
        return x.index_select(axis, at.floor().clamp(max=size - 1).to(torch.int64))
    at = pixels * step if corners else (pixels + 0.5) * step - 0.5
    at = at if mode == "cubic" else at.clamp(0, size - 1)
    low = at.floor()
    fraction = (at - low).reshape(-1, *[1] * (x.dim() - axis - 1))
    made = torch.zeros(())
    for tap, weight in _LINEAR if mode == "linear" else _CUBIC:
        index = (low + tap).clamp(0, size - 1).to(torch.int64)
        made = made + weight((fraction - tap).abs()) * x.index_select(axis, index)
    return made


_A = -0.75  # of Keys, "Cubic convolution interpolation for digital image processing", 1981, as torch has it


def _near(d: Tensor) -> Tensor:
    return ((_A + 2) * d - (_A + 3)) * d * d + 1


def _far(d: Tensor) -> Tensor:
    return ((_A * d - 5 * _A) * d + 8 * _A) * d - 4 * _A


_LINEAR = [(tap, lambda d: 1 - d) for tap in (0, 1)]
_CUBIC = [(-1, _far), (0, _near), (1, _near), (2, _far)]


OPERATORS: dict[str, Operator] = {
    "map": run_map,
    "reduce": _reduce,
    "range": _range,
    "reshape": lambda inputs, shape, attributes: inputs[0].reshape(*shape),
    "permute": lambda inputs, shape, attributes: inputs[0].permute(*attributes["axes"]),
    "expand": lambda inputs, shape, attributes: inputs[0].expand(*shape),
    "slice": _slice,
    "concat": lambda inputs, shape, attributes: torch.cat(inputs, attributes["axis"]),
    "pad": _pad,
    "take": _take,
    "resample": _resample,
    "pool": _pool,
    "adaptive_pool": _adaptive_pool,
    "matmul": lambda inputs, shape, attributes: torch.matmul(*inputs),
}
