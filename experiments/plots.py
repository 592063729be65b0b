"""What the questions show: tables in Markdown, and charts in the style of PBGen's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from pbgen.report.charts import FLOAT, INK, SERIES, STYLE, WIDTH, save_chart

from .statistics import Ratio


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def ratios(found: Mapping[str, Mapping[str, Ratio]], axis: str, path: Path) -> None:
    """A dot and its interval for each name; the groups in colours of their own, 1 as a line."""
    found = {group: values for group, values in found.items() if values}
    names = list(dict.fromkeys(name for group in found.values() for name in group))
    if not names:
        return
    with rc_context(STYLE):
        figure = Figure((WIDTH, 1.0 + 0.36 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        for i, ((group, values), colour) in enumerate(zip(found.items(), SERIES[1:], strict=False)):
            offset = (i - (len(found) - 1) / 2) * 0.24
            for name, value in values.items():
                place = names.index(name) + offset
                if value.telling:
                    axes.plot([value.low, value.high], [place, place], color=colour, linewidth=1.2)
                axes.plot(value.mean, place, "o", color=colour, markersize=5)
            axes.plot([], [], "o", color=colour, label=group)
        axes.axvline(1, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        axes.set_xscale("log")
        low = min(v.low if v.telling else v.mean for group in found.values() for v in group.values())
        high = max(value.mean for group in found.values() for value in group.values())
        axes.set_xlim(min(0.8, 0.95 * low), 1.5 * high)
        _plain_numbers(axes)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel(axis)
        figure.legend(loc="outside upper left", ncols=len(found))
    save_chart(figure, path)


def losses(curves: Mapping[str, Mapping[str, Sequence[float | None]]], path: Path) -> None:
    """Both networks' losses against the step; the generator's, to which a teacher adds much, on a logarithmic axis."""
    if not curves:
        return
    panels = (("generator loss", "generator_loss"), ("discriminator loss", "discriminator_loss"))
    with rc_context(STYLE):
        figure = Figure((WIDTH, 4.2), layout="constrained")
        for axes, (title, key) in zip(figure.subplots(2, 1, sharex=True), panels, strict=True):
            axes.set_title(title)
            for (name, columns), colour in zip(curves.items(), SERIES * len(curves), strict=False):
                axes.plot(columns["step"], columns[key], color=colour, label=name)
        axes.set_xlabel("step")
        above = figure.axes[0]
        above.set_yscale("log")
        _plain_numbers(above, "y")
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=2)
    save_chart(figure, path)


def damage(
    predictions: Mapping[str, Sequence[float]], ratios: Sequence[float], last: Sequence[bool], path: Path
) -> None:
    """What binarizing one layer cost, against what each predictor says of it, above 0; last layers stand out."""
    colours = [FLOAT if is_last else SERIES[1] for is_last in last]
    with rc_context(STYLE):
        columns = 2
        rows = -(-len(predictions) // columns)
        figure = Figure((WIDTH, 1.9 * rows), layout="constrained")
        for axes, (name, values) in zip(figure.subplots(rows, columns).flat, predictions.items(), strict=False):
            axes.scatter(values, ratios, c=colours, s=9, alpha=0.7)
            axes.axhline(1, color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)
            axes.set_xscale("log")
            axes.set_yscale("log")
            _plain_numbers(axes, "y")
            if max(values) < 10 * min(values):
                _plain_numbers(axes)
            else:
                axes.xaxis.set_minor_formatter(lambda value, _: "")
            axes.set_title(name)
        for empty in figure.axes[len(predictions) :]:
            empty.remove()
        figure.supylabel("SWD over that of the float generator")
    save_chart(figure, path)


def lines(curves: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str, path: Path) -> None:
    """Values against a size, both on logarithmic axes."""
    with rc_context(STYLE):
        figure = Figure((WIDTH, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for (name, points), colour in zip(curves.items(), SERIES * len(curves), strict=False):
            axes.plot(*zip(*sorted(points), strict=True), "o-", color=colour, label=name, markersize=5)
        axes.set_xscale("log")
        axes.set_yscale("log")
        _plain_numbers(axes, "y")
        sizes = [size for points in curves.values() for size, _ in points]
        if max(sizes) < 20 * min(sizes):
            _plain_numbers(axes)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.legend()
    save_chart(figure, path)


def _plain_numbers(axes: Any, which: str = "x") -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    for formatter in (axis.set_major_formatter, axis.set_minor_formatter):
        formatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "1235" else "")
