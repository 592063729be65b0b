"""What a traced graph calls: overloads of operators, and those in place."""

from typing import Any

import torch

from pbgen.operators import name_of


def overload_of(target: Any) -> str:
    """An operator's name with its overload: add.Tensor."""
    return f"{name_of(target)}.{getattr(target, '_overloadname', '')}"


def out_of_place(target: Any) -> Any:
    """Of an operator in place the one that makes a new value, if there is one."""
    name = name_of(target)
    packet = getattr(torch.ops.aten, name[:-1], None) if name.endswith("_") else None
    return getattr(packet, target._overloadname, getattr(packet, "p", None)) if packet is not None else None
