"""NumPy in a module's own code, as in `np.linspace(-1, 1, width)`: its arrays have numbers alone, which fixes free
sizes; while a module is traced, those that sizes count are torch's, by torch's own copy of NumPy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch._numpy as of_torch
import torch.utils._pytree as pytree
from torch import Tensor
from torch._numpy._ndarray import ndarray

_SIZES = (torch.SymInt, torch.SymFloat)

_MAKERS = {"arange", "linspace", "logspace", "geomspace", "zeros", "ones", "empty", "full", "eye", "identity", "tri"}
_MAKERS |= {"hanning", "hamming", "blackman", "bartlett", "indices", "tile", "repeat", "broadcast_to"}


_OF_ONE: dict[str, Callable[..., Any]] = {
    "sqrt": torch.sym_sqrt,
    "maximum": torch.sym_max,
    "minimum": torch.sym_min,
    "round": round,
    "rint": round,
}


class NumpyOfSizes(ModuleType):
    """NumPy, but for calls that are given free sizes, or arrays that were made of such."""

    def __getattr__(self, name: str) -> Any:
        plain = getattr(np, name)
        traced, of_one = getattr(of_torch, name, None), _OF_ONE.get(name)
        if isinstance(plain, type) or not callable(plain) or traced is None:
            return plain

        def call(*args: Any, **kwargs: Any) -> Any:
            given = pytree.tree_leaves((args, kwargs))
            if any(isinstance(value, ndarray) for value in given):
                return _called(traced, args, kwargs)
            if any(isinstance(value, _SIZES) for value in given):
                if name in _MAKERS:
                    return _called(traced, args, kwargs)
                if of_one is not None:
                    return of_one(*args, **kwargs)
            return plain(*args, **kwargs)

        return call


def _called(traced: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    args, kwargs = pytree.tree_map(_by_name, (args, kwargs))
    return traced(*args, **kwargs)


def _by_name(value: Any) -> Any:
    """NumPy's kind of number, such as np.float32, as its name, which torch knows."""
    return value.__name__ if isinstance(value, type) and issubclass(value, np.generic) else value


numpy_of_sizes = NumpyOfSizes("numpy")

_plain_from_numpy = torch.from_numpy
_plain_astype: Callable[..., Any] = ndarray.astype


@contextmanager
def arrays_taken() -> Iterator[None]:
    """While entered, such arrays are taken for NumPy's where these become tensors, and NumPy's types for torch's."""

    def from_numpy(value: Any) -> Tensor:
        return value.tensor if isinstance(value, ndarray) else _plain_from_numpy(value)

    def astype(array: Any, dtype: Any, *more: Any, **others: Any) -> Any:
        return _plain_astype(array, _by_name(dtype), *more, **others)

    with patch.object(torch, "from_numpy", from_numpy), patch.object(ndarray, "astype", astype):
        yield


def as_tensor(array: ndarray, dtype: torch.dtype | None = None, **others: Any) -> Tensor:
    """What torch.tensor makes of such an array."""
    tensor: Tensor = array.tensor if dtype is None else array.tensor.to(dtype)
    return tensor
