"""Operators that are not known, as those of which torch makes them."""

import operator
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensor
from torch.export import ExportedProgram

from pbgen.operators import EachOperator, name_of
from pbgen.packing.decompositions import decomposition_of
from pbgen.packing.targets import overload_of

_SIZES = (torch.SymInt, torch.SymFloat, torch.SymBool)


def taken_apart(program: ExportedProgram, known: Collection[str]) -> ExportedProgram:
    """The program of operators whose name is in `known`, as far as torch's own decompositions go.

    Each other one is replaced where it stands. Torch takes whole programs apart as well, but traces them anew for it,
    which with free sizes takes as long as their export: that is left for what cannot be replaced alone.
    """
    parts = [_Parts(node, known) for node in program.graph.nodes if _decomposition_of(node, known) is not None]
    try:
        for each in parts:
            each.make()
    except Exception:  # whatever torch raises
        return _traced_anew(program, known)
    for each in parts:
        each.put_in_place()
    return program


def _decomposition_of(node: fx.Node, known: Collection[str]) -> Any:
    """Of an operator that is not known. Sizes are read as they are, whatever makes them."""
    sized = isinstance(node.meta.get("val"), _SIZES)
    return None if node.op != "call_function" or sized else _decomposition(node.target, known)


def _decomposition(target: Any, known: Collection[str]) -> Any:
    if not isinstance(target, torch._ops.OpOverload) or {name_of(target), overload_of(target)} & set(known):
        return None
    if (made := decomposition_of(target)) is not None:
        return made
    composite = torch._C.DispatchKey.CompositeImplicitAutograd
    if target.namespace == "aten" and target.has_kernel_for_dispatch_key(composite):
        return lambda *args, **kwargs: target._op_dk(composite, *args, **kwargs)
    return None


def _traced_anew(program: ExportedProgram, known: Collection[str]) -> ExportedProgram:
    tried: set[Any] = set()
    while True:
        found = {
            node.target: how for node in program.graph.nodes if (how := _decomposition_of(node, known)) is not None
        }
        table = {target: how for target, how in found.items() if target not in tried}
        if not table:
            return program
        tried |= set(table)
        program = program.run_decompositions(table)


class _NotAloneError(Exception):
    """An operator cannot be taken apart without the rest of its program."""


@dataclass
class _Part:
    target: torch._ops.OpOverload
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: Any


class _Parts:
    """The operators of which torch makes that of a node, of the values that torch traced it with."""

    def __init__(self, node: fx.Node, known: Collection[str]) -> None:
        self._each = EachOperator(self._recorded)
        self._node, self._known = node, known
        self._nodes: dict[int, fx.Node] = {}  # by the value's id
        self._read = [source.meta["val"] for source in _sources(node)]
        self._parts: list[_Part] = []
        self._within: list[Any] = []  # the operators that are being taken apart
        self._result: Any = None

    def make(self) -> None:
        """Raises an error where the operator cannot be taken apart alone; nothing of the graph is changed."""
        args, kwargs = fx.node.map_arg((self._node.args, self._node.kwargs), lambda source: source.meta["val"])
        with _fake_mode(self._node.graph), self._each:
            self._result = self._apart(self._node.target, args, kwargs)
        made = {id(value) for part in self._parts for value in _tensors(part.result)} | set(map(id, self._read))
        several = not isinstance(self._result, Tensor)
        if any(id(value) not in made for value in _tensors(self._result)):
            raise _NotAloneError
        if several and any(user.target is not operator.getitem for user in self._node.users):
            raise _NotAloneError

    def put_in_place(self) -> None:
        graph = self._node.graph
        self._nodes = {id(value): source for value, source in zip(self._read, _sources(self._node), strict=True)}
        with graph.inserting_before(self._node):
            for part in self._parts:
                self._insert(part)
        if isinstance(self._result, Tensor):
            self._node.replace_all_uses_with(self._nodes[id(self._result)])
        else:
            for user in list(self._node.users):
                user.replace_all_uses_with(self._nodes[id(self._result[user.args[1]])])
                graph.erase_node(user)
        graph.erase_node(self._node)

    def _recorded(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if func._schema.is_mutable:
            raise _NotAloneError
        if func not in self._within and _decomposition(func, self._known) is not None:
            with self._each:
                return self._apart(func, args, kwargs)
        result = func(*args, **kwargs)
        if any(isinstance(value, _SIZES) for value in pytree.tree_leaves(result)):
            raise _NotAloneError  # a number that is read from values
        if _tensors(result):
            self._parts.append(_Part(func, args, kwargs, result))
        return result

    def _apart(self, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        self._within.append(target)
        try:
            return _decomposition(target, self._known)(*args, **kwargs)
        finally:
            self._within.pop()

    def _insert(self, part: _Part) -> None:
        args, kwargs = fx.node.map_aggregate((part.args, dict(part.kwargs)), self._argument)
        made = self._called(part.target, args, kwargs, part.result)
        if isinstance(part.result, Tensor):
            self._nodes[id(part.result)] = made
        else:
            for number, value in enumerate(part.result):
                self._nodes[id(value)] = self._called(operator.getitem, (made, number), {}, value)

    def _argument(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._nodes[id(value)]
        return self._called(_size, (), {}, value) if isinstance(value, _SIZES) else value

    def _called(self, target: Any, args: Any, kwargs: Any, value: Any) -> fx.Node:
        made = self._node.graph.call_function(target, args, kwargs)
        made.meta = dict(self._node.meta) | {"val": value}
        return made


def _sources(node: fx.Node) -> list[fx.Node]:
    """The nodes among its arguments, in their order."""
    found: list[fx.Node] = []
    fx.node.map_arg((node.args, node.kwargs), found.append)
    return found


def _size() -> None:
    """Stands for a size, which is its node's "val"."""


def _fake_mode(graph: fx.Graph) -> Any:
    values = (node.meta.get("val") for node in graph.nodes)
    return next(value.fake_mode for value in values if isinstance(value, FakeTensor))


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in pytree.tree_leaves(values) if isinstance(value, Tensor)]
