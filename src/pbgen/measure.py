"""The plan of a torch module: its layers' dimensions, found by following an example through it.

The example runs through a copy of the module, which is not touched itself. It is followed from operator to operator, so
layers are found whoever calls them: convolutions and products with a matrix whose weight comes from parameters. On its
way the data keeps the names of the layers that it comes from: so it is seen which layer reads which. Nothing that takes
time is computed, as only shapes matter.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from pbgen.binarize import binary_weights
from pbgen.errors import PBGenError
from pbgen.modules import first_line, inference_copy, inference_tensor, unwrap
from pbgen.operators import attention_by_operators, name_of, products
from pbgen.provenance import Origin, Provenance
from pbgen.redundancy import (
    DEFAULT_THRESHOLD,
    NOT_PASSED,
    LayerDimensions,
    Plan,
    Unplanned,
    conv_multiply_adds,
    conv_transpose_multiply_adds,
    decide,
    linear_multiply_adds,
)
from pbgen.weights import LAYER_KINDS, Slot, computing_hooks, hook_tensor, slots

_OTHERS = (nn.RNNBase, nn.RNNCellBase, nn.Embedding, nn.EmbeddingBag, nn.Bilinear)
"""Modules whose weights cannot be planned, though some of them make products with a matrix."""


_LOOKUPS = {"index", "index_select", "gather", "take", "embedding"}
"""Operators that read their first argument by an index."""

_MAKER = "it goes into another layer's weight"
_OF_OTHERS = "its weight is made of several layers'"


def plan(
    module: nn.Module,
    example_input: Tensor | tuple[Tensor, ...],
    threshold: float = DEFAULT_THRESHOLD,
    bits: int = 1,
) -> Plan:
    """Which layers of `module` may have binary weights: those with a degree of redundancy of at least `threshold`.
    They get `bits` planes of signs each, 1 to 4.

    `example_input` is one input with its batch dimension, (1, 100) for instance, or a tuple of them where the module
    takes several; only its shape matters. The module is seen as it is in evaluation mode and float32, out of what wraps
    it (DistributedDataParallel, torch.compile, ...), and left as it was. A layer has its module's name; where code of
    the user's computes with a parameter (F.conv2d, a matrix product), the parameter's. Weights of other kinds (LSTM,
    embeddings, layers that the example does not pass) are in `plan.unplanned`.

    Raises PBGenError where the module cannot be seen into or copied, it rejects the input, the input passes none of the
    layers that a plan is about, `threshold` is not a positive number, or `bits` is not 1 to 4.
    """
    module = unwrap(module)
    inputs = tuple(example_input) if isinstance(example_input, tuple | list) else (example_input,)
    for number, value in enumerate(inputs):
        if not isinstance(value, Tensor):
            place = f"example input[{number}]" if isinstance(example_input, tuple | list) else "example input"
            raise PBGenError(
                f"{place}: {type(value).__name__} is no tensor; give a tensor or a tuple of them, "
                "and for anything else a module that passes it on"
            )
    found, unplanned = _follow(module, inputs)
    if not found:
        kinds = ", ".join(kind.__name__ for kind in LAYER_KINDS)
        others = f"; it has {', '.join(str(other) for other in unplanned[:4])}" if unplanned else ""
        raise PBGenError(
            f"{type(module).__name__}: nothing to plan: the example input passes none of {kinds}{others}; "
            "give the module that holds such layers, and an example that passes them"
        )
    return decide((layer.dimensions() for layer in found), threshold, unplanned, bits)


def _follow(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[list["_Layer"], list[Unplanned]]:
    """The layers, in the order of their first calls, and what is none."""
    try:
        try:
            return _run(module, inputs, compute=False)
        except PBGenError:
            raise
        except Exception:  # ContentsNeededError, or what a TorchScript function makes of it
            return _run(module, inputs, compute=True)
    except PBGenError:
        raise
    except Exception as error:
        for slot in slots(module).values():  # torch names none
            if isinstance(slot.owner, LAYER_KINDS):
                _check_channels(slot)
        shapes = ", ".join(str(tuple(value.shape)) for value in inputs)
        raise PBGenError(
            f"{type(module).__name__}: cannot run on the example input {shapes}: {first_line(error)}"
        ) from error


def _check_channels(slot: Slot) -> None:
    shape = tuple(slot.parameter.shape)
    if 0 in shape:
        raise PBGenError(f"layer '{slot.name}': has 0 channels, its weight {shape}; give it one, or leave it out")


@torch.no_grad()
def _run(module: nn.Module, inputs: tuple[Tensor, ...], compute: bool) -> tuple[list["_Layer"], list[Unplanned]]:
    twin = inference_copy(module)
    for weight in binary_weights(twin).values():
        # A binary weight has the shape of its latent weight; making it takes time.
        cast(dict[str, nn.ModuleList], weight.owner.parametrizations)[weight.tensor][0] = nn.Identity()
    batch = next((len(value) for value in inputs if value.dim()), 1)
    follower = _Follower(twin, batch, compute)
    values = [inference_tensor(value).clone() for value in inputs]
    for value in values:
        follower.mark(value, Origin(data=True))
    with torch.random.fork_rng(devices=[]), attention_by_operators(), follower.following():
        image = twin(*values)
    follower.read(image)
    return list(follower.layers.values()), follower.unplanned()


@dataclass
class _Layer:
    """What is known of one layer after all its calls."""

    slot: Slot
    kind: str
    leading_shape: tuple[int, ...]
    depthwise: bool
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)  # input, output
    multiply_adds: int = 0
    readers: dict[str, None] = field(default_factory=dict)  # an ordered set
    read_by_image: bool = False
    averaged: bool = True
    state: frozenset[str] = frozenset()  # parameters and buffers that it reads as a value

    def dimensions(self) -> LayerDimensions:
        _check_channels(self.slot)
        outputs = sum(math.prod(output) for _, output in self.shapes)
        if outputs == 0:
            raise PBGenError(f"layer '{self.slot.name}': its output is empty; give a larger example input")
        return LayerDimensions(
            name=self.slot.name,
            kind=self.kind,
            input_shape=self.shapes[0][0],
            output_shape=self.shapes[0][1],
            weights=self.slot.parameter.numel(),
            multiply_adds=self.multiply_adds,
            outputs=outputs,
            readers=tuple(self.readers),
            read_by_image=self.read_by_image,
            averaged=self.averaged,
            depthwise=self.depthwise,
            leading_shape=self.leading_shape,
        )


@dataclass(frozen=True)
class _Call:
    """One use of a weight. Shapes are those of one image."""

    kind: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    multiply_adds: int
    outputs_axis: int  # of the weight as it is read
    groups: int = 1  # of a transposed convolution
    depthwise: bool = False


class _Follower(Provenance):
    """Notes the calls of each layer."""

    def __init__(self, module: nn.Module, batch: int, compute: bool) -> None:
        super().__init__(compute)
        self.layers: dict[str, _Layer] = {}
        self._slots = slots(module)
        self._batch = batch
        self._refused: dict[Slot, str] = {}
        self._tables: frozenset[str] = frozenset()  # names of parameters that are read by an index
        self._read: frozenset[str] = frozenset()  # names of parameters
        parameters = dict(module.named_parameters())
        for name, tensor in [*parameters.items(), *module.named_buffers()]:
            if self.of(tensor).state and name in parameters:
                tensor.data = tensor.data.clone()  # of its own, apart from others in the same storage
            self.mark(tensor, Origin(state=frozenset({name})))
        for path, part in module.named_modules():
            for hook in computing_hooks(part).values():  # which do not run where `forward` itself is called
                made = getattr(part, hook_tensor(hook), None)
                names = (n for n, slot in self._slots.items() if (slot.path, slot.tensor) == (path, hook_tensor(hook)))
                if isinstance(made, Tensor):
                    self.mark(made, Origin(state=frozenset(names)))

    def layer(self, func: torch._ops.OpOverload, args: tuple[Any, ...], result: Any) -> str | None:
        self._read |= self.of(args).state
        if name_of(func) in _LOOKUPS and not self.of(args[0]).data:
            self._tables |= self.of(args[0]).state
        for value, weight, _, axis in products(func, args):
            made_of = self.of(weight)
            makers = frozenset() if made_of.data or name_of(func) != "convolution" else made_of.names
            self._take_back(makers)
            slot = self._slot(value, weight)
            if slot is None:
                continue
            if made_of.data or makers:
                self._refused[slot] = _OF_OTHERS if makers else "its weight is made anew for each input"
                return None
            if name_of(func) == "convolution":
                call = _convolution(args[3:], self, value, weight, result)
            else:
                call = _matrix_product(axis, self, value, weight, result)
            leading_shape = _leading_shape(slot.parameter, weight, call) if call else None
            if call is None or leading_shape is None:
                self._refused[slot] = "of a kind that cannot be binary"
                return None
            self._note(slot, call, leading_shape, value)
            return slot.name
        return None

    def _take_back(self, makers: Iterable[str]) -> None:
        """These were taken for layers, but make a weight of others' and of no input, as do those that they alone
        read."""
        for name in makers:
            if (layer := self.layers.pop(name, None)) is not None:
                read = [self._slots[state] for state in layer.state if state in self._slots]
                self._refused |= dict.fromkeys([layer.slot, *read], _MAKER)
                self._take_back([other for other, one in self.layers.items() if set(one.readers) == {name}])

    def _slot(self, value: Tensor, weight: Tensor) -> Slot | None:
        """Whose weight it is; None where it is no layer's."""
        of_value, of_weight = self.of(value), self.of(weight)
        own = {self._slots[name] for name in of_weight.state if name in self._slots}
        if not own:
            return None
        slot = max(own, key=lambda slot: slot.parameter.numel())
        if isinstance(slot.owner, _OTHERS):
            return None
        if of_value.data or of_value.names or not of_value.state or weight.dim() > 3:
            return slot
        # Two things that are learned: a constant that goes through a layer, or code that makes a weight.
        others = {self._slots[name] for name in of_value.state if name in self._slots} - own
        return slot if others and slot.name == slot.path else None

    def _note(self, slot: Slot, call: _Call, leading_shape: tuple[int, ...], value: Tensor) -> None:
        made = next((kind.__name__ for kind in LAYER_KINDS if isinstance(slot.owner, kind)), call.kind)
        kind = made if slot.name == slot.path else call.kind
        layer = self.layers.setdefault(slot.name, _Layer(slot, kind, leading_shape, call.depthwise))
        layer.shapes.append((call.input_shape, call.output_shape))
        layer.multiply_adds += call.multiply_adds
        layer.state |= self.of(value).state
        self.read(value, slot.name)

    def read(self, value: object, reader: str | None = None) -> None:
        """Note that a layer reads the value, or the image."""
        origin = self.of(value)
        for source in origin.names & self.layers.keys():
            layer = self.layers[source]
            if reader is None:
                layer.read_by_image = True
            else:
                layer.readers[reader] = None
            layer.averaged &= source not in origin.factors

    def positions(self, rows: int) -> tuple[int, ...]:
        """How many positions of one image the rows of a matrix are, none for one."""
        own = rows // self._batch if self._batch and rows % self._batch == 0 else rows
        return (own,) if own != 1 else ()

    def unplanned(self) -> list[Unplanned]:
        """The other weights, all parameters but vectors; the largest first.

        Those of a module of torch's are one, under its name; those of a user's have the parameters' names.
        """
        planned = {layer.slot for layer in self.layers.values()}
        read, tables = (
            {self._slots[name] for name in names if name in self._slots} for names in (self._read, self._tables)
        )

        def reason(slot: Slot) -> str:
            if slot not in read:
                return NOT_PASSED
            if slot in tables and not isinstance(slot.owner, _OTHERS):
                return "read by an index"
            return self._refused.get(slot, "")  # "": its kind says it

        found: dict[str, Unplanned] = {}
        for slot in dict.fromkeys(self._slots.values()):
            weights = slot.parameter.numel()
            if slot in planned or weights == max(slot.parameter.shape, default=1):
                continue
            name = slot.path if type(slot.owner).__module__.startswith("torch.") else slot.name
            before = found[name].weights if name in found else 0
            found[name] = Unplanned(name, type(slot.owner).__name__, before + weights, reason(slot))
        return sorted(found.values(), key=lambda other: -other.weights)


def _convolution(
    geometry: tuple[Any, ...], follower: _Follower, value: Tensor, weight: Tensor, result: Tensor
) -> _Call | None:
    stride, padding, dilation, transposed, _, groups = geometry
    dimensions = weight.dim() - 2
    if dimensions > 2:
        return None
    outputs, kernel = tuple(result.shape[1:]), weight.shape[2:]
    # Torch takes one number for all dimensions.
    stride, padding, dilation = (list(n) * (dimensions // len(n)) for n in (stride, padding, dilation))
    if transposed:
        inputs = tuple(value.shape[1:])
        count = conv_transpose_multiply_adds(inputs, outputs, kernel, stride, padding, dilation, groups)
        depthwise = 1 < groups == weight.shape[0]
        return _Call(f"ConvTranspose{dimensions}d", inputs, outputs, count, 1, groups, depthwise)
    shape, low = follower.without_padding(value)
    inputs = tuple(shape[1:])
    padding = [own + before for own, before in zip(padding, low[2:], strict=True)]
    count = conv_multiply_adds(inputs, outputs, kernel, stride, padding, dilation, groups)
    return _Call(f"Conv{dimensions}d", inputs, outputs, count, 0, 1, groups > 1 == weight.shape[1])


def _matrix_product(
    outputs_axis: int, follower: _Follower, value: Tensor, weight: Tensor, result: Tensor
) -> _Call | None:
    if weight.dim() == 3 and len(weight) > 1 and weight.stride(0) != 0:
        return None  # a matrix of its own for each of a batch
    terms, made = weight.shape[-1 if outputs_axis == -2 else -2], weight.shape[outputs_axis]
    positions = follower.positions(result.numel() // max(made, 1))
    inputs, outputs = (*positions, terms), (*positions, made)
    return _Call("Linear", inputs, outputs, linear_multiply_adds(inputs, outputs), outputs_axis % weight.dim())


def _leading_shape(parameter: nn.Parameter, read: Tensor, call: _Call) -> tuple[int, ...] | None:
    """What the parameter's first axis is split into, to see it as (groups, inputs, outputs, rest...).

    `read` is what the call makes of it. Views and operators that go element by element keep the order of strides, so
    the axis of the outputs is the one with the same stride, also where a part is read. None where it is
    not among the first two.
    """
    size, stride = read.shape[call.outputs_axis], read.stride(call.outputs_axis)
    alike = [axis for axis, n in enumerate(parameter.shape) if n == size]
    exact = [axis for axis in alike if size == 1 or parameter.stride(axis) == stride]
    if read.shape == parameter.shape and read.dim() > 2:
        exact = exact if len(exact) == 1 else [call.outputs_axis]
    part = [axis for axis, n in enumerate(parameter.shape) if n > size and parameter.stride(axis) == stride]
    axes = exact or part or (alike if len(alike) == 1 else [])
    if not axes or axes[0] > 1:
        return None
    if axes[0] == 0:
        return 1, 1, parameter.shape[0]
    return call.groups, parameter.shape[0] // call.groups
