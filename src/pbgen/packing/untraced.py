"""Why torch.export cannot follow a module, said with the layer's name and a remedy instead of torch's own words."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from torch import Tensor, nn

from pbgen.errors import PBGenError
from pbgen.modules import first_line
from pbgen.packing.left_behind import is_own

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
_COMPLEX = (
    "it computes with complex numbers, which cannot be packed, nor can Fourier transforms; let the module end before "
    "them, at magnitude and phase or real and imaginary part"
)
RECURRENT = "recurrent layers cannot be packed; a packed generator has no loop"
_FLOW = (
    "it calls a flow that hangs on values (torch.cond, torch.while_loop), and a packed file always takes the same way; "
    "leave it out of the module"
)
_KEY = "it looks up {}, a text of free sizes, in a dictionary that has no such key"
_REASONS = (
    (_FLOW, re.compile("[Hh]igher.?[Oo]rder.?[Oo]perator")),
    (_READ, re.compile("data-dependent|DataDependent|_local_scalar_dense|Cannot cast FakeTensor|numpy.. is not supp")),
    (_LOST, re.compile("found a fake tensor")),
    (_FOURIER, re.compile("InverseFourierError")),
)
_ATTRIBUTE = re.compile(r"model attribute: (?:(\S+)\.)?\w+\.")


class InverseFourierError(Exception):
    """A call of istft. Where sizes are free, torch refuses it without its name."""


def untraced(module: nn.Module, error: Exception) -> PBGenError:
    """What to raise where torch.export of `module` raises `error`."""
    said, path = first_line(error), _path(module, error)
    reason = next((reason for reason, words in _REASONS if words.search(f"{type(error).__name__}: {said}")), None)
    if isinstance(module.get_submodule(path), nn.RNNBase):
        reason = RECURRENT
    elif reason == _READ and _is_complex(error):
        reason = _COMPLEX
    elif isinstance(error, KeyError) and re.search(r"\bs\d+", said):
        reason = _KEY.format(said)
    elif reason is None:
        reason = re.sub(r"\s*Please file an issue\b[^.]*\.?", "", said)
        if not reason or reason.startswith("It looks like"):
            reason = f"{type(error).__name__}: {said}"
    place = _place(module, path, error)
    return PBGenError(f"{type(module).__name__} cannot be traced by torch.export: {place}{reason}")


def _is_complex(error: Exception) -> bool:
    """Whether the innermost code of the module that was at work holds complex numbers: their refusal would come next,
    once what it reads is mended."""
    held = [list(frame.f_locals.values()) for frame, _ in _own_lines(error)][-1:]
    return any(isinstance(value, Tensor) and value.is_complex() for values in held for value in values)


def _place(module: nn.Module, path: str, error: Exception) -> str:
    """layer "block.2" (Own), own.py line 7: the innermost that was at work, and what of its code."""
    found = [f'layer "{path}" ({type(module.get_submodule(path)).__name__})'] if path else []
    found += [f"{Path(frame.f_code.co_filename).name} line {line}" for frame, line in _own_lines(error)[-1:]]
    return f"{', '.join(found)}: " if found else ""


def _path(module: nn.Module, error: Exception) -> str:
    """Of the innermost layer that was at work; empty for the module itself."""
    if attribute := _ATTRIBUTE.search(str(error)):
        return attribute[1] or ""
    names = {id(part): name for name, part in module.named_modules()}
    within = [names[id(part)] for frame, _ in _lines(error) if id(part := frame.f_locals.get("self")) in names]
    return within[-1] if within else ""


def _own_lines(error: BaseException) -> list[tuple[FrameType, int]]:
    """Of code that is neither torch's nor ours."""
    return [(frame, line) for frame, line in _lines(error) if is_own(frame.f_globals.get("__name__", "torch"))]


def _lines(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next
