"""Charts, as matplotlib figures without global state.

Ink is drawn in one colour that the HTML page replaces by that of its text, so that a chart fits light and dark pages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from pbgen.errors import PBGenError
from pbgen.files import write_atomically
from pbgen.report import text
from pbgen.visible import visible

if TYPE_CHECKING:
    from pbgen.bench import Comparison
    from pbgen.redundancy import Plan

INK = "#333435"
BINARY, FLOAT, NEUTRAL = "#0077bb", "#dd6611", "#8a8f98"
SERIES = ("#dd6611", "#0077bb", "#009988", "#aa3377", "#997700", "#8a8f98")
"""Told apart by colour-blind readers (after Paul Tol's vibrant and bright schemes), readable on white and on black."""

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "font.family": "sans-serif",
    "text.parse_math": False,  # names may have dollar signs
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
}
WIDTH = 6.0
"""Inches: narrow enough that the text stays legible when a phone shows the whole chart."""

DOTS = 200
"""An inch, of charts in pixels."""
ENDINGS = (".png", ".svg", ".pdf")

ABOVE = ("data", "axes fraction")

Rows = Sequence[Mapping[str, float | None]]


@dataclass(frozen=True)
class Bar:
    """One bar: its value, the ends of its spread, and the text beside it."""

    name: str
    value: float
    low: float
    high: float
    label: str
    colour: str = NEUTRAL


def redundancy_chart(plan: "Plan") -> Figure:
    """Degree of redundancy R of every layer on a logarithmic axis; from the threshold on, weights are binary."""
    names = [visible(layer.name) for layer in plan.layers]
    values = [layer.degree_of_redundancy for layer in plan.layers]
    low = min(1.0, *values) if values else 1.0
    high = max([plan.threshold, *values]) * 2
    with rc_context(STYLE):
        figure = Figure((WIDTH, 1.2 + 0.34 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        colours = [BINARY if layer.binary else FLOAT for layer in plan.layers]
        axes.barh(names, values, height=0.62, color=colours, left=0)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        for i, layer in enumerate(plan.layers):
            label = f"{text.number(layer.degree_of_redundancy)}  {'binary' if layer.binary else 'float'}"
            _write(axes, label, (1, i), (6, 0), ("axes fraction", "data"), colours[i])
        axes.axvline(plan.threshold, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        _write(axes, f"threshold {text.number(plan.threshold)}", (plan.threshold, 1), (0, 8), ABOVE, align="center")
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(FixedLocator([10.0**k for k in _decades(low, high)]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(_power_of_ten))
        axes.set_xlabel("degree of redundancy R")
    return figure


def training_chart(runs: Mapping[str, Rows]) -> Figure:
    """Losses of generator and discriminator and the share of weights that flip, against the step.

    runs: for each run its rows with `step`, `generator_loss`, `discriminator_loss` and, where weights are binary,
    `generator_flips` and `discriminator_flips`. Each curve is smoothed, its raw values faint behind it.
    """
    columns = {key for rows in runs.values() for row in rows for key in row if row[key] is not None}
    panels = _LOSSES + tuple((title, key) for title, key in _FLIPS if key in columns)
    with rc_context(STYLE):
        figure = Figure((WIDTH, 0.7 + 1.65 * len(panels)), layout="constrained")
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)
        for axes, (title, key) in zip(grid[:, 0], panels, strict=True):
            axes.set_title(title)
            for (name, rows), colour in zip(runs.items(), SERIES * len(runs), strict=False):
                _curve(axes, name, rows, key, colour)
            axes.margins(x=0.01)
        grid[-1, 0].set_xlabel("step")
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=len(runs))
    return figure


def curve_chart(points: Sequence[tuple[int, float, float]]) -> Figure:
    """PSNR in decibels against the step: (step, median, worst)."""
    steps, medians, worst = np.array(points, dtype=np.float64).T
    with rc_context(STYLE):
        figure = Figure((WIDTH, 2.6), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(steps, medians, color=BINARY, linewidth=1.5, label="median")
        axes.plot(steps, worst, color=NEUTRAL, linewidth=1.0, label="worst")
        axes.set_title("PSNR, dB")
        axes.set_xlabel("step")
        axes.legend()
    return figure


def bar_chart(bars: Sequence[Bar], axis: str, floor: Bar | None = None) -> Figure:
    """Horizontal bars from zero with their spread and labels; `floor` is drawn as a band that no bar can go below."""
    with rc_context(STYLE):
        figure = Figure((WIDTH, 0.75 + 0.42 * len(bars) + 0.25 * (floor is not None)), layout="constrained")
        axes = figure.add_subplot()
        high = max([bar.high for bar in bars] + ([floor.high] if floor else []))
        for i, bar in enumerate(bars):
            axes.barh(i, bar.value, height=0.58, color=bar.colour)
            if bar.high > bar.low:
                axes.plot([bar.low, bar.high], [i, i], color=INK, linewidth=1.2)
            _write(axes, bar.label, (max(bar.value, bar.high), i), (6, 0))
        if floor:
            axes.axvspan(floor.low, floor.high, color=NEUTRAL, alpha=0.35, linewidth=0)
            axes.axvline(floor.value, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
            _write(axes, floor.label, (floor.value, 1), (0, 8), ABOVE)
        axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
        axes.set_xlim(0, high * 1.3 or 1)
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(axis)
    return figure


def bench_chart(comparison: "Comparison") -> Figure:
    """The time of a run of every engine, ours in colour, from the 10th to the 90th percentile."""
    bars = []
    for m in comparison.measurements:
        median, low, high = (seconds * 1e3 for seconds in (m.median, m.low, m.high))
        bars.append(Bar(m.title, median, low, high, f"{float(f'{median:.3g}'):,g} ms", _OURS.get(m.engine, NEUTRAL)))
    what = "an image" if comparison.batch == 1 else f"{comparison.batch} images at once"
    figure = bar_chart(bars, "milliseconds: median, 10th to 90th percentile")
    name, threads = visible(Path(comparison.file).stem), comparison.threads
    with rc_context(STYLE):
        figure.axes[0].set_title(f"{name}: {what} on {threads} threads\n{comparison.processor}")
    return figure


def check_chart(path: Path) -> None:
    """Raises PBGenError where the ending of a file's name is none of a chart."""
    if path.suffix not in ENDINGS:
        raise PBGenError(f"{path}: the ending '{path.suffix}' is no chart's; it can be {', '.join(ENDINGS)}")


def save_chart(figure: Figure, path: Path) -> None:
    """Write a chart atomically, in the format that the name's ending says. Raises PBGenError where it cannot."""
    check_chart(path)
    write_atomically(path, lambda file: figure.savefig(file, format=path.suffix[1:], dpi=DOTS))


_OURS = {"pbgen": BINARY, "pbgen-int8": "#66aad7"}
_LOSSES = (("generator loss", "generator_loss"), ("discriminator loss", "discriminator_loss"))
_FLIPS = (
    ("share of the generator's binary weights that flip in a step", "generator_flips"),
    ("share of the discriminator's binary weights that flip in a step", "discriminator_flips"),
)


def _write(
    axes: Axes,
    words: str,
    at: tuple[float, float],
    offset: tuple[float, float],
    frame: tuple[str, str] = ("data", "data"),
    colour: str = INK,
    align: Literal["left", "center"] = "left",
) -> None:
    axes.annotate(words, at, offset, frame, "offset points", ha=align, va="center", color=colour, annotation_clip=False)


def _curve(axes: Axes, name: str, rows: Rows, key: str, colour: str) -> None:
    points = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
    if not points:
        axes.plot([], [], color=colour, label=name)
        return
    steps, values = np.array(points, dtype=np.float64).T
    axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.7)
    axes.plot(steps, _smooth(values), color=colour, linewidth=1.5, label=name)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred moving average over a twentieth of the curve, shorter at its ends."""
    reach = max(1, len(values) // 40)
    total = np.concatenate([[0.0], np.cumsum(values)])
    centre = np.arange(len(values))
    low, high = np.maximum(centre - reach, 0), np.minimum(centre + reach + 1, len(values))
    smoothed: NDArray[np.float64] = (total[high] - total[low]) / (high - low)
    return smoothed


def _decades(low: float, high: float) -> range:
    first, last = int(np.ceil(np.log10(low))), int(np.floor(np.log10(high)))
    return range(first, last + 1, 2 if last - first > 6 else 1)


def _power_of_ten(value: float, _position: int) -> str:
    exponent = round(np.log10(value))
    if exponent < 4:
        return f"{value:,g}"
    return "10" + str(exponent).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
