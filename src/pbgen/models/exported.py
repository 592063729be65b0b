"""An exported program, what `torch.export.save` wrote, as a module whose convolutions and linear layers are layers.

The program is a graph of operators, with its weights at the names that they had. Where an operator of LAYERS takes its
weight as it is, and nothing else does, a layer takes the operator's place, named as the weight's owner was: so a plan
names layers as the author did, and they can be fitted as layers can.
"""

import operator
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from pbgen.errors import PBGenError
from pbgen.modules import first_line

_aten = torch.ops.aten
_PLAIN: dict[int, type[nn.Module]] = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}
_TRANSPOSED: dict[int, type[nn.Module]] = {3: nn.ConvTranspose1d, 4: nn.ConvTranspose2d, 5: nn.ConvTranspose3d}

LAYERS: dict[Any, dict[int, type[nn.Module]]] = {
    _aten.linear.default: {2: nn.Linear},
    _aten.conv1d.default: _PLAIN,
    _aten.conv1d.padding: _PLAIN,
    _aten.conv2d.default: _PLAIN,
    _aten.conv2d.padding: _PLAIN,
    _aten.conv3d.default: _PLAIN,
    _aten.conv3d.padding: _PLAIN,
    _aten.conv_transpose1d.default: _TRANSPOSED,
    _aten.conv_transpose2d.input: _TRANSPOSED,
    _aten.conv_transpose3d.input: _TRANSPOSED,
}
"""The layer that an operator stands for, by the dimensions of its weight; `convolution` is either, see `_kind`."""

_TRAINING: dict[Any, str] = {
    _aten.batch_norm.default: "training",
    _aten.instance_norm.default: "use_input_stats",
    _aten.dropout.default: "train",
    _aten.dropout_.default: "train",
}
"""What is told otherwise in training, and the argument that says so."""


def read_exported(path: Path) -> nn.Module:
    """The module that the program in `path` was made of, in evaluation; `example_input` is what it was exported with.

    Reading may run code that the file holds, as `torch.load` does. The file's dimensions need not be free ones, but for
    the batch: other sizes are tried as with any module.

    Raises PBGenError where it cannot be read, was exported in training, holds no inputs to run it on, takes some by
    keyword, or has a fixed batch.
    """
    program = _load(path)
    example = _example(path, program)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about its own graphs
        graph = program.module(check_guards=False)
    _check_evaluation(path, graph)
    module = fx.GraphModule(graph, graph.graph)  # an exported program's own cannot be put into evaluation
    for node in list(module.graph.nodes):
        _put_layer(module, node)
    module.graph.eliminate_dead_code()
    module.recompile()
    module.eval()
    _check_batch(path, module, example)
    vars(module)["example_input"] = example[0] if len(example) == 1 else example
    return module


def _load(path: Path) -> ExportedProgram:
    if not path.is_file():
        raise PBGenError(f"{path}: there is no such file; give what torch.export.save wrote")
    try:
        return torch.export.load(path)
    except MemoryError:
        raise
    except Exception as error:  # a broken file makes torch raise anything
        raise PBGenError(f"{path}: not an exported program (torch.export.save): {first_line(error)}") from None


def _example(path: Path, program: ExportedProgram) -> tuple[Tensor, ...]:
    values, named = program.example_inputs or ((), {})
    if named:
        raise PBGenError(f"{path}: takes '{next(iter(named))}' by keyword; export it with positional inputs alone")
    if not values or not all(isinstance(value, Tensor) and value.dim() > 0 for value in values):
        raise PBGenError(f"{path}: holds no tensors that it was exported with; export it with tensors (N, ...) alone")
    return tuple(value.detach() for value in values)


def _check_evaluation(path: Path, graph: fx.GraphModule) -> None:
    for node in graph.graph.nodes:
        if node.target in _TRAINING and _arguments(node)[_TRAINING[node.target]] is True:
            if node.target is _aten.instance_norm.default and node.args[3] is None:
                continue  # without statistics it has no other way
            name = str(node.target).split(".")[1]
            raise PBGenError(f"{path}: was exported in training ({name}); export module.eval()")


def _check_batch(path: Path, module: nn.Module, example: tuple[Tensor, ...]) -> None:
    """What was exported from a batch of one has that written into it, where it reshapes."""
    free = "export it with a free batch, dynamic_shapes={0: Dim.DYNAMIC} for each input, from an example of two or more"
    twice = tuple(torch.cat([value, value]) for value in example)
    try:
        with torch.no_grad():
            once, both = module(*example), module(*twice)
    except Exception as error:  # whatever an operator may raise
        raise PBGenError(f"{path}: fails with another batch; {free} ({first_line(error)})") from None
    for one, two in zip(_tensors(once), _tensors(both), strict=True):
        if one.dim() == 0 or len(two) != 2 * len(one):
            raise PBGenError(f"{path}: its batch is a fixed one; {free}")


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in torch.utils._pytree.tree_leaves(value) if isinstance(leaf, Tensor)]


def _put_layer(module: fx.GraphModule, node: fx.Node) -> None:
    """Have a layer in the place of an operator that is one."""
    if node.op != "call_function" or (node.target not in LAYERS and node.target is not _aten.convolution.default):
        return
    given = _arguments(node)
    weight, bias = given["weight"], given.get("bias")
    if not all(_is_own(parameter) for parameter in (weight, bias) if parameter is not None):
        return
    tensor = operator.attrgetter(weight.target)(module) if "." in weight.target else getattr(module, weight.target)
    kind = _kind(node, given).get(tensor.dim())
    owner = weight.target.rpartition(".")[0] or node.name
    if kind is None or not isinstance(tensor, nn.Parameter) or not _is_free(module, owner, [weight, bias]):
        return
    layer = _layer(kind, tensor, bias is not None, given)
    layer.weight = tensor
    if bias is not None:
        layer.bias = operator.attrgetter(bias.target)(module)
    module.add_submodule(owner, layer)
    with module.graph.inserting_before(node):
        node.replace_all_uses_with(module.graph.call_module(owner, (given["input"],)))
    module.graph.erase_node(node)
    for parameter in (weight, bias):
        if parameter is not None:
            module.graph.erase_node(parameter)


def _arguments(node: fx.Node) -> dict[str, Any]:
    """All arguments of an operator, by name."""
    operation: Any = node.target  # of torch, which has a schema
    arguments = operation._schema.arguments
    names = [argument.name for argument in arguments]
    defaults = {argument.name: argument.default_value for argument in arguments}
    return defaults | dict(zip(names, node.args, strict=False)) | dict(node.kwargs)


def _is_own(node: Any) -> bool:
    """Whether it is a tensor of the module, used once."""
    return isinstance(node, fx.Node) and node.op == "get_attr" and len(node.users) == 1


def _is_free(module: fx.GraphModule, owner: str, ours: list[fx.Node | None]) -> bool:
    """Whether a layer can have the place of that name: nothing is there but its own weights."""
    try:
        there = module.get_submodule(owner)
    except AttributeError:
        return True
    names = {node.target for node in ours if node is not None}
    return {f"{owner}.{name}" for name in there.state_dict()} <= names


def _kind(node: fx.Node, given: dict[str, Any]) -> dict[int, type[nn.Module]]:
    if node.target is _aten.convolution.default:
        return _TRANSPOSED if given["transposed"] else _PLAIN
    return LAYERS[node.target]


def _layer(kind: Callable[..., nn.Module], weight: Tensor, bias: bool, given: dict[str, Any]) -> nn.Module:
    """A layer without weights of its own, of the sizes of `weight`."""
    if kind is nn.Linear:
        return kind(weight.shape[1], weight.shape[0], bias, device="meta")
    groups, n = given["groups"], weight.dim() - 2
    options = {name: _each(given[name], n) for name in ("stride", "padding", "dilation")}
    if kind in _TRANSPOSED.values():
        options["output_padding"] = _each(given["output_padding"], n)
        channels = weight.shape[0], weight.shape[1] * groups
    else:
        channels = weight.shape[1] * groups, weight.shape[0]
    return kind(*channels, tuple(weight.shape[2:]), groups=groups, bias=bias, device="meta", **options)


def _each(value: Any, n: int) -> Any:
    """An option of all dimensions, as torch's layers take it."""
    if isinstance(value, str | int):
        return value
    return tuple(value) * n if len(value) == 1 else tuple(value)
