"""The page about a compressed module: what it makes beside what the float module makes."""

import os
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from pbgen.bench import Comparison
from pbgen.compression.info import CompressInfo
from pbgen.compression.judge import Judge, to_pixels
from pbgen.compression.sound import is_sound, spectrogram
from pbgen.compression.table import compress_table
from pbgen.pictures import image_grid
from pbgen.report import html, text
from pbgen.report.charts import curve_chart
from pbgen.report.engines import engine_blocks
from pbgen.training.teacher import outputs

if TYPE_CHECKING:
    from PIL import Image

SHOWN = 8
_WIDEST = 256  # pixels of a picture beside others
_GAINS = 4, 64  # of the differences that are shown, the least and the most


def write_compress_page(
    info: CompressInfo,
    student: nn.Module,
    judge: Judge,
    comparison: Comparison | None,
    path: str | os.PathLike[str],
) -> None:
    """Write the page to `path` atomically."""
    lead = (
        f"A trained module of {text.size(info.float_bytes)} in float32, packed to {text.size(info.packed_bytes)}. Its "
        "layers have weights of few bits, and it learned to make again what it made before."
    )
    blocks = [*_headline(info), *_pictures(student, judge), *_layers(info), *_curve(info), *_engines(comparison)]
    html.write_page(path, html.page("A generator made small", lead, blocks))


def _headline(info: CompressInfo) -> list[str]:
    facts = [
        (text.times(info.ratio), f"smaller: {info.packed_bytes:,} bytes instead of {info.float_bytes:,}"),
        (
            f"{info.psnr.median:.1f} dB",
            f"PSNR to the float module, median of held-out inputs; worst {info.psnr.worst:.1f}",
        ),
        (text.duration(info.seconds), f"of learning, {info.curve[-1].step:,} steps"),
    ]
    found = info.distances
    if found.swd is not None and found.floor is not None:
        facts.append(
            (f"{found.swd:.1f}", f"SWD of its images to the float module's; of those to their own: {found.floor:.1f}")
        )
    if found.log_mel is not None:
        facts.append((f"{found.log_mel:.2f} dB", "mean difference of log-mel spectra to the float module's sounds"))
    return [html.facts(facts)]


def _pictures(student: nn.Module, judge: Judge) -> list[str]:
    """The first output of held-out examples, as pictures; of sounds, their spectra."""
    expected = [made[0] for made in judge.expected[:SHOWN]]
    made = [outputs(student, batch)[0] for batch in judge.batches[:SHOWN]]
    rows = [[_shown(one, judge.ranges[0]) for one in values] for values in (expected, made)]
    if any(picture is None for row in rows for picture in row):
        return [html.paragraph("The outputs are neither pictures nor sounds, so none are shown.")]
    right, near = (np.stack([picture for picture in row if picture is not None]) for row in rows)
    apart = np.abs(right.astype(np.int16) - near.astype(np.int16))
    gain = _gain(int(apart.max()))
    kinds = (
        ("float", right),
        ("compressed", near),
        (f"difference, {gain} times", (apart * gain).clip(0, 255).astype(np.uint8)),
    )
    scale = max(1, 128 // right.shape[-1])
    blocks = [html.picture(_grid(images), name, scale) for name, images in kinds]
    sound = expected[0].dim() < 4
    words = (
        "Spectra of held-out sounds; nobody has listened, the numbers stand for it."
        if sound
        else ("What both make of inputs that were held out.")
    )
    return [html.heading("Side by side"), html.paragraph(words), html.side_by_side(blocks)]


def _gain(largest: int) -> int:
    """By which differences are shown, so that small ones are seen: a power of two."""
    least, gain = _GAINS
    while gain > least and gain * largest > 255:
        gain //= 2
    return gain


def _grid(images: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> "Image.Image":
    return image_grid(images, columns=2)


def _shown(value: Tensor, ends: tuple[float, float]) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None":
    """uint8 (C, H, W), the middle of what is large."""
    if is_sound(value):
        picture = to_pixels(spectrogram(value), (-100.0, 40.0))
    elif value.dim() == 4 and value.shape[1] >= 1:
        picture = to_pixels(value[0, : 3 if value.shape[1] >= 3 else 1], ends)
    else:
        return None
    top, left = (max(0, (size - _WIDEST) // 2) for size in picture.shape[1:])
    return np.asarray(torch.as_tensor(picture)[:, top : top + _WIDEST, left : left + _WIDEST].numpy())


def _layers(info: CompressInfo) -> list[str]:
    return [
        html.heading("Which layer got how many bits"),
        html.table(
            compress_table(info),
            "R: degree of redundancy, from the dimensions alone. 1 to 4 bits: signal to noise of the outputs in "
            "decibels where that layer alone has so many bits, levels, scales and shifts fitted, nothing learned: by "
            "these the bits were chosen. Bytes are those of the weights; float16 where they stay in float.",
        ),
    ]


def _curve(info: CompressInfo) -> list[str]:
    points = [(point.step, point.psnr.median, point.psnr.worst) for point in info.curve]
    return [
        html.heading("How it learned"),
        html.chart(curve_chart(points), f"PSNR to the float module on held-out inputs. {_kept(info)}"),
    ]


def _kept(info: CompressInfo) -> str:
    if info.distances.swd is None:
        return "The best step is what was packed."
    return (
        "A discriminator, whose real images are the float module's, taught beside it: images become as good as these "
        "rather than the same, so the last step is what was packed."
    )


def _engines(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return []
    words = (
        "The packed file in PBGen's engine, and in the others what it stands for: the same network with weights in "
        "float32, which is as large and as slow as the float module; where nothing else is said, one input at a time."
    )
    return [html.heading("What it needs"), html.paragraph(words), *engine_blocks(comparison)]
