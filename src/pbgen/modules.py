"""A user's module as PBGen works on it: without what wraps it, and copies of it."""

import copy
import sys
import warnings
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pbgen.errors import PBGenError

# Where a wrapper's class is (not imported here: a user who has one has imported it), and what it holds the module as.
_WRAPPERS = (
    ("torch.nn.parallel", "DistributedDataParallel", "module"),
    ("torch.nn.parallel", "DataParallel", "module"),
    ("torch._dynamo.eval_frame", "OptimizedModule", "_orig_mod"),
    ("lightning_fabric.wrappers", "_FabricModule", "module"),
    ("lightning.fabric.wrappers", "_FabricModule", "module"),
)


def unwrap(module: nn.Module) -> nn.Module:
    """The module itself, out of DistributedDataParallel, DataParallel, torch.compile and Fabric, in any order.

    Raises PBGenError where it is no torch module, or a ScriptModule (or holds one), whose layers cannot be seen.
    """
    if not isinstance(module, nn.Module):
        raise PBGenError(f"module: expected a torch.nn.Module, got {type(module).__name__}")
    for home, kind, attribute in _WRAPPERS:
        if isinstance(module, getattr(sys.modules.get(home), kind, ())):
            return unwrap(getattr(module, attribute))
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            where = f"its part '{name}' is" if name else "it is"
            raise PBGenError(
                f"{type(module).__name__}: {where} a ScriptModule, whose layers cannot be seen; "
                "give the module that it was scripted or traced from"
            )
    return module


def duplicate(module: nn.Module) -> nn.Module:
    """A deep copy. Tensors that were computed with a gradient, such as weights that a hook makes, are copied detached;
    dictionaries that are their own attributes, as settings often are, are not copied.

    Raises PBGenError where the module holds what cannot be copied.
    """
    try:
        with _Detaching(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch, about the graphs of its exported programs
            return copy.deepcopy(module, {id(value): value for value in _settings(module)})
    except Exception as error:  # whatever a user's attributes may raise
        raise PBGenError(f"{type(module).__name__}: cannot be copied: {first_line(error)}") from error


def _settings(module: nn.Module) -> Iterator[dict[str, Any]]:
    """Attributes that are dictionaries with `self.__dict__ = self`: deepcopy would lose what they hold."""
    for part in module.modules():
        for value in vars(part).values():
            own = getattr(value, "__dict__", None)
            if isinstance(own, dict) and own is value:
                yield own


def inference_copy(module: nn.Module) -> nn.Module:
    """A copy of the module itself in evaluation mode, float32, on the CPU (on "meta" where it has no numbers).

    Raises PBGenError as `unwrap` and `duplicate` do, and where a parameter or buffer has no shape yet.
    """
    module = unwrap(module)
    for name, tensor in chain(module.named_parameters(), module.named_buffers()):
        if nn.parameter.is_lazy(tensor):
            raise PBGenError(f"{type(module).__name__}: its '{name}' has no shape yet; run the module once first")
    twin = duplicate(module).requires_grad_(False)
    twin.eval()  # a module's own may return nothing
    for part in twin.modules():
        # Plain attributes too, which torch leaves alone.
        for name, value in list(vars(part).items()):
            if isinstance(value, Tensor):
                vars(part)[name] = inference_tensor(value)
    twin._apply(inference_tensor)
    return twin


def inference_tensor(tensor: Tensor) -> Tensor:
    """The tensor on the CPU, where it has numbers, and in float32, where they are floating-point ones; detached."""
    tensor = tensor.detach() if tensor.is_meta else tensor.detach().cpu()
    return tensor.float() if tensor.is_floating_point() else tensor


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


class _Detaching(TorchFunctionMode):
    """While active, deepcopy takes any tensor: torch refuses those that were computed with a gradient."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is Tensor.__deepcopy__ and not args[0].is_leaf:
            return copy.deepcopy(args[0].detach(), args[1])
        return func(*args, **(kwargs or {}))
