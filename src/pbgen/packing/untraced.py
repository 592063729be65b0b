"""Why torch.export cannot follow a module, said with the layer's name and a remedy instead of torch's own words."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import torch
from torch import nn

from pbgen.errors import PBGenError
from pbgen.modules import first_line

_TORCH = Path(torch.__file__).parent
_PBGEN = Path(__file__).parent.parent
_READ = (
    "it reads numbers of a tensor in Python (if, float, item, tolist, numpy), and torch.export follows tensors alone; "
    "what hangs on weights, compute once before and keep as a buffer"
)
_LOST = (
    "its forward makes a tensor, such as a weight, in a way that torch.export does not follow, or keeps one outside of "
    "the module from one call to the next; compute it once before and keep it as a parameter or buffer"
)
_FOURIER = (
    "it calls istft, and Fourier transforms and complex numbers cannot be packed; let the module end at what goes into "
    "it, magnitude and phase or real and imaginary part"
)
_REASONS = (
    (_READ, re.compile("data-dependent|DataDependent|_local_scalar_dense|Cannot cast FakeTensor|numpy.. is not supp")),
    (_LOST, re.compile("found a fake tensor")),
    (_FOURIER, re.compile("InverseFourierError")),
)
_ATTRIBUTE = re.compile(r"model attribute: (?:(\S+)\.)?\w+\.")


class InverseFourierError(Exception):
    """A call of istft. Where sizes are free, torch refuses it without its name."""


def untraced(module: nn.Module, error: Exception) -> PBGenError:
    """What to raise where torch.export of `module` raises `error`."""
    said = first_line(error)
    reason = next((reason for reason, words in _REASONS if words.search(f"{type(error).__name__}: {said}")), None)
    if reason is None:
        reason = re.sub(r"\s*Please file an issue\b[^.]*\.?", "", said)
        if not reason or reason.startswith("It looks like"):
            reason = f"{type(error).__name__}: {said}"
    said = f"{type(module).__name__} cannot be traced by torch.export: {_place(module, error)}{reason}"
    return PBGenError(said + _line(error))


def _place(module: nn.Module, error: Exception) -> str:
    """layer "block.2" (Own): the innermost that was at work; empty for the module itself."""
    attribute = _ATTRIBUTE.search(str(error))
    if attribute:
        path = attribute[1] or ""
    else:
        names = {id(part): name for name, part in module.named_modules()}
        within = [names[id(part)] for frame, _ in _frames(error) if id(part := frame.f_locals.get("self")) in names]
        path = within[-1] if within else ""
    return f'layer "{path}" ({type(module.get_submodule(path)).__name__}): ' if path else ""


def _line(error: Exception) -> str:
    """Where the module's own code was; empty where there is none."""
    own = [(Path(frame.f_code.co_filename), line) for frame, line in _frames(error)]
    own = [(path, line) for path, line in own if not {_TORCH, _PBGEN} & set(path.parents) and path.is_file()]
    return f" ({own[-1][0].name}, line {own[-1][1]})" if own else ""


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next
