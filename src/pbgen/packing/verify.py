"""Whether a packed file makes the images that its module makes."""

import os
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from pbgen.errors import PBGenError
from pbgen.packing.freeze import run
from pbgen.packing.rebuilt import rebuild

TOLERANCE = 1e-4  # of the largest value of the output
ROUNDED = 1e-2  # the most that rounding is given credit for: a wrong step does more


def verify(path: str | os.PathLike[str], images: Tensor, expected: Tensor, module: nn.Module) -> None:
    """Run the file on `images` and compare with what `module` made of them; the module is in float64 afterwards.

    Raises PBGenError where the results differ by more than TOLERANCE. Where rounding alone, as in an untrained
    generator whose values grow from layer to layer, moves the module's own float32 output from its float64 output,
    ten times that is allowed, up to ROUNDED.
    """
    packed = _run(path, images)
    if packed.shape != expected.shape:
        raise PBGenError(
            f"the packed generator makes {list(packed.shape)} where the module makes {list(expected.shape)}; "
            "the module's shapes depend on the batch size"
        )
    error = _difference(packed, expected)
    if not error <= TOLERANCE and not error <= min(ROUNDED, 10 * _rounding(module, images, expected)):
        raise PBGenError(
            f"the packed generator's output differs from the module's by {error:.1e} of its scale "
            f"({TOLERANCE:.0e} allowed); the module must depend on nothing but its input and its weights"
        )


def _difference(images: Tensor, expected: Tensor) -> float:
    """The largest difference, as a part of the largest value."""
    return float((images - expected).abs().max()) / (float(expected.abs().max()) or 1.0)


def _rounding(module: nn.Module, images: Tensor, expected: Tensor) -> float:
    try:
        return _difference(run(module.double(), images.double()), expected)
    except PBGenError:  # it insists on float32
        return 0.0


def _run(path: str | os.PathLike[str], images: Tensor) -> Tensor:
    if find_spec("pbgen._core") is None:  # a source tree that was not built
        with torch.no_grad():
            return torch.as_tensor(rebuild(path)(images))
    from pbgen.engine import Engine

    return torch.from_numpy(Engine(path)(images.numpy()))
