"""What torch traces only with fixed sizes, or not at all, in other words of the same meaning."""

from typing import Any

import torch
from torch import Tensor, nn
from torch._numpy._ndarray import ndarray
from torch.overrides import TorchFunctionMode

from pbgen.packing.counted import Counted
from pbgen.packing.numpy_of_sizes import as_tensor
from pbgen.packing.of_free_size import of_free_size
from pbgen.packing.places import max_pool1d
from pbgen.packing.untraced import InverseFourierError
from pbgen.packing.written_down import WrittenDown

_DRAWING = (torch.randn, torch.rand, torch.randint, torch.randperm, torch.normal)


class InOtherWords(TorchFunctionMode):
    """While entered, functions of torch are replaced as they are called."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._written_down, self._counted = WrittenDown(), Counted(module)

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if found := self._written_down.read(function, args) or self._counted.read(function, args):
            return found[0]
        made = self._made(function, self._counted.said(function, args), dict(kwargs or {}))
        self._written_down.follow(function, args, kwargs or {}, made)
        self._counted.follow(function, args, kwargs or {}, made)
        return made

    def _made(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if getattr(function, "__self__", None) is Tensor.data:  # which passes by what torch traces
            if function.__name__ == "__get__":
                return args[0].detach()
            if args[0].shape == args[1].shape:
                return args[0].detach().copy_(args[1])
        if function in (torch.istft, Tensor.istft):
            raise InverseFourierError
        if function is torch.complex:  # which torch would take apart into writing to real and imaginary part
            return _complex(*args, **kwargs)
        if function is torch.polar:
            return _polar(*args, **kwargs)
        if function in (torch.tensor, torch.as_tensor) and args and isinstance(args[0], ndarray):
            return as_tensor(*args, **kwargs)
        if (made := of_free_size(function, *args, **kwargs)) is not None:
            return made
        if function in _DRAWING and kwargs.get("generator", self) is None:  # with which torch takes no free sizes
            del kwargs["generator"]
        if function in (torch.max_pool1d, nn.functional.max_pool1d) and not kwargs.pop("return_indices", False):
            return max_pool1d(*args, **kwargs)
        return function(*args, **kwargs)


def _complex(real: Tensor, imag: Tensor) -> Tensor:
    return real + imag * 1j


def _polar(abs: Tensor, angle: Tensor) -> Tensor:
    return _complex(abs * angle.cos(), abs * angle.sin())
