"""The line of somebody's own code at which torch takes something for granted about sizes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from traceback import FrameSummary
from types import FrameType
from typing import Any
from unittest.mock import patch

from torch.fx.experimental import symbolic_shapes
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from pbgen.packing.left_behind import is_own

_plain: Any = ShapeEnv._get_stack_summary


@contextmanager
def lines_noted(tracing: str) -> Iterator[None]:
    """While entered, what torch takes for granted has this line beside that of torch; `tracing` is the name of the
    Python module that calls torch.export, whose callers are not at work in the module that is traced."""

    def noted(environment: ShapeEnv, *args: Any, **kwargs: Any) -> tuple[Any, str]:
        place, debugging = _plain(environment, *args, **kwargs)
        return replace(place, maybe_user_loc=_own_line(tracing) or place.maybe_user_loc), debugging

    passed_by = symbolic_shapes.uninteresting_files() | {__file__}
    with (
        patch.object(ShapeEnv, "_get_stack_summary", noted),
        patch.object(symbolic_shapes, "uninteresting_files", lambda: passed_by),
    ):
        yield


def _own_line(tracing: str) -> FrameSummary | None:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and (name := frame.f_globals.get("__name__", "torch")) != tracing:
        if is_own(name):
            return FrameSummary(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name, lookup_line=False)
        frame = frame.f_back
    return None
