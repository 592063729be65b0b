"""A module as the list of aten operators that torch.export sees, with the tensors that they read."""

import dataclasses
import logging
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial, wraps
from io import StringIO
from typing import Any, cast
from unittest.mock import patch

import sympy
import torch
import torch.utils._pytree as pytree
from torch import Tensor, fx, nn
from torch._decomp.decompositions import upsample_compute_output_size
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.fx.experimental import _config as symbolic
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols
from torch.overrides import TorchFunctionMode
from torch.utils._config_module import ConfigModule

from pbgen.errors import PBGenError
from pbgen.packing.apart import taken_apart
from pbgen.packing.free import (
    Axis,
    Inputs,
    bound_axes,
    fixed_axes,
    free_shapes,
    free_sizes,
    holds,
    larger_where_fixed,
    placeholders,
    why_differs,
    why_fixed,
)
from pbgen.packing.freeze import Frozen, uncast
from pbgen.packing.left_behind import nothing_left_behind
from pbgen.packing.numbers_of_sizes import numbers_of_sizes
from pbgen.packing.of_free_size import of_free_size
from pbgen.packing.sizes import count
from pbgen.packing.unsolved import unsolved
from pbgen.packing.untraced import InverseFourierError, untraced
from pbgen.packing.written import written_anew
from pbgen.packing.written_down import WrittenDown

MOST = 2**28  # the largest size of a packed file
# What a module's own code raises that takes numbers of sizes for something else.
_MISTAKEN = (AssertionError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError)


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that does not depend on the input; one object however many operators and names share it."""

    name: str
    tensor: Tensor
    binary: frozenset[str] = frozenset()  # the binary layers whose weights it comes from


@dataclass(frozen=True)
class Exported:
    """Operators in order, the constants by the name of their placeholder, what goes in and what comes out."""

    nodes: list[fx.Node]
    constants: dict[str, Constant]
    inputs: list[str]  # names of placeholders, in the order of forward's arguments
    outputs: list[tuple[str, str]]  # a name for people, and the operator that makes it
    leaves: frozenset[str]  # names of the modules that hold no others
    hints: dict[sympy.Symbol, int]  # the free sizes as they are in the example
    bounds: dict[str, dict[int, tuple[int, int]]]  # by input and axis, the sizes of which torch knows what is done
    fixed: list[str]  # a line for each size that is not free although the module takes others
    why_differs: Callable[[Inputs], str | None]  # at the sizes of these, what the module's own code has to do with it

    @property
    def read(self) -> set[Constant]:
        """The constants that the operators read."""
        return {self.constants[node.name] for node in self.nodes if node.name in self.constants and node.users}

    @property
    def float_bytes(self) -> int:
        """Bytes in float32 of the tensors that the operators read, shared ones once."""
        return sum(4 * constant.tensor.numel() for constant in self.read if constant.tensor.is_floating_point())


def export(frozen: Frozen, inputs: tuple[Tensor, ...], known: Collection[str], free: bool = True) -> Exported:
    """Trace the module for one image like the first of `inputs`, without computing anything.

    Sizes are free, but for batches and images' channels, unless `free` is False. Operators whose name is not in `known`
    are taken apart by torch's own decompositions, as far as these go.

    Raises PBGenError where torch.export cannot follow the module.
    """
    # Where torch need not tell sizes of 1 from others, it asks less of free ones, and traces them many times as fast;
    # but it does not find out then that two of them must be the same, nor how long `x[-size:]` is.
    if free:
        with suppress(PBGenError), cast(ConfigModule, symbolic).patch("backed_size_oblivious", True):
            exported = _export(frozen, inputs, known, free)
            if not _hangs_on_values(exported):
                return exported
    return _export(frozen, inputs, known, free)


def _hangs_on_values(exported: Exported) -> bool:
    """Whether torch does not know what a size is, be it that of x[mask] or one of which it asked too little."""
    values = (value for node in exported.nodes for value in pytree.tree_leaves(node.meta.get("val")))
    return any(free_unbacked_symbols(tuple(value.shape)) for value in values if isinstance(value, Tensor))


def _export(frozen: Frozen, inputs: Inputs, known: Collection[str], free: bool) -> Exported:
    one = tuple(value[:1].clone() for value in inputs)
    module, fixed = frozen.module, list[str]()
    with _traceable(module):
        program = _exported(module, one, free)
        if free:
            program, one, fixed = _freest(module, program, one)
        traced, program = program, _plain(program, known)
    _drop_state(program)
    program.graph.eliminate_dead_code()
    nodes = placeholders(program)
    return Exported(
        list(program.graph.nodes),
        _constants(program, frozen),
        [node.name for node in nodes],
        _outputs(program),
        _leaves(module),
        free_sizes(nodes, one),
        _bounds(program, nodes),
        fixed,
        partial(why_differs, traced),
    )


@contextmanager
def _traceable(module: nn.Module) -> Iterator[None]:
    with _quiet(), torch.no_grad(), _Freely(), _without_switches(module), _unmoved(), uncast():
        try:
            yield
        except PBGenError:
            raise
        except Exception as error:  # torch.export raises errors of many kinds
            raise untraced(module, error) from error


@contextmanager
def _without_switches(module: nn.Module) -> Iterator[None]:
    """While entered, the module's forward does not turn gradients off and on, of which there are none: at each `with
    torch.no_grad()`, such as that of a spectral norm, torch would cut the program in two and put it together again."""
    forward, own = module.forward, "forward" in vars(module)

    @wraps(forward)
    def without(*args: Any, **kwargs: Any) -> Any:
        with _NoSwitches():
            return forward(*args, **kwargs)

    module.forward = without
    try:
        yield
    finally:
        if own:
            module.forward = forward
        else:
            del module.forward


def _unmoved() -> AbstractContextManager[Any]:
    """While entered, `self.conv.to(x.device)` in a forward does nothing: all is where it is computed, and torch would
    not follow it."""
    return patch.object(nn.Module, "_apply", lambda module, *args, **kwargs: module)


class _NoSwitches(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return None if function is torch._C._set_grad_enabled else function(*args, **(kwargs or {}))


def _exported(module: nn.Module, inputs: Inputs, free: bool, fixed: Sequence[Axis] = ()) -> ExportedProgram:
    shapes = free_shapes(module, inputs, list(fixed)) if free else None
    with _resized_in_shape(), nothing_left_behind(), unsolved():
        if free:  # where the code does not take torch's numbers for Python's, with these
            with suppress(*_MISTAKEN), numbers_of_sizes(module):
                return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False)
        return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False)


_RESIZING = {
    getattr(torch.ops.aten, f"upsample_{kind}").vec
    for kind in ("linear1d", "bilinear2d", "trilinear3d", "bicubic2d", "nearest1d", "nearest2d", "nearest3d")
}


@contextmanager
def _resized_in_shape() -> Iterator[None]:
    """While entered, torch works out of what is resized how large it is, not all that it is computed by, which takes a
    third of some traces."""

    def resized(x: Tensor, size: Any, *options: Any) -> Tensor:
        return x.new_empty((*x.shape[:2], *upsample_compute_output_size(x.shape, size, options[-1])))

    kept = [(operator, dict(operator.py_kernels)) for operator in _RESIZING]
    for operator, kernels in kept:
        operator.py_kernels.update(dict.fromkeys(kernels, resized))
        operator._dispatch_cache.clear()
    try:
        yield
    finally:
        for operator, kernels in kept:
            operator.py_kernels.update(kernels)
            operator._dispatch_cache.clear()


def _freest(module: nn.Module, program: ExportedProgram, inputs: Inputs) -> tuple[ExportedProgram, Inputs, list[str]]:
    """The program at larger inputs where that frees more sizes; and why sizes that the module takes are not free."""
    larger, taken = larger_where_fixed(module, inputs, fixed_axes(program, inputs))
    if taken:
        with suppress(Exception):  # whatever torch.export raises
            other = _exported(module, larger, True)
            if len(fixed_axes(other, larger)) < len(fixed_axes(program, inputs)) and holds(other, inputs):
                program, inputs = other, larger
    told = why_fixed(program, inputs, taken)
    if bound := bound_axes(program):
        program = _exported(module, inputs, True, bound)
    return program, inputs, told


def _plain(program: ExportedProgram, known: Collection[str]) -> ExportedProgram:
    """Of operators that are known, as far as torch can take others apart, and that write to nothing."""
    if not written_anew(program.graph):
        program = program.run_decompositions({})  # which also does this, in general and slowly
    return taken_apart(program, known)


class _Freely(TorchFunctionMode):
    """What torch traces only with fixed sizes, or not at all, in other words of the same meaning."""

    def __init__(self) -> None:
        super().__init__()
        self._written_down = WrittenDown()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if found := self._written_down.read(function, args):
            return found[0]
        made = self._made(function, args, dict(kwargs or {}))
        self._written_down.follow(function, args, kwargs or {}, made)
        return made

    def _made(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if getattr(function, "__self__", None) is Tensor.data:  # which passes by what torch traces
            if function.__name__ == "__get__":
                return args[0].detach()
            if args[0].shape == args[1].shape:
                return args[0].detach().copy_(args[1])
        if function in (torch.istft, Tensor.istft):
            raise InverseFourierError
        if function is torch.complex:  # which torch would take apart into writing to real and imaginary part
            return _complex(*args, **kwargs)
        if function is torch.polar:
            return _polar(*args, **kwargs)
        if (made := of_free_size(function, *args, **kwargs)) is not None:
            return made
        if function in (torch.max_pool1d, nn.functional.max_pool1d) and not kwargs.pop("return_indices", False):
            return _max_pool1d(*args, **kwargs)
        return function(*args, **kwargs)


def _complex(real: Tensor, imag: Tensor) -> Tensor:
    return real + imag * 1j


def _polar(abs: Tensor, angle: Tensor) -> Tensor:
    return _complex(abs * angle.cos(), abs * angle.sin())


def _max_pool1d(
    x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Tensor:
    kernel, stride, padding, dilation = (
        value[0] if isinstance(value, list | tuple) and value else value
        for value in (kernel_size, stride, padding, dilation)
    )
    steps = (1, kernel if stride in (None, [], ()) else stride)
    made = nn.functional.max_pool2d(x[..., None, :], (1, kernel), steps, (0, padding), (1, dilation), ceil_mode)
    return made[..., 0, :]


def _drop_state(program: ExportedProgram) -> None:
    """Leave out of the graph's outputs what the module writes to its own tensors."""
    output = program.graph.output_node()
    specs = program.graph_signature.output_specs
    values = [v for v, spec in zip(output.args[0], specs, strict=True) if spec.kind == OutputKind.USER_OUTPUT]
    output.args = (tuple(values),)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's own deprecations, advice about speed, and the programs that it prints where it fails; and without
    the stack of each operator and size, which it takes as long to read as to make all else."""
    disabled, stackless = logging.root.manager.disable, fx.config.do_not_emit_stack_traces
    logging.disable(logging.CRITICAL)
    fx.config.do_not_emit_stack_traces = True
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        fx.config.do_not_emit_stack_traces = stackless


def _constants(program: ExportedProgram, frozen: Frozen) -> dict[str, Constant]:
    state: dict[str, Tensor] = dict(frozen.module.named_parameters(remove_duplicate=False))
    state.update(frozen.module.named_buffers(remove_duplicate=False))
    by_id: dict[int, Constant] = {}
    constants = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            continue
        name = spec.target or spec.arg.name
        tensor = state[name] if name in state else program.constants[name]
        binary = frozenset({frozen.binary[id(tensor)]} if id(tensor) in frozen.binary else ())
        constants[spec.arg.name] = by_id.setdefault(id(tensor), Constant(name, tensor, binary))
    return constants


def _outputs(program: ExportedProgram) -> list[tuple[str, str]]:
    specs = [spec for spec in program.graph_signature.output_specs if spec.kind == OutputKind.USER_OUTPUT]
    spec = program.call_spec.out_spec
    assert spec is not None
    paths = dict(_leaf_paths(pytree.tree_unflatten(list(range(len(specs))), spec)))
    found = []
    for number, (output, node) in enumerate(zip(specs, program.graph.output_node().args[0], strict=True)):
        if isinstance(output.arg, ConstantArgument):
            if output.arg.value is not None:
                raise PBGenError(f"the module returns {output.arg.value!r} beside tensors; return tensors alone")
            continue
        found.append((paths[number], node.name))
    if len(found) == 1:
        return [("output", found[0][1])]
    return [(f"output_{name}" if name.isdigit() else name, node) for name, node in found]


def _leaf_paths(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[int, str]]:
    """The numbers in nested outputs, each with the keys, fields and places that lead to it."""
    if isinstance(tree, int):
        yield tree, ".".join(path)
        return
    if isinstance(tree, Mapping):
        parts = list(tree.items())
    elif dataclasses.is_dataclass(tree):
        parts = [(field.name, getattr(tree, field.name)) for field in dataclasses.fields(tree)]
    else:
        parts = list(zip(getattr(tree, "_fields", range(len(tree))), tree, strict=True)) if tree is not None else []
    for key, part in parts:
        yield from _leaf_paths(part, (*path, str(key)))


def register_outputs(outputs: Any) -> None:
    """Let torch.export know the user's own dataclasses among the outputs."""
    if dataclasses.is_dataclass(outputs) and not isinstance(outputs, type):
        if pytree.tree_leaves(outputs) == [outputs]:
            torch.export.register_dataclass(type(outputs))
    elif isinstance(outputs, dict):
        for value in outputs.values():
            register_outputs(value)
    elif isinstance(outputs, list | tuple):
        for value in outputs:
            register_outputs(value)


def _leaves(module: nn.Module) -> frozenset[str]:
    return frozenset(name for name, child in module.named_modules(remove_duplicate=False) if not list(child.children()))


def _bounds(program: ExportedProgram, nodes: list[fx.Node]) -> dict[str, dict[int, tuple[int, int]]]:
    found: dict[str, dict[int, tuple[int, int]]] = {}
    for node in nodes:
        for axis, size in enumerate(node.meta["val"].shape):
            bounds = program.range_constraints.get(count(size)) if isinstance(size, torch.SymInt) else None
            if bounds is not None:
                found.setdefault(node.name, {})[axis] = (int(bounds.lower), int(min(bounds.upper, MOST)))
    return found
