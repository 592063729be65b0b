"""Whether engines make the same images: exactly so with float32 activations, nearly so with int8 ones."""

import math

import numpy as np

from pbgen.bench.engines import ENGINES, Floats
from pbgen.errors import PBGenError

TOLERANCE = 1e-3
"""Largest absolute difference at which another float32 engine still counts as computing the same, where our values fill
-1 to 1; less where their range is smaller, as that of an untrained generator, whose images are nearly grey."""
LEAST_PSNR = 30.0
"""dB at which images of rounded activations still count as the same picture."""
MOST_PSNR = 150.0
"""dB, as of images that are the same to the last bit of float32."""


def largest_difference(images: Floats, ours: Floats) -> float:
    """Absolute; NaN where one of them has NaN."""
    return float(np.abs(images - ours).max())


def psnr(images: Floats, ours: Floats) -> float:
    """Peak signal-to-noise ratio in dB, 20 log10(peak / root mean square difference), at most MOST_PSNR.

    The peak is the range of our values, 2 where they fill -1 to 1.
    """
    noise = math.sqrt(float(np.square(images - ours, dtype=np.float64).mean()))
    return min(20 * math.log10(_range(ours) / noise), MOST_PSNR) if noise else MOST_PSNR  # NaN stays NaN


def check(engine: str, images: Floats, ours: Floats) -> None:
    """Raises PBGenError where an engine of ENGINES makes other images than our float32 ones."""
    title = ENGINES[engine].title
    if images.shape != ours.shape:
        raise PBGenError(f"{title} makes other images than PBGen: of shape {images.shape}, not {ours.shape}")
    difference, ratio = largest_difference(images, ours), psnr(images, ours)
    if ENGINES[engine].int8:
        if not ratio >= LEAST_PSNR:
            raise PBGenError(f"{title} makes other images than PBGen: PSNR {ratio:.0f} dB, below {LEAST_PSNR:.0f}")
    elif not difference <= TOLERANCE * _range(ours) / 2:
        raise PBGenError(
            f"{title} makes other images than PBGen: they differ by up to {difference:.2g}; "
            "leave it out by naming others with --engine"
        )


def _range(ours: Floats) -> float:
    """From the lowest to the highest value; 2 where all are the same."""
    return float(ours.max() - ours.min()) or 2.0
