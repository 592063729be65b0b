"""Which sizes of a traced module are free, and why others are not, as far as torch says."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from traceback import FrameSummary
from typing import Any

import sympy
import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram, ShapesCollection
from torch.export.graph_signature import InputKind
from torch.utils._sympy import functions as torch_functions

from pbgen.errors import PBGenError
from pbgen.packing.freeze import run
from pbgen.packing.sizes import count

IMAGE = 4  # dimensions of a batch of images, whose channels are never free

Axis = tuple[int, int]  # an input and a dimension of it
Inputs = tuple[Tensor, ...]

_LONGEST_LATENT = 4096  # numbers: what is longer is a sound
_MOST_TRIED = 1024  # sizes that a division makes alike
_FLOORS = (torch_functions.FloorDiv, torch_functions.CleanDiv)

_TORCH = Path(torch.__file__).parent
_OWN = Path(__file__).parent
_NUMBERS = _OWN / "numbers_of_sizes.py"


def free_shapes(module: nn.Module, inputs: Inputs, fixed: list[Axis]) -> Any:
    """What torch.export is told: sizes are free where it finds them so, but batches, images' channels and `fixed`."""
    shapes = ShapesCollection()
    for number, value in enumerate(inputs):
        free = [axis for axis in _free_axes(value) if (number, axis) not in fixed]
        shapes[value] = {axis: Dim.AUTO if axis in free else Dim.STATIC for axis in range(value.dim())}
    return shapes.dynamic_shapes(module, inputs)


def _free_axes(value: Tensor) -> list[int]:
    """Those along which others may be given: not one of length 1, which says that there is nothing to be long, as the
    height and width of a DCGAN's latent do."""
    return [axis for axis in range(2 if value.dim() == IMAGE else 1, value.dim()) if value.shape[axis] > 1]


def placeholders(program: ExportedProgram) -> list[fx.Node]:
    """The inputs, in the order of forward's arguments."""
    names = [spec.arg.name for spec in program.graph_signature.input_specs if spec.kind == InputKind.USER_INPUT]
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    return [nodes[name] for name in names]


def fixed_axes(program: ExportedProgram, inputs: Inputs) -> list[Axis]:
    """Those that are not free although they could be."""
    found = bound_axes(program)
    for number, (node, value) in enumerate(zip(placeholders(program), inputs, strict=True)):
        for axis in _free_axes(value):
            if isinstance(count(node.meta["val"].shape[axis]), int):
                found.append((number, axis))
    return found


def larger_where_fixed(module: nn.Module, inputs: Inputs, fixed: list[Axis]) -> tuple[Inputs, list[Axis]]:
    """Inputs twice the size along those axes where the module takes them so, and these axes: a size that torch fixes
    because another that hangs on it is 1 (an image that a network makes one pixel) is free there."""
    taken = [one for one in fixed if _takes(module, _twice(inputs, [one]))]
    together = [(number, axis) for number, axis in fixed if axis > 1 and (number, axis) not in taken]
    if len(together) > 1 and _takes(module, _twice(inputs, together)):
        taken += together
    return _twice(inputs, taken), taken


def _twice(inputs: Inputs, axes: list[Axis]) -> Inputs:
    larger = list(inputs)
    for number, axis in axes:
        larger[number] = torch.cat([larger[number]] * 2, axis)
    return tuple(larger)


def _takes(module: nn.Module, inputs: Inputs) -> bool:
    with suppress(PBGenError):
        run(module, inputs)
        return True
    return False


def holds(program: ExportedProgram, inputs: Inputs) -> bool:
    """Whether the program is the module's at the sizes of these inputs as well: not where it counts parts, or finds
    sizes alike, that are others there."""
    sizes = free_sizes(placeholders(program), inputs)
    equal = (guard for guard, _ in _guards(program) if isinstance(guard, sympy.Eq))
    return all(guard.subs(sizes) != sympy.false for guard in equal)


def bound_axes(program: ExportedProgram) -> list[Axis]:
    """Those whose sizes are only free to share a number between them, as latents do that go into one linear layer:
    together they are fixed. And those that are only free to be what they are, as that of a latent which is cut into so
    many parts of so many numbers."""
    guards = [guard for guard, _ in _guards(program) if isinstance(guard, sympy.Eq)]
    bound = {symbol for guard in guards for symbol in _sharing(guard)}
    bound |= {symbol for symbol in set().union(*(guard.free_symbols for guard in guards)) if _is_one(symbol, guards)}
    return [
        (number, axis)
        for number, node in enumerate(placeholders(program))
        for axis, size in enumerate(node.meta["val"].shape)
        if isinstance(size, torch.SymInt) and size.node.expr.free_symbols & bound
    ]


def _sharing(guard: Any) -> set[sympy.Symbol]:
    """The sizes of which a sum of products is a given number."""
    if not any(side.is_Integer for side in guard.args):
        return set()
    symbols = guard.free_symbols
    (sizes,) = [side for side in guard.args if not side.is_Integer] or [sympy.Integer(0)]
    if not symbols or not sizes.is_polynomial(*symbols):
        return set()
    return symbols if all(factor > 0 for factor in sympy.Poly(sizes, *symbols).coeffs()) else set()


def _is_one(symbol: sympy.Symbol, guards: list[Any]) -> bool:
    """Whether they hold for one size alone, among those that are some number when they are divided by some other."""
    alone = [guard for guard in guards if guard.free_symbols == {symbol}]
    low, high = 1, None
    for guard in alone:
        least, most = _quotient(guard, symbol)
        low = max(low, least)
        high = min((end for end in (high, most) if end is not None), default=None)
    if high is None or high - low > _MOST_TRIED:
        return False
    sizes = range(low, high + 1)
    return sum(all(guard.subs(symbol, size) != sympy.false for guard in alone) for size in sizes) == 1


def _quotient(guard: Any, symbol: sympy.Symbol) -> tuple[int, int | None]:
    """Between which sizes (size + more) // divisor is some number."""
    whole, number = guard.args
    if isinstance(whole, _FLOORS) and number.is_Integer:
        base, divisor = whole.args
        if divisor.is_Integer and (base - symbol).is_Integer:
            least = int(number * divisor - (base - symbol))
            return least, least + int(divisor) - 1
    return 1, None


def why_fixed(program: ExportedProgram, inputs: Inputs, axes: list[Axis]) -> list[str]:
    """A line for each of these that is fixed, though the module takes it larger; none of a latent's length that torch
    fixes, such as where it is cut into parts: nobody wants it longer."""
    lines = []
    for number, axis in axes:
        node, size = placeholders(program)[number], inputs[number].shape[axis]
        own, place = _place(program, node.meta["val"].shape[axis], size)
        if (number, axis) in fixed_axes(program, inputs) and (own or not _is_latent(inputs[number])):
            lines.append(
                f'the packed file works at one size alone along dimension {axis} of input "{node.name}", {size}, '
                f"although the module takes others: {place}"
            )
    return lines


def _is_latent(value: Tensor) -> bool:
    return value.dim() == 2 and value.is_floating_point() and value.shape[1] <= _LONGEST_LATENT


def _place(program: ExportedProgram, traced: Any, size: int) -> tuple[bool, str]:
    """Where the module's own code compares the size with a number or counts by it, and True; or where it calls what
    does so. `traced` is the size to torch."""
    symbols = traced.node.expr.free_symbols if isinstance(traced, torch.SymInt) else set()
    symbols = symbols or _found_to_be(size, program)

    def fixes(guard: Any) -> bool:
        return isinstance(guard, sympy.Eq) and (size in guard.args or bool(guard.free_symbols & symbols))

    if own := [frame for guard, frame in _own_guards(program) if fixes(guard)]:
        return True, _decision(own[0])
    called = [place.maybe_user_loc for guard, place in _guards(program) if fixes(guard)]
    frame = next((frame for frame in called if isinstance(frame, FrameSummary)), None)
    return False, "torch.export fixes it" if frame is None else f"torch fixes it in {_said(frame)}"


def _found_to_be(size: int, program: ExportedProgram) -> set[sympy.Symbol]:
    """The sizes that were free until the module's code asked of some multiple of them which number it is."""
    return {symbol for one in _environments(program) for symbol, value in one.replacements.items() if value == size}


def why_differs(program: ExportedProgram, inputs: Inputs) -> str | None:
    """Where the module's own code first finds other than it did in the trace what it asks of the sizes of `inputs`;
    None where it does not, as far as torch says."""
    sizes = free_sizes(placeholders(program), inputs)
    wrong = (frame for guard, frame in _own_guards(program) if guard.subs(sizes) == sympy.false)
    frame = next(wrong, None)
    return None if frame is None else _decision(frame)


def turns(program: ExportedProgram, inputs: Inputs) -> list[tuple[str, int, int]]:
    """The next larger sizes, each with its input and axis, at which the module's own code finds other than it did in
    the trace what it asks of one size, such as whether it is a multiple of 128."""
    nodes = placeholders(program)
    sizes, found = free_sizes(nodes, inputs), dict[tuple[str, int, int], None]()
    for guard in {guard: None for guard, _ in _own_guards(program)}:
        for node in nodes:
            for axis, symbol in enumerate(map(count, node.meta["val"].shape)):
                if symbol in sizes and symbol in guard.free_symbols:
                    alone = guard.subs({other: size for other, size in sizes.items() if other != symbol})
                    larger = range(sizes[symbol] + 1, 4 * sizes[symbol] + 1)[:_MOST_TRIED]
                    turned = next((size for size in larger if alone.subs(symbol, size) == sympy.false), None)
                    if turned is not None:
                        found[node.name, axis, turned] = None
    return list(found)


def free_sizes(nodes: list[fx.Node], inputs: Inputs) -> dict[sympy.Symbol, int]:
    """The free sizes of these placeholders as they are in the inputs."""
    found: dict[sympy.Symbol, int] = {}
    for node, value in zip(nodes, inputs, strict=True):
        for traced, size in zip(node.meta["val"].shape, value.shape, strict=True):
            if isinstance(traced, torch.SymInt) and traced.node.expr.is_Symbol:
                found.setdefault(traced.node.expr, size)
    return found


def _decision(frame: FrameSummary) -> str:
    return f"what it does hangs on that size in {_said(frame)}"


def _said(frame: FrameSummary) -> str:
    return f"{Path(frame.filename).name}, line {frame.lineno} ({frame.name})"


def _own_guards(program: ExportedProgram) -> Iterator[tuple[Any, FrameSummary]]:
    """Those that the module's code asked for, be it by a number of Python's that we make, not torch in one of its
    functions."""
    for guard, place in _guards(program):
        frame = place.framework_loc
        if isinstance(frame, FrameSummary) and Path(frame.filename) == _NUMBERS:
            frame = place.maybe_user_loc
        if isinstance(frame, FrameSummary) and not {_TORCH, _OWN} & set(Path(frame.filename).parents):
            yield guard, frame


def _guards(program: ExportedProgram) -> Iterator[tuple[Any, Any]]:
    """What torch took for granted about sizes, each with the places in Python where it was asked: of torch's own code,
    and of the module's."""
    for environment in _environments(program):
        for guard in environment.guards:
            yield guard.expr, guard.sloc


def _environments(program: ExportedProgram) -> list[Any]:
    """Where torch keeps what it knows of a program's sizes: one, if any."""
    values = [node.meta["val"] for node in placeholders(program)]
    found = [value.fake_mode.shape_env for value in values if getattr(value, "fake_mode", None) is not None]
    return [one for one in found[:1] if one is not None]
