"""A module as the list of aten operators that torch.export sees, with the tensors that they read."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from pbgen.errors import PBGenError
from pbgen.modules import first_line
from pbgen.packing.freeze import Frozen

# A batch is traced with this many images: a prime that the dimensions of images seldom divide by, so that a reshape
# across the batch shows in dimension 0. Tracing computes no values, so its size costs nothing.
BATCH = 13


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that does not depend on the input; one object however many operators and names share it."""

    name: str
    tensor: Tensor
    binary: frozenset[str] = frozenset()  # the binary layers whose weights it comes from


@dataclass(frozen=True)
class Exported:
    """Operators in order, the constants by the name of their placeholder, and the name of the operator that ends it."""

    nodes: list[torch.fx.Node]
    constants: dict[str, Constant]
    output: str
    leaves: frozenset[str]  # names of the modules that hold no others

    @property
    def read(self) -> set[Constant]:
        """The constants that the operators read."""
        return {self.constants[node.name] for node in self.nodes if node.name in self.constants and node.users}

    @property
    def float_bytes(self) -> int:
        """Bytes in float32 of the tensors that the operators read, shared ones once."""
        return sum(4 * constant.tensor.numel() for constant in self.read if constant.tensor.is_floating_point())


def export(frozen: Frozen, example: Tensor) -> Exported:
    """Trace the module on a batch like `example` (N, ...), without computing anything.

    Raises PBGenError where torch.export cannot follow the module.
    """
    batch = example[:1].repeat(BATCH, *[1] * (example.dim() - 1))
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch's own deprecations, and advice about speed that is not ours
            program = torch.export.export(frozen.module, (batch,)).run_decompositions({})
    except Exception as error:  # torch.export raises errors of many kinds
        raise PBGenError(
            f"{type(frozen.module).__name__} cannot be traced by torch.export: {first_line(error)}"
        ) from error
    program.graph.eliminate_dead_code()
    (output,) = program.graph_signature.user_outputs
    return Exported(list(program.graph.nodes), _constants(program, frozen), str(output), _leaves(frozen.module))


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


def _leaves(module: nn.Module) -> frozenset[str]:
    return frozenset(name for name, child in module.named_modules(remove_duplicate=False) if not list(child.children()))
