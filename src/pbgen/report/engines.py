"""What engines need for the same generator: bytes, memory and time, side by side."""

from typing import TYPE_CHECKING

from pbgen.report import html, text
from pbgen.report.charts import BINARY, NEUTRAL, Bar, bar_chart
from pbgen.report.tables import bench_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pbgen.bench import Comparison


def engine_blocks(comparison: "Comparison") -> list[str]:
    """Three charts and a table, for a page."""
    return [
        html.chart(_bars(comparison, "size"), "Size of what is loaded."),
        html.chart(_bars(comparison, "memory"), "Memory after the first image, beyond an interpreter with NumPy."),
        html.chart(_bars(comparison, "time"), "Time an image: median, 10th to 90th percentile."),
        html.table(
            bench_table(comparison),
            f"{comparison.processor}, {comparison.threads} threads, {comparison.batch} image a run; each engine in a "
            f"process of its own, {comparison.rounds} rounds in turn. Difference: largest from PBGen's float32 images; "
            "for int8 the PSNR against them.",
        ),
    ]


def _bars(comparison: "Comparison", what: str) -> "Figure":
    bars = []
    for m in comparison.measurements:
        value, low, high, label, axis = {
            "size": (m.file_bytes / 1e6,) * 3 + (text.size(m.file_bytes), "MB"),
            "memory": (m.resident_bytes / 1e6,) * 3 + (text.size(m.resident_bytes), "MB"),
            "time": (m.median * 1e3, m.low * 1e3, m.high * 1e3, text.duration(m.median), "ms"),
        }[what]
        bars.append(Bar(m.title, value, low, high, label, BINARY if m.engine == "pbgen" else NEUTRAL))
    return bar_chart(bars, axis)
