"""One use of an aten operator: where it stands in the module, what it reads, and how it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import fx
from torch._ops import OpOverload

from pbgen.errors import PBGenError
from pbgen.packing.export import Constant
from pbgen.packing.step import Epilogue, Step, Weight
from pbgen.packing.weights import Weights


@dataclass(frozen=True, eq=False)
class Call:
    """`arguments` are the operator's by name, as its schema has them: steps, constants and plain numbers."""

    place: str  # for messages: conv2d in layer "block.2" (Conv2d)
    name: str  # of the step that it becomes
    shape: tuple[int, ...]  # of its value for one image
    arguments: dict[str, Any]
    weights: Weights

    def __getitem__(self, argument: str) -> Any:
        return self.arguments[argument]

    def value(self, argument: str = "") -> Step:
        """The step whose value the argument is, the first argument by default."""
        return self.as_value(self[argument or next(iter(self.arguments))])

    def as_value(self, argument: Any) -> Step:
        if isinstance(argument, Constant):
            raise self.refuse(
                f'reads "{argument.name}", a learned or fixed tensor, as if it were an input; '
                "only layers' weights, and numbers for each channel to add or multiply, can be packed"
            )
        if not isinstance(argument, Step):
            raise self.refuse(f"{argument!r} where a value is expected")
        return argument

    def constant(self, argument: str) -> Constant:
        """The weights or other fixed numbers that the argument is."""
        value = self[argument]
        if not isinstance(value, Constant):
            raise self.refuse(f"its {argument} is computed from the input; only fixed weights can be packed")
        return value

    def step(
        self,
        op: str,
        inputs: list[Step],
        attributes: dict[str, Any] | None = None,
        weight: Weight | None = None,
        epilogue: Epilogue | None = None,
    ) -> Step:
        return Step(op, self.name, inputs, self.shape, attributes or {}, weight, epilogue)

    def refuse(self, why: str) -> PBGenError:
        return PBGenError(f"{self.place}: {why}")


def arguments(node: fx.Node, values: dict[fx.Node, Any]) -> dict[str, Any]:
    """The operator's arguments by name, defaults filled in, other operators' results put in their places."""
    assert isinstance(node.target, OpOverload)
    schema = node.target._schema.arguments
    names = [argument.name for argument in schema]
    found = {argument.name: argument.default_value for argument in schema}
    found.update(zip(names, node.args, strict=False))
    found.update(node.kwargs)
    return {name: fx.node.map_arg(argument, values.__getitem__) for name, argument in found.items()}


def place(node: fx.Node) -> str:
    """The operator and the innermost module that called it, for messages."""
    operator = str(node.target).removeprefix("aten.").partition(".")[0]
    path, kind = layer(node)
    where = f'layer "{path}"' if path else "the module's own forward"
    return f"{operator} in {where} ({kind})"


def layer(node: fx.Node) -> tuple[str, str]:
    """Path and class name of the innermost module that called the operator."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path, kind = stack[-1] if stack else ("", "")
    return path, str(kind).rpartition(".")[2]
