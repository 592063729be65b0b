"""PBGen: image generators with one-bit weights, from the plan to the device.

Importing this package needs NumPy alone. What needs more is imported when it is first used, and says which extra
to install where it is missing.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pbgen.errors import PBGenError

__version__ = "0.2.0"

if TYPE_CHECKING:
    from pbgen import data, metrics, models, packing, training
    from pbgen.binarize import binarize, clip_latent_weights
    from pbgen.compression import compress
    from pbgen.contents import info
    from pbgen.engine import Engine
    from pbgen.measure import plan
    from pbgen.packing import pack
    from pbgen.redundancy import Plan

__all__ = [
    "Engine",
    "PBGenError",
    "Plan",
    "binarize",
    "clip_latent_weights",
    "compress",
    "data",
    "info",
    "metrics",
    "models",
    "pack",
    "packing",
    "plan",
    "training",
]

_HOME = {
    "plan": "pbgen.measure",
    "Plan": "pbgen.redundancy",
    "binarize": "pbgen.binarize",
    "clip_latent_weights": "pbgen.binarize",
    "pack": "pbgen.packing",
    "compress": "pbgen.compression",
    "Engine": "pbgen.engine",
    "info": "pbgen.contents",
}
_SUBPACKAGES = {"data", "metrics", "models", "packing", "training"}


def __getattr__(name: str) -> Any:
    if name not in _HOME and name not in _SUBPACKAGES:
        raise AttributeError(f"module 'pbgen' has no attribute '{name}'")
    try:
        if name in _SUBPACKAGES:
            return importlib.import_module(f"pbgen.{name}")
        value = getattr(importlib.import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "pbgen":
            raise
        raise ImportError(f"pbgen.{name} needs {error.name}: pip install 'pbgen[train]'") from None
    globals()[name] = value
    return value


class _Package(ModuleType):
    """Keeps pbgen.binarize the function: importing pbgen/binarize.py would set the module as attribute in its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "binarize" and isinstance(value, ModuleType):
            value = value.binarize
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
