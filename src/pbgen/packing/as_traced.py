"""What torch and a module do otherwise while torch.export follows the module, so that it can, and faster."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stderr, redirect_stdout
from functools import wraps
from io import StringIO
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, fx, nn
from torch._decomp.decompositions import upsample_compute_output_size
from torch.distributions import Distribution
from torch.fx._symbolic_trace import _Patcher
from torch.overrides import TorchFunctionMode

from pbgen.packing.freeze import uncast
from pbgen.packing.in_other_words import InOtherWords


@contextmanager
def as_traced(module: nn.Module) -> Iterator[None]:
    """While entered, the module can be traced; what it computes is the same."""
    with (
        _quiet(), torch.no_grad(), InOtherWords(module), _without_switches(module), _unmoved(), _unasked(), uncast(),
        _with_any_keyword(),
    ):  # fmt: skip
        yield


_RESIZING = {
    getattr(torch.ops.aten, f"upsample_{kind}").vec
    for kind in ("linear1d", "bilinear2d", "trilinear3d", "bicubic2d", "nearest1d", "nearest2d", "nearest3d")
}


@contextmanager
def resized_in_shape() -> Iterator[None]:
    """While entered, torch works out of what is resized how large it is, not all that it is computed by, which takes
    three quarters of some traces."""

    def resized(x: Tensor, size: Any, *options: Any) -> Tensor:
        return x.new_empty((*x.shape[:2], *upsample_compute_output_size(x.shape, size, options[-1])))

    with ExitStack() as stack:
        for operator in _RESIZING:
            stack.callback(operator._dispatch_cache.clear)  # what torch looks into first
            stack.enter_context(patch.dict(operator.py_kernels, dict.fromkeys(operator.py_kernels, resized)))
            operator._dispatch_cache.clear()
        yield


def _unmoved() -> AbstractContextManager[Any]:
    """While entered, `self.conv.to(x.device)` in a forward does nothing: all is where it is computed, and torch would
    not follow it."""
    return patch.object(nn.Module, "_apply", lambda module, *args, **kwargs: module)


def _unasked() -> AbstractContextManager[Any]:
    """While entered, a distribution does not look at the numbers that it is made of."""
    return patch.object(Distribution, "_validate_args", False)


def _with_any_keyword() -> AbstractContextManager[Any]:
    """While entered, a forward may have an argument `mod`: so torch calls the module in what it puts in the place of
    Module.__call__, where nobody else's keywords can be meant."""
    plain = _Patcher.patch_method

    def patched(patcher: _Patcher, owner: type, name: str, instead: Any, *options: Any, **others: Any) -> None:
        if (owner, name) == (nn.Module, "__call__"):
            instead.__code__ = instead.__code__.replace(co_posonlyargcount=1)
        plain(patcher, owner, name, instead, *options, **others)

    return patch.object(_Patcher, "patch_method", patched)


@contextmanager
def _without_switches(module: nn.Module) -> Iterator[None]:
    """While entered, the module's forward does not turn gradients off and on, of which there are none: at each `with
    torch.no_grad()`, such as that of a spectral norm, torch would cut the program in two and put it together again."""
    forward, own = module.forward, "forward" in vars(module)

    @wraps(forward)
    def without(*args: Any, **kwargs: Any) -> Any:
        with _NoSwitches():
            return forward(*args, **kwargs)

    module.forward = without
    try:
        yield
    finally:
        if own:
            module.forward = forward
        else:
            del module.forward


class _NoSwitches(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return None if function is torch._C._set_grad_enabled else function(*args, **(kwargs or {}))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's own deprecations, advice about speed, and the programs that it prints where it fails; and without
    the stack of each operator and size, which it takes as long to read as to make all else."""
    disabled, stackless = logging.root.manager.disable, fx.config.do_not_emit_stack_traces
    logging.disable(logging.CRITICAL)
    fx.config.do_not_emit_stack_traces = True
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        fx.config.do_not_emit_stack_traces = stackless
