"""Names of what a traced graph calls."""

from typing import Any

import torch


def name_of(target: Any) -> str:
    """An operator's name without namespace and overload: aten.add.Tensor is add."""
    schema = getattr(target, "_schema", None)
    return schema.name.rpartition("::")[2] if schema is not None else getattr(target, "__name__", str(target))


def overload_of(target: Any) -> str:
    """An operator's name with its overload: add.Tensor."""
    return f"{name_of(target)}.{getattr(target, '_overloadname', '')}"


def out_of_place(target: Any) -> Any:
    """Of an operator in place the one that makes a new value, if there is one."""
    name = name_of(target)
    packet = getattr(torch.ops.aten, name[:-1], None) if name.endswith("_") else None
    return getattr(packet, target._overloadname, getattr(packet, "p", None)) if packet is not None else None
