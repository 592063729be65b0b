"""The degree of redundancy and the plan: dimensions in, decision out.

A plan says which layers of a generator may have binary weights. It is made from the layers' dimensions alone, so this
file needs no torch; `pbgen.measure` finds the dimensions of a torch module.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pbgen.errors import PBGenError
from pbgen.files import write_atomically
from pbgen.visible import visible

DEFAULT_THRESHOLD = 1e4
_VERSION = 3
MAX_BITS = 4  # planes of signs that a weight may have
FLOAT_BITS = 32
NOT_PASSED = "not passed by the example"
_ROUNDING = (1.0, 0.572, 0.321, 0.178)
"""Root mean square errors of rounding normal numbers to the best 2, 4, 8 and 16 levels of equal distance, over that of
2: Max, "Quantizing for minimum distortion" (1960), 0.3634, 0.1188, 0.03744 and 0.01154 of the variance."""
_Row = TypeVar("_Row", "LayerPlan", "Unplanned")
_NAMED = 4  # kinds of what is not planned, in the last line of a table


def degree_of_redundancy(fan_in: float, reader_fan_in: float) -> float:
    """How many signed paths one value of a binary layer can be built from: R = F * F', without unit.

    `fan_in` F is the number of terms that make one output value of the layer, borders counted. `reader_fan_in` F' is
    that of the trained layer that reads it: the largest where several do, 1 where none does or where the image reads
    it directly. This metric is ours; docs/theory.md gives its reason and its limits.
    """
    return fan_in * reader_fan_in


def predicted_cost(redundancy: float, bits: int = 1) -> float:
    """How many times the float generator's sliced Wasserstein distance a layer of so many bits a weight, 1 to 4, makes
    it: exp(5.8 e / R^(1/3)), e being the error of rounding to so many bits over that of one bit.

    A law fitted to small networks, the layer alone binary by the method "bwn"; for networks that it was not fitted to
    it is off by a third, either way, and of several bits one network has been measured (docs/results.md). Infinite
    where it is too large for a number.
    """
    exponent = 5.8 * _ROUNDING[bits - 1] / math.cbrt(redundancy) if redundancy else math.inf
    return math.exp(exponent) if exponent < 700 else math.inf


def predicted_costs(plan: "Plan") -> dict[str, float]:
    """What each layer alone is predicted to cost with its bits, by the layers' names: one that stays in float with the
    fewest bits that another has, or one."""
    fewest = min(plan.bits.values(), default=1)
    few = fewest if fewest < FLOAT_BITS else 1
    return {
        layer.name: predicted_cost(layer.degree_of_redundancy, layer.bits if layer.binary else few)
        for layer in plan.layers
    }


def taps_inside(steps: int, size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """The pairs (j, k), j < steps and k < kernel, with 0 <= j * stride - padding + k * dilation < size.

    Along one dimension these are the multiply-adds that count: of a convolution with j the output pixel and `size`
    that of the input, of a transposed convolution with j the input pixel and `size` that of the output.
    """
    total = 0
    for k in range(kernel):
        shift = padding - k * dilation
        first = max(0, -(-shift // stride))
        last = min(steps - 1, (size - 1 + shift) // stride)
        total += max(0, last - first + 1)
    return total


def conv_transpose_multiply_adds(
    input_shape: Sequence[int],
    output_shape: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> int:
    """Multiply-adds of a transposed convolution that land inside its output; shapes are (C, spatial dimensions...)."""
    dimensions = zip(input_shape[1:], output_shape[1:], kernel, stride, padding, dilation, strict=True)
    return input_shape[0] * output_shape[0] // groups * math.prod(taps_inside(*d) for d in dimensions)


def conv_multiply_adds(
    input_shape: Sequence[int],
    output_shape: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    zero_padded: bool = True,
) -> int:
    """Multiply-adds of a convolution with something other than padding zeros; shapes are (C, spatial dimensions...).

    `padding` is that at the low edge. Where it is not `zero_padded` but reflected or the like, every tap counts.
    """
    channels = input_shape[0] * output_shape[0] // groups
    if not zero_padded:
        return channels * math.prod(output_shape[1:]) * math.prod(kernel)
    dimensions = zip(output_shape[1:], input_shape[1:], kernel, stride, padding, dilation, strict=True)
    return channels * math.prod(taps_inside(*d) for d in dimensions)


def linear_multiply_adds(input_shape: Sequence[int], output_shape: Sequence[int]) -> int:
    """Multiply-adds of a linear layer; shapes are (positions..., C)."""
    return math.prod(input_shape) * output_shape[-1]


@dataclass(frozen=True)
class LayerDimensions:
    """What a plan has to know of one layer. Shapes and counts are those of one image, without the batch."""

    name: str
    kind: str  # "ConvTranspose2d", "Linear", ...
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    weights: int
    multiply_adds: int  # those that land inside the output, over all calls of the layer
    outputs: int  # output values, over all calls of the layer
    readers: tuple[str, ...]  # the layers that read its output
    read_by_image: bool  # whether its output reaches the image with no layer between
    averaged: bool = True  # not so where one output value meets many, as a gain does, or goes into a softmax
    depthwise: bool = False  # whether each output channel is made of one input channel
    leading_shape: tuple[int, ...] = ()  # what the weight's first axis is, as (groups, inputs, outputs)

    @property
    def fan_in(self) -> float:
        """F, the mean number of terms in one output value."""
        return self.multiply_adds / self.outputs


@dataclass(frozen=True)
class LayerPlan:
    """One layer's row of a plan. Shapes are without the batch, and those of its first call where there are several.

    averaged: see docs/theory.md, "Who averages". leading_shape: what the first axis of the weight is split into, to see
    it as (groups, inputs, outputs, rest...).
    """

    name: str
    kind: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    weights: int
    multiply_adds: int
    readers: tuple[str, ...]
    read_by_image: bool
    averaged: bool
    leading_shape: tuple[int, ...]
    fan_in: float
    degree_of_redundancy: float
    bits: int  # of a weight: 1 to 4, or 32 where it stays in float

    @property
    def binary(self) -> bool:
        """Whether the weights are signs times a scale, one plane of them or several."""
        return self.bits < FLOAT_BITS


@dataclass(frozen=True)
class Unplanned:
    """Weights that no plan is about, vectors aside: an LSTM's, an embedding's, a layer's that is not passed."""

    name: str
    kind: str  # "LSTM", ...
    weights: int
    reason: str  # or ""

    @property
    def packed(self) -> bool:
        """Whether packing writes them: it leaves out what the example does not pass."""
        return self.reason != NOT_PASSED

    def __str__(self) -> str:
        what = f"{self.kind}, {self.reason}" if self.reason else self.kind
        return f"{self.name} ({what})" if self.name else what


@dataclass(frozen=True)
class Plan:
    """Which layers become binary: those whose degree of redundancy is at least `threshold`. `str` gives a table.

    unplanned: the weights that are no such layer's, the largest first; they stay float.
    """

    layers: tuple[LayerPlan, ...]
    threshold: float
    unplanned: tuple[Unplanned, ...] = ()

    @property
    def binary(self) -> list[str]:
        """The names of the layers that become binary, in the order in which they are first called."""
        return [layer.name for layer in self.layers if layer.binary]

    @property
    def float(self) -> list[str]:
        """The names of the layers that stay in float."""
        return [layer.name for layer in self.layers if not layer.binary]

    @property
    def bits(self) -> dict[str, int]:
        """The bits of a weight by the layers' names."""
        return {layer.name: layer.bits for layer in self.layers}

    def choosing(self, names: Iterable[str] | Mapping[str, int]) -> "Plan":
        """The same layers, of which `names` become binary, whatever their degree of redundancy: with one bit a weight,
        or as many as a mapping of names to bits says, 1 to 4, or 32 for float. All others stay in float.

        Raises PBGenError where there is no such layer, or no such number of bits.
        """
        chosen = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names, 1)
        unknown = chosen.keys() - {layer.name for layer in self.layers}
        if unknown:
            known = ", ".join(layer.name for layer in self.layers)
            raise PBGenError(f"layer '{min(unknown)}': not in the plan; it has {known}")
        for name, bits in chosen.items():
            if not _is_bits(bits):
                raise PBGenError(
                    f"layer '{name}': {bits!r} bits; a weight has 1 to {MAX_BITS}, or {FLOAT_BITS} (float)"
                )
        layers = (replace(layer, bits=chosen.get(layer.name, FLOAT_BITS)) for layer in self.layers)
        return replace(self, layers=tuple(layers))

    def __str__(self) -> str:
        return _table(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan as JSON. Raises PBGenError where `path` cannot be written."""
        text = json.dumps({"pbgen_plan": _VERSION, **asdict(self)}, indent=1) + "\n"

        def write(file: BinaryIO) -> None:
            file.write(text.encode())

        write_atomically(path, write)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "Plan":
        """Read what `save` wrote. Raises PBGenError where the file is missing, of another version or no plan."""
        try:
            content = json.loads(Path(path).read_bytes())
        except OSError as error:
            raise PBGenError(f"{path}: cannot read the plan: {error.strerror}") from None
        except (ValueError, RecursionError):
            raise PBGenError(f"{path}: not a plan: it is no JSON; write one with Plan.save") from None
        try:
            return _plan_from_json(content)
        except ValueError as error:
            raise PBGenError(f"{path}: not a plan: {error}; write one with Plan.save") from None
        except RecursionError:  # of writing a value that is nested deeply into the message
            raise PBGenError(f"{path}: not a plan: a value is nested too deeply; write one with Plan.save") from None


def decide(
    layers: Iterable[LayerDimensions],
    threshold: float = DEFAULT_THRESHOLD,
    unplanned: Iterable[Unplanned] = (),
    bits: int = 1,
) -> Plan:
    """The plan for these layers: from the threshold on they get `bits` bits a weight, the others stay in float.

    Raises PBGenError where `threshold` is not a positive number or `bits` is not 1 to 4.
    """
    if not _is_bits(bits) or bits == FLOAT_BITS:
        raise PBGenError(f"bits {bits!r}: must be 1 to {MAX_BITS}")
    if not 0 < threshold < math.inf:
        raise PBGenError(f"threshold {threshold}: must be a positive number, such as {DEFAULT_THRESHOLD:g}")
    by_name = {layer.name: layer for layer in layers}
    decided = (_decide_layer(layer, by_name, threshold, bits) for layer in by_name.values())
    return Plan(tuple(decided), float(threshold), tuple(unplanned))


def _reader_fan_in(
    layer: LayerDimensions, by_name: Mapping[str, LayerDimensions], passed: frozenset[str] = frozenset()
) -> float:
    """F', the terms over which the errors of the layer are averaged."""
    # What the image reads directly is seen as it is, whoever else reads it.
    if layer.read_by_image or not layer.averaged:
        return 1.0
    largest = 1.0
    for reader in (by_name[name] for name in layer.readers):
        largest = max(largest, reader.fan_in)
        if reader.depthwise and reader.name not in passed:  # mixes no channels: who reads that, does
            largest = max(largest, _reader_fan_in(reader, by_name, passed | {reader.name}))
    return largest


def _decide_layer(
    layer: LayerDimensions, by_name: Mapping[str, LayerDimensions], threshold: float, bits: int
) -> LayerPlan:
    redundancy = degree_of_redundancy(layer.fan_in, _reader_fan_in(layer, by_name))
    return LayerPlan(
        name=layer.name,
        kind=layer.kind,
        input_shape=layer.input_shape,
        output_shape=layer.output_shape,
        weights=layer.weights,
        multiply_adds=layer.multiply_adds,
        readers=layer.readers,
        read_by_image=layer.read_by_image,
        averaged=layer.averaged,
        leading_shape=layer.leading_shape,
        fan_in=layer.fan_in,
        degree_of_redundancy=redundancy,
        bits=bits if redundancy >= threshold else FLOAT_BITS,
    )


def becomes(bits: int) -> str:
    """What weights of so many bits are called: "binary", "2 bits", "float"."""
    return {1: "binary", FLOAT_BITS: "float"}.get(bits, f"{bits} bits")


def _number(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".") if value < 10_000 else f"{value:,.0f}"


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _table(plan: Plan) -> str:
    costs = predicted_costs(plan)
    rows = [("layer", "kind", "dimensions", "weights", "multiply-adds", "F", "R", "alone", "becomes")]
    for layer in plan.layers:
        rows.append(
            (
                visible(layer.name),
                visible(layer.kind),
                f"{_shape(layer.input_shape)} -> {_shape(layer.output_shape)}",
                f"{layer.weights:,}",
                f"{layer.multiply_adds:,}",
                _number(layer.fan_in),
                _number(layer.degree_of_redundancy),
                f"{costs[layer.name]:.2f}x",
                becomes(layer.bits),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if 3 <= column <= 7 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    lines.append(_summary(plan))
    return "\n".join(lines)


def _summary(plan: Plan) -> str:
    others = sum(other.weights for other in plan.unplanned)
    total = sum(layer.weights for layer in plan.layers) + others
    binary = sum(layer.weights for layer in plan.layers if layer.binary)
    line = (
        f"{len(plan.binary)} of {len(plan.layers)} layers binary (R >= {_number(plan.threshold)}), "
        f"{_share(binary, total, 2)} of {total:,} weights"
    )
    alike: dict[tuple[str, str], list[Unplanned]] = {}
    for other in plan.unplanned:
        alike.setdefault((other.kind, other.reason), []).append(other)
    named = [_named(group, total) for group in list(alike.values())[:_NAMED]]
    rest = [other.weights for group in list(alike.values())[_NAMED:] for other in group]
    if rest:
        named.append(f"{len(rest)} more {_share(sum(rest), total, 0)}")
    return f"{line}; not planned: {', '.join(named)}" if named else line


def _named(alike: Sequence[Unplanned], total: int) -> str:
    """The first of weights of one kind, how many more there are, and what share they have."""
    first, more = alike[0], len(alike) - 1
    named = replace(first, name=f"{first.name} and {more} more") if more else first
    return f"{visible(str(named))} {_share(sum(other.weights for other in alike), total, 0)}"


def _share(part: int, total: int, digits: int) -> str:
    """A percentage that is 100 or 0 only where it is all or nothing."""
    percent, step = 100 * part / total if total else 0.0, 10.0**-digits
    if 0 < percent < step / 2:
        return f"<{step:g}%"
    return f"{percent if part == total else min(percent, 100 - step):.{digits}f}%"


def _plan_from_json(content: Any) -> Plan:
    """Raises ValueError saying what is wrong with `content`."""
    if not isinstance(content, dict) or "pbgen_plan" not in content:
        raise ValueError("'pbgen_plan' is missing")
    version = content["pbgen_plan"]
    if not _is_count(version) or version != _VERSION:
        raise ValueError(f"version {version!r} where this release reads {_VERSION}")
    threshold: Any = content.get("threshold")
    layers: Any = content.get("layers")
    if not _is_number(threshold) or threshold == 0:
        raise ValueError(f"threshold {threshold!r} is not a positive number")
    if not isinstance(layers, list) or not layers:
        raise ValueError("'layers' is not a list of layers")
    unplanned: Any = content.get("unplanned")
    if not isinstance(unplanned, list):
        raise ValueError("'unplanned' is not a list of weights")
    plan = Plan(
        tuple(_row_from_json(LayerPlan, layer) for layer in layers),
        float(threshold),
        tuple(_row_from_json(Unplanned, other) for other in unplanned),
    )
    if len({layer.name for layer in plan.layers}) < len(plan.layers):
        raise ValueError("two layers have the same name")
    return plan


def _row_from_json(kind: type[_Row], content: Any) -> _Row:
    names = {field.name for field in fields(kind)}
    if not isinstance(content, dict) or set(content) != names:
        raise ValueError(f"a layer has not just the fields {', '.join(sorted(names))}")
    for name, value in content.items():
        if not _FIELD_CHECKS[name](value):
            raise ValueError(f"layer {content['name']!r}: {name} cannot be {str(value)[:40]!r}")
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items()}
    return kind(**values)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= sys.float_info.max


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_bits(value: Any) -> bool:
    return _is_count(value) and (1 <= value <= MAX_BITS or value == FLOAT_BITS)


def _is_decision(value: Any) -> bool:
    return isinstance(value, bool)


_FIELD_CHECKS: dict[str, Callable[[Any], bool]] = {
    "name": _is_text,
    "kind": _is_text,
    "input_shape": _is_shape,
    "output_shape": _is_shape,
    "weights": _is_count,
    "multiply_adds": _is_count,
    "readers": _is_names,
    "read_by_image": _is_decision,
    "averaged": _is_decision,
    "leading_shape": _is_shape,
    "fan_in": _is_number,
    "degree_of_redundancy": _is_number,
    "bits": _is_bits,
    "reason": _is_text,
}
