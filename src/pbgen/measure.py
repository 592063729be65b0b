"""The plan of a torch module: its layers' dimensions, found by following an example through it.

The example runs through a copy of the module, which is not touched itself. On its way through the operators, the data
keeps the names of the layers that it comes from: so it is seen which layer reads which. Nothing that takes time is
computed, as only shapes matter.
"""

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from pbgen.binarize import LAYER_KINDS, Layer, binary_layers
from pbgen.errors import PBGenError
from pbgen.modules import first_line, inference_copy, inference_tensor, unwrap
from pbgen.provenance import ContentsNeededError, Provenance, tensors
from pbgen.redundancy import (
    DEFAULT_THRESHOLD,
    LayerDimensions,
    Plan,
    conv_multiply_adds,
    conv_transpose_multiply_adds,
    decide,
    linear_multiply_adds,
)


def plan(module: nn.Module, example_input: Tensor | tuple[Tensor, ...], threshold: float = DEFAULT_THRESHOLD) -> Plan:
    """Which layers of `module` may have binary weights: those with a degree of redundancy of at least `threshold`.

    `example_input` is one input with its batch dimension, (1, 100) for instance, or a tuple of them where the module
    takes several; only its shape matters. The module is seen as it is in evaluation mode and float32, out of what wraps
    it (DistributedDataParallel, torch.compile, ...), and left as it was. Names are those of the module itself.

    Raises PBGenError where the module cannot be seen into or copied, it rejects the input, the input passes none of the
    layers that a plan is about, or `threshold` is not a positive number.
    """
    module = unwrap(module)
    inputs = example_input if isinstance(example_input, tuple) else (example_input,)
    if not all(isinstance(value, Tensor) for value in inputs):
        raise PBGenError(
            f"example input: {type(example_input).__name__} is no tensor; give a tensor or a tuple of them"
        )
    calls = _follow(module, inputs)
    if not calls:
        kinds = ", ".join(kind.__name__ for kind in LAYER_KINDS)
        raise PBGenError(f"{type(module).__name__}: nothing to plan: the example input passes none of {kinds}")
    return decide((call.dimensions() for call in calls), threshold)


def _follow(module: nn.Module, inputs: tuple[Tensor, ...]) -> list["_Calls"]:
    """The calls of each layer, in the order of their first."""
    try:
        try:
            return _run(module, inputs, Provenance(compute=False))
        except ContentsNeededError:
            return _run(module, inputs, Provenance(compute=True))
    except PBGenError:
        raise
    except Exception as error:
        shapes = ", ".join(str(tuple(value.shape)) for value in inputs)
        raise PBGenError(
            f"{type(module).__name__}: cannot run on the example input {shapes}: {first_line(error)}"
        ) from error


@torch.no_grad()
def _run(module: nn.Module, inputs: tuple[Tensor, ...], provenance: Provenance) -> list["_Calls"]:
    calls: dict[str, _Calls] = {}
    twin = inference_copy(module)
    for layer in binary_layers(twin).values():
        # A binary weight has the shape of its latent weight; making it takes time.
        cast(dict[str, nn.ModuleList], layer.parametrizations)["weight"][0] = nn.Identity()
    for name, layer in twin.named_modules():
        if isinstance(layer, LAYER_KINDS):
            layer.register_forward_pre_hook(partial(_before, name, provenance, calls), with_kwargs=True)
            layer.register_forward_hook(partial(_after, name, provenance, calls), with_kwargs=True)
    with torch.random.fork_rng(devices=[]), provenance:
        image = twin(*(inference_tensor(value).clone() for value in inputs))
    for source in provenance.of(image):
        calls[source].read_by_image = True
    return list(calls.values())


@dataclass
class _Calls:
    """What is known of one layer after all its calls."""

    name: str
    layer: Layer
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)  # input, output
    readers: dict[str, None] = field(default_factory=dict)  # an ordered set
    read_by_image: bool = False

    def dimensions(self) -> LayerDimensions:
        outputs = sum(math.prod(output) for _, output in self.shapes)
        if outputs == 0:
            raise PBGenError(f"layer '{self.name}': its output is empty; give a larger example input")
        return LayerDimensions(
            name=self.name,
            kind=next(kind.__name__ for kind in LAYER_KINDS if isinstance(self.layer, kind)),
            input_shape=self.shapes[0][0],
            output_shape=self.shapes[0][1],
            weights=self.layer.weight.numel(),
            multiply_adds=sum(_multiply_adds(self.layer, *shapes) for shapes in self.shapes),
            outputs=outputs,
            readers=tuple(self.readers),
            read_by_image=self.read_by_image,
        )


def _before(
    name: str,
    provenance: Provenance,
    calls: dict[str, _Calls],
    layer: Layer,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    calls.setdefault(name, _Calls(name, layer))
    for source in provenance.of((args, kwargs)):
        calls[source].readers[name] = None


def _after(
    name: str,
    provenance: Provenance,
    calls: dict[str, _Calls],
    layer: Layer,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output: Tensor,
) -> None:
    provenance.mark(output, frozenset({name}))
    value = next(tensors((args, kwargs)))
    calls[name].shapes.append((_image_shape(layer, value), _image_shape(layer, output)))


def _image_shape(layer: Layer, value: Tensor) -> tuple[int, ...]:
    """The shape of one image: convolutions also take values without a batch."""
    dimensions = 1 if isinstance(layer, nn.Linear) else 1 + len(layer.kernel_size)
    return tuple(value.shape[1:] if value.dim() > dimensions else value.shape)


def _multiply_adds(layer: Layer, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> int:
    if isinstance(layer, nn.Linear):
        return linear_multiply_adds(input_shape, output_shape)
    geometry = (input_shape, output_shape, layer.kernel_size, layer.stride, _padding(layer), layer.dilation)
    if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d):
        return conv_transpose_multiply_adds(*geometry, layer.groups)
    return conv_multiply_adds(*geometry, layer.groups, zero_padded=layer.padding_mode == "zeros")


def _padding(layer: nn.ConvTranspose1d | nn.ConvTranspose2d | nn.Conv1d | nn.Conv2d) -> tuple[int, ...]:
    """The padding at the low edge of each dimension."""
    if not isinstance(layer.padding, str):
        return layer.padding
    if layer.padding == "valid":
        return (0,) * len(layer.kernel_size)
    return tuple(d * (k - 1) // 2 for k, d in zip(layer.kernel_size, layer.dilation, strict=True))
