"""A module as the list of aten operators that torch.export sees, with the tensors that they read."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import sympy
import torch
import torch.utils._pytree as pytree
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.fx.experimental import _config as symbolic
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols
from torch.utils._config_module import ConfigModule

from pbgen.errors import PBGenError
from pbgen.operators import name_of
from pbgen.packing.apart import taken_apart
from pbgen.packing.as_traced import as_traced, resized_in_shape
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
    turns,
    why_differs,
    why_fixed,
)
from pbgen.packing.freeze import Frozen
from pbgen.packing.left_behind import nothing_left_behind
from pbgen.packing.lines import lines_noted
from pbgen.packing.numbers_of_sizes import numbers_of_sizes
from pbgen.packing.sizes import count
from pbgen.packing.unsolved import unsolved
from pbgen.packing.untraced import untraced
from pbgen.packing.written import written_anew

MOST = 2**28  # the largest size of a packed file
# What a module's own code raises that takes numbers of sizes for something else. It is traced again with Python's own,
# which raises, for all to see, whatever is not of these numbers' making.
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
    turns: list[tuple[str, int, int]]  # input, axis, size: where the module's own code decides otherwise
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
    """Whether torch does not know what a size is of which it asked too little; it never knows that of x[mask]."""
    picked = {symbol for node in exported.nodes if name_of(node.target) == "index" for symbol in _unknown(node)}
    return any(_unknown(node) - picked for node in exported.nodes)


def _unknown(node: fx.Node) -> set[sympy.Symbol]:
    values = [value for value in pytree.tree_leaves(node.meta.get("val")) if isinstance(value, Tensor)]
    return {symbol for value in values for symbol in free_unbacked_symbols(tuple(value.shape))}


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
        turns(traced, one),
        fixed,
        partial(why_differs, traced),
    )


@contextmanager
def _traceable(module: nn.Module) -> Iterator[None]:
    try:
        with as_traced(module):
            yield
    except PBGenError:
        raise
    except Exception as error:  # torch.export raises errors of many kinds
        raise untraced(module, error) from error


def _exported(module: nn.Module, inputs: Inputs, free: bool, fixed: Sequence[Axis] = ()) -> ExportedProgram:
    shapes = free_shapes(module, inputs, list(fixed)) if free else None
    with resized_in_shape(), nothing_left_behind(), unsolved(), lines_noted(__name__):
        if free:  # where the code does not take torch's numbers for Python's, with these
            with suppress(*_MISTAKEN), numbers_of_sizes(module):
                return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False)
        return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False)


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


def _drop_state(program: ExportedProgram) -> None:
    """Leave out of the graph's outputs what the module writes to its own tensors."""
    output = program.graph.output_node()
    specs = program.graph_signature.output_specs
    values = [v for v, spec in zip(output.args[0], specs, strict=True) if spec.kind == OutputKind.USER_OUTPUT]
    output.args = (tuple(values),)


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
