"""Operators in place, such as relu_, as those that make a new value."""

from typing import Any

import torch
from torch import fx

from pbgen.operators import name_of
from pbgen.packing.targets import out_of_place

_PARTS = {"slice": "slice_scatter", "select": "select_scatter"}  # of a value, and what writes them to a new one
_HANDING_ON = {"to", "type_as", "contiguous", "detach"}  # all of a value, as `zeros(...).to(x)` does, or a copy

# Composite operators whose schema does not say that they may hand on their input.
_PERHAPS_VIEWS = {"reshape", "contiguous", "dropout", "feature_dropout", "alpha_dropout", "flatten", "to", "type_as"}
_PERHAPS_VIEWS |= {"chunk", "tensor_split", "unflatten", "movedim", "swapaxes", "pad"}
_PERHAPS_VIEWS |= {"expand_as", "view_as", "_to_copy"}


def written_anew(graph: fx.Graph) -> bool:
    """Replace operators in place. False where this is not plain: where what is written to is not an operator's own new
    value or a part of such, or where another view of it exists."""
    for node in list(graph.nodes):
        if node.op != "call_function" or not _writes(node):
            continue
        new = out_of_place(node.target)
        parts = _parts(node)
        if new is None or parts is None:
            return False
        whole = parts[-1].args[0] if parts else node.args[0]
        assert isinstance(whole, fx.Node)
        later = [user for user in whole.users if node < user]
        node.target = new
        made = node
        for part in parts:
            made = _put_back(graph, part, made)
        for user in later:
            user.replace_input_with(whole, made)
    return True


def _parts(node: fx.Node) -> list[fx.Node] | None:
    """The parts of parts of an operator's own new value to which the node writes, the smallest first; none where it
    writes to all of it; None where others may see what is written."""
    parts: list[fx.Node] = []
    value: Any = node.args[0] if node.args else None
    while isinstance(value, fx.Node) and name_of(value.target) in _PARTS and len(value.users) == 1:
        parts.append(value)
        value = value.args[0]
    known = {node, *parts}
    if not _is_own(value):
        return None
    seen_later = (_seen_after(user, node) for user in value.users if user < node and user not in known)
    return None if any(seen_later) else parts


def _is_own(value: Any) -> bool:
    """Whether an operator made the value anew, or such a one was handed on that no other reads."""
    while isinstance(value, fx.Node) and name_of(value.target) in _HANDING_ON:
        value = value.args[0]
        if not isinstance(value, fx.Node) or sum(map(_does_something, value.users)) > 1:
            return False
    return isinstance(value, fx.Node) and value.op == "call_function" and not _may_alias(value)


def _does_something(node: fx.Node) -> bool:
    """Not what asserts of which type a value is."""
    return bool(node.users) or node.op != "call_function" or _writes(node)


def _writes(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _put_back(graph: fx.Graph, part: fx.Node, made: fx.Node) -> fx.Node:
    """The value that has the part, with what was made in the part's place."""
    value = part.args[0]
    assert isinstance(value, fx.Node)
    scatter = getattr(torch.ops.aten, _PARTS[name_of(part.target)])
    with graph.inserting_after(made):
        whole = graph.call_function(scatter.default, (value, made, *part.args[1:]), part.kwargs)
    whole.meta = dict(part.meta) | {"val": value.meta["val"]}
    return whole


def _seen_after(user: fx.Node, node: fx.Node) -> bool:
    """Whether what a user of a value makes may be the value itself, or a part of it, and is read after the node."""
    return _may_alias(user) and any(node < reader or _seen_after(reader, node) for reader in user.users)


def _may_alias(node: fx.Node) -> bool:
    """Whether the node may hand on what it reads."""
    target = node.target
    return (
        not isinstance(target, torch._ops.OpOverload)
        or name_of(target) in _PERHAPS_VIEWS
        or any(one.alias_info is not None and not one.alias_info.is_write for one in target._schema.arguments)
    )
