"""One table, shown on a terminal or in the HTML page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pbgen.redundancy import becomes, predicted_costs
from pbgen.report import text

if TYPE_CHECKING:
    import rich.table

    from pbgen.bench import Comparison, LayerTimes
    from pbgen.contents import FileInfo, PackInfo
    from pbgen.evaluation import Evaluation
    from pbgen.opening import Shape
    from pbgen.redundancy import Plan

GAP = 2
"""Characters between columns on a terminal."""


@dataclass(frozen=True)
class Table:
    """Rows of text below their headings. Columns named in `numeric` are aligned to the right.

    total: the last row, set apart, or None. marked: indices of the rows to stress. spare: columns that a narrow
    terminal does without, the least important one first.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[str] = frozenset()
    total: Sequence[str] | None = None
    marked: frozenset[int] = frozenset()
    spare: Sequence[str] = ()

    def __post_init__(self) -> None:
        for row in [*self.rows, *([self.total] if self.total else [])]:
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {len(row)} cells in a table of {len(self.columns)} columns: {row}")

    def map(self, change: Callable[[str], str]) -> "Table":
        """The same table with every heading and cell changed."""

        def changed(row: Sequence[str]) -> list[str]:
            return [change(cell) for cell in row]

        return replace(
            self,
            columns=changed(self.columns),
            rows=[changed(row) for row in self.rows],
            numeric=frozenset(map(change, self.numeric)),
            total=self.total and changed(self.total),
            spare=changed(self.spare),
        )

    def to_rich(self, width: int) -> "rich.table.Table":
        """The table for a terminal of `width` characters."""
        if self.spare and self._width() > width:
            return self._without(self.spare[0]).to_rich(width)
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        gap = (0, GAP - 1, 0, 0)  # the box itself draws one more
        table = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=gap)
        table.show_footer = self.total is not None
        for i, name in enumerate(self.columns):
            footer = Text(self.total[i] if self.total else "", style="bold")
            numeric = name in self.numeric
            table.add_column(name, footer, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
        for i, row in enumerate(self.rows):
            table.add_row(*map(Text, row), style="bold" if i in self.marked else "")  # Text: names are not markup
        return table

    def to_html(self) -> str:
        """The table as an HTML element, every cell escaped."""
        head = self._html_row(self.columns, "th")
        body = "".join(
            self._html_row(row, "td", ' class="marked"' if i in self.marked else "") for i, row in enumerate(self.rows)
        )
        foot = f"<tfoot>{self._html_row(self.total, 'td')}</tfoot>" if self.total else ""
        return f'<div class="wide"><table><thead>{head}</thead><tbody>{body}</tbody>{foot}</table></div>'

    def _width(self) -> int:
        rows = [self.columns, *self.rows, *([self.total] if self.total else [])]
        return sum(max(map(len, column)) + GAP for column in zip(*rows, strict=True)) - GAP

    def _without(self, name: str) -> "Table":
        place = list(self.columns).index(name)

        def rest(row: Sequence[str]) -> list[str]:
            return [*row[:place], *row[place + 1 :]]

        return replace(
            self,
            columns=rest(self.columns),
            rows=[rest(row) for row in self.rows],
            total=self.total and rest(self.total),
            spare=self.spare[1:],
        )

    def _html_row(self, cells: Sequence[str], tag: str, attributes: str = "") -> str:
        numeric = [' class="number"' if name in self.numeric else "" for name in self.columns]
        inside = "".join(f"<{tag}{kind}>{text.escape(cell)}</{tag}>" for kind, cell in zip(numeric, cells, strict=True))
        return f"<tr{attributes}>{inside}</tr>"


def plan_table(plan: "Plan") -> Table:
    """Every layer of a plan: dimensions, F, R, predicted cost of the layer alone, decision, bytes of its weights.

    Below them the weights that the plan is not about; those that packing leaves out are in no sum. Before: 4 bytes a
    weight. After: as many bits a weight as the layer has planes of signs, 4 bytes a float one. Scales and shifts are
    not counted.
    """
    rows, before, after, costs = [], 0, 0, predicted_costs(plan)
    for layer in plan.layers:
        packed = layer.bits * -(-layer.weights // 8) if layer.binary else 4 * layer.weights
        before, after = before + 4 * layer.weights, after + packed
        rows.append(
            [
                layer.name,
                layer.kind,
                f"{text.shape(layer.input_shape)} → {text.shape(layer.output_shape)}",
                text.number(layer.fan_in),
                text.number(layer.degree_of_redundancy),
                text.times(costs[layer.name]),
                becomes(layer.bits),
                text.number(layer.weights),
                text.size(4 * layer.weights),
                text.size(packed),
            ]
        )
    for other in plan.unplanned:
        size = 4 * other.weights if other.packed else 0
        before, after = before + size, after + size
        sizes = [text.size(size), text.size(size)] if other.packed else ["", ""]
        cells = ["", "", "", "float" if other.packed else "left out", text.number(other.weights), *sizes]
        rows.append([other.name or other.kind, other.kind, other.reason or "not planned", *cells])
    weights = text.number(before // 4)
    ratio = f"{text.times(before / after)} smaller" if after else ""
    return Table(
        ["layer", "kind", "dimensions", "F", "R", "alone", "becomes", "weights", "before", "after"],
        rows,
        frozenset({"F", "R", "alone", "weights", "before", "after"}),
        ["all", "", ratio, "", "", "", "", weights, text.size(before), text.size(after)],
        frozenset(i for i, layer in enumerate(plan.layers) if not layer.binary),
        spare=["kind", "weights", "before"],
    )


def bench_table(comparison: "Comparison") -> Table:
    """Every engine: time of a run, how many times that of ours, memory, size, cold start, difference of its images.

    Engines with int8 activations make slightly other images: of these the PSNR stands in the last column.
    """
    ours = {m.engine: m for m in comparison.measurements if m.engine in ("pbgen", "pbgen-int8")}
    rows = [
        [
            f"{m.title} {m.version}",
            text.duration(m.median),
            f"{text.duration(m.low)} – {text.duration(m.high)}",
            *("" if m is our else text.times(m.median / our.median) for our in ours.values()),
            text.size(m.resident_bytes),
            text.size(m.file_bytes),
            text.duration(m.cold_start),
            f"{m.difference:.1g}" if m.psnr is None else f"{m.psnr:.0f} dB",
        ]
        for m in comparison.measurements
    ]
    faster = [f"{our.title} faster by" for our in ours.values()]
    columns = ["engine", "time", "spread", *faster, "memory", "size", "first image after", "difference"]
    return Table(
        columns,
        rows,
        frozenset(columns[1:]),
        marked=frozenset(i for i, m in enumerate(comparison.measurements) if m.engine in ours),
        spare=["spread", "first image after", "size", "difference"],
    )


def layer_table(times: "LayerTimes") -> Table:
    """Every layer with weights: kernel, bits a weight, multiply-adds a run in millions, time, G a second, share.

    Multiply-adds are left out where they hang on the input's size.
    """
    rows = [
        [
            layer.name,
            layer.kernel,
            str(layer.bits),
            text.number(layer.operations / 1e6),
            text.size(layer.weight_bytes),
            text.duration(layer.median),
            f"{layer.operations / layer.median / 1e9:.0f}",
            f"{layer.median / times.seconds:.0%}",
        ]
        for layer in times.layers
    ]
    rows.append(["the rest", "", "", "", "", text.duration(times.rest), "", f"{times.rest / times.seconds:.0%}"])
    operations, weights = text.number(times.operations / 1e6), text.size(times.weight_bytes)
    rate = f"{times.operations / times.seconds / 1e9:.0f}"
    columns = ["layer", "kernel", "bits", "M multiply-adds", "weights", "time", "G/s", "share"]
    return Table(
        columns,
        rows,
        frozenset(columns[2:]),
        ["all", "", "", operations, weights, text.duration(times.seconds), rate, ""],
    )


def pack_table(info: "PackInfo") -> Table:
    """Every layer with weights: its bytes in float32 and in the file; scales, shifts and the header in one row."""
    rows = [
        [
            layer.name,
            layer.kind,
            layer.weights,
            text.size(layer.float_bytes),
            text.size(layer.packed_bytes),
        ]
        for layer in info.layers
    ]
    rest_before = info.float_bytes - sum(layer.float_bytes for layer in info.layers)
    rest_after = info.packed_bytes - sum(layer.packed_bytes for layer in info.layers)
    rows.append(["the rest", "", "", text.size(rest_before), text.size(rest_after)])
    return Table(
        ["layer", "kind", "weights", "before", "after"],
        rows,
        frozenset({"before", "after"}),
        ["all", f"{text.times(info.ratio)} smaller", "", text.size(info.float_bytes), text.size(info.packed_bytes)],
        frozenset(i for i, layer in enumerate(info.layers) if not layer.binary),
    )


def ends_table(info: "FileInfo") -> Table:
    """What goes into a packed file and comes out: names, shapes without the batch, kinds of numbers."""
    kinds = {None: "numbers", "normal": "drawn, normal", "uniform": "drawn, uniform in 0 .. 1"}
    rows = [
        ["noise" if i.noise else "input", i.name, _free_shape(i.shape), "integers" if i.integer else kinds[i.noise]]
        for i in info.inputs
    ]
    rows += [["output", name, _free_shape(shape), "numbers"] for name, shape in info.outputs.items()]
    return Table(["", "name", "shape", "holds"], rows)


def _free_shape(shape: "Shape") -> str:
    return "×".join("any" if size is None else str(size) for size in shape) or "one number"


def evaluation_table(evaluations: "Mapping[str, Evaluation]") -> Table:
    """Sliced Wasserstein distances x 1000 of named generators, level by level and their mean, the floor last."""
    first = next(iter(evaluations.values()))
    rows = [[name, *map(str, e.levels.values()), str(e.mean)] for name, e in evaluations.items()]
    rows.append(["real (the floor)", *map(str, first.floor_levels.values()), str(first.floor)])
    columns = ["images", *(f"{size} pixels" for size in first.levels), "mean"]
    return Table(columns, rows, frozenset(columns[1:]))
