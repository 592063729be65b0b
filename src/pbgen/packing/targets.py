"""Names of what a traced graph calls."""

from typing import Any


def name_of(target: Any) -> str:
    """An operator's name without namespace and overload: aten.add.Tensor is add."""
    schema = getattr(target, "_schema", None)
    return schema.name.rpartition("::")[2] if schema is not None else getattr(target, "__name__", str(target))


def overload_of(target: Any) -> str:
    """An operator's name with its overload: add.Tensor."""
    return f"{name_of(target)}.{getattr(target, '_overloadname', '')}"
