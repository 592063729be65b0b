"""A packed file as an ordinary float torch module, to check the engine by and to run in other engines."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pbgen.errors import PBGenError
from pbgen.latents import noise
from pbgen.packing.batched import batched_values
from pbgen.packing.file import read
from pbgen.packing.graph import Graph, Node, Shape
from pbgen.packing.rebuilt_layers import layer, layer_numbers
from pbgen.packing.rebuilt_operators import OPERATORS, Operator, prepared, run_map, traced

MAX_FREE = 2**28

_LAYERS = ("conv_transpose", "conv", "linear")
_SIZED = ("start", "step", "before", "numbers")  # attributes that may name sizes


def rebuild(path: str | os.PathLike[str]) -> "Rebuilt":
    """A torch module that computes what the packed file says, in float32, one-bit weights expanded.

    Raises PBGenError where the file cannot be read.
    """
    return Rebuilt(*read(path)).eval()


class Rebuilt(nn.Module):
    """Runs a graph node by node with torch's own operators; it knows nothing of the engine.

    `input_shape` and `output_shape` are those of one image, without the batch, free dimensions None; where there are
    several inputs that are not noise, or several outputs, they are one shape each.
    """

    operators: Mapping[str, Operator] = OPERATORS

    def __init__(self, graph: Graph, tensors: dict[str, NDArray[Any]]) -> None:
        super().__init__()
        self.graph = graph
        self._free = set(graph.free)
        self.input_shape = _shapes([source.shape for source in graph.inputs if source.noise is None])
        self.output_shape = _shapes([graph.shape(value) for _, value in graph.outputs])
        self._nodes = [prepared(node) for node in graph.nodes]
        self.batched = batched_values(graph)
        self._keep(tensors)
        self.like = nn.Buffer(torch.zeros(()), persistent=False)  # says on which device, and in which precision

    def _keep(self, tensors: dict[str, NDArray[Any]]) -> None:
        for number, node in enumerate(self.graph.nodes):
            for name, numbers in _numbers(self.graph, node, tensors).items():
                self.register_buffer(f"{name}_{number}", torch.from_numpy(numbers))

    def _kept(self, number: int) -> dict[str, Any]:
        """A node's numbers as torch wants them, in what `_numbers` names."""
        return {name: getattr(self, f"{name}_{number}", None) for name in ("weight", "scale", "shift", "tensor")}

    def forward(self, *inputs: Tensor, seed: int = 0) -> Tensor | tuple[Tensor, ...]:
        """What becomes of N images: inputs (N, ...) -> output (N, ...), several as a tuple.

        `inputs` are all of the graph's, or all that are not noise: noise is then what `seed` gives. A node's value
        that has not its declared shape, and whatever else does not fit, raises PBGenError.
        """
        given = self._given(inputs)
        sizes = self._sizes(given)
        batch = next(iter(given.values())).shape[0]
        values = [self._input(number, given, sizes, batch, seed) for number in range(len(self.graph.inputs))]
        if batch == 1 or (batch > 1 and self.batched):
            outputs = self._image(values, sizes, batch)
        else:  # a graph says what becomes of one image
            images = [self._image([value[i : i + 1] for value in values], sizes) for i in range(batch)]
            empty = [self.like.new_empty(0, *_known(self.graph.shape(v), sizes)[1:]) for _, v in self.graph.outputs]
            outputs = [torch.cat(parts) for parts in zip(*images, strict=True)] if images else empty
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _given(self, inputs: tuple[Tensor, ...]) -> dict[int, Tensor]:
        """The inputs by their numbers."""
        everything = range(len(self.graph.inputs))
        without_noise = [number for number in everything if self.graph.inputs[number].noise is None]
        if len(inputs) not in (len(everything), len(without_noise)):
            raise PBGenError(
                f"{len(inputs)} inputs given; the graph has {len(without_noise)}, and noise makes it {len(everything)}"
            )
        return dict(zip(everything if len(inputs) == len(everything) else without_noise, inputs, strict=True))

    def _sizes(self, given: Mapping[int, Tensor]) -> dict[str, int]:
        """Every size by its name; the inputs' shapes are checked."""
        free: dict[str, int] = {}
        for number, x in given.items():
            shape = self.graph.inputs[number].shape
            for size, name in zip(x.shape, shape, strict=False):
                if name in self._free:
                    free.setdefault(name, size)
        if traced():
            return self.graph.sizes_at(free)
        for number, x in given.items():
            self._check_rank(number, x)
        sizes = self.graph.sizes_at(free)
        batch = next(iter(given.values())).shape[0]
        for number, x in given.items():
            source = self.graph.inputs[number]
            expected = (batch, *_known(source.shape, sizes)[1:])
            if tuple(x.shape) != expected:
                raise PBGenError(f'input "{source.name}": has shape {list(x.shape)}, expected {list(expected)}')
            if not all(1 <= size <= MAX_FREE for size in expected[1:]):
                raise PBGenError(f'input "{source.name}": has shape {list(x.shape)}; sizes are 1 to {MAX_FREE}')
        return sizes

    def _check_rank(self, number: int, x: Tensor) -> None:
        source = self.graph.inputs[number]
        if x.dim() != len(source.shape):
            raise PBGenError(f'input "{source.name}": has {x.dim()} dimensions, expected {len(source.shape)}')

    def _input(self, number: int, given: Mapping[int, Tensor], sizes: dict[str, int], batch: int, seed: int) -> Tensor:
        source = self.graph.inputs[number]
        if number in given:
            return self._as_ours(given[number])
        assert source.noise is not None
        return self._as_ours(
            torch.from_numpy(noise(source.noise, seed, number, batch, _known(source.shape, sizes)[1:]))
        )

    def _image(self, values: list[Tensor], sizes: dict[str, int], batch: int = 1) -> list[Tensor]:
        values = list(values)
        for number, node in enumerate(self._nodes):
            inputs = [values[source] for source in node.inputs]
            try:
                shape = _known(node.shape, sizes)
                if batch > 1 and len(values) in self.batched:
                    shape = (batch, *shape[1:])
                value = self._as_ours(self._value(number, node, inputs, shape, sizes))
            except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
                raise PBGenError(f'{node.op} "{node.name}": {_first_line(error)}') from error
            if not traced() and tuple(value.shape) != shape:
                raise PBGenError(
                    f'{node.op} "{node.name}": makes shape {list(value.shape)}, and the graph says {list(shape)}'
                )
            values.append(value)
        return [values[value] for _, value in self.graph.outputs]

    def _value(
        self, number: int, node: Node, inputs: list[Tensor], shape: tuple[int, ...], sizes: dict[str, int]
    ) -> Tensor:
        if not traced() and min(shape) < 1:
            raise ValueError(f"its shape is {list(shape)}, and sizes begin at 1")
        numbers = self._kept(number)
        if node.op == "constant":
            return torch.as_tensor(numbers["tensor"])
        attributes = {
            name: _named(value, sizes) if name in _SIZED else value for name, value in node.attributes.items()
        }
        if node.op not in _LAYERS:
            return self.operators[node.op](inputs, shape, attributes)
        x, *others = inputs
        weight = others.pop(0) if numbers["weight"] is None else numbers["weight"]
        made = layer(node, x, weight, numbers["scale"], numbers["shift"], shape)
        return run_map([made, *others], shape, attributes) if "program" in attributes else made

    def _as_ours(self, x: Tensor) -> Tensor:
        return x if (x.dtype, x.device) == (self.like.dtype, self.like.device) else x.to(self.like)


def _numbers(graph: Graph, node: Node, tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    if node.op == "constant":
        return {"tensor": np.array(tensors[node.attributes["tensor"]], np.float32)}
    return layer_numbers(graph, node, tensors)


def _known(shape: Shape, sizes: dict[str, int]) -> tuple[int, ...]:
    return tuple(sizes[size] if isinstance(size, str) else size for size in shape)


def _named(value: Any, sizes: dict[str, int]) -> Any:
    """The attribute with names of sizes replaced by what they are."""
    if isinstance(value, list | tuple):
        return [_named(one, sizes) for one in value]
    return sizes[value] if isinstance(value, str) else value


def _shapes(shapes: list[Shape]) -> Any:
    free = [tuple(None if isinstance(size, str) else size for size in shape[1:]) for shape in shapes]
    return free[0] if len(free) == 1 else tuple(free)


def _first_line(error: Exception) -> str:
    return f"lacks {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
