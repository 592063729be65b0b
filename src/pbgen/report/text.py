"""Numbers as people read them: three digits or so, and a unit; and text as a page shows it."""

from collections.abc import Sequence
from html import escape as html_escape

from pbgen.visible import visible


def escape(text: str) -> str:
    """Text that stands for itself in HTML, with escapes for what cannot be seen (`visible`)."""
    return html_escape(visible(text))


def size(count: float) -> str:
    """Bytes with a decimal unit: 999 B, 2.36 MB."""
    if count < 999.5:
        return f"{count:.0f} B"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 999.5:
            return f"{_digits(count)} {unit}"
    return f"{_digits(count / 1000)} GB"


def duration(seconds: float) -> str:
    """Seconds with a fitting unit: 850 µs, 9.2 ms, 1.31 s, 12 min."""
    if seconds < 1e-3:
        return f"{_digits(seconds * 1e6)} µs"
    if seconds < 1:
        return f"{_digits(seconds * 1e3)} ms"
    return f"{_digits(seconds)} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def number(value: float) -> str:
    """A count or a degree of redundancy: 12,660,512, 4,624 or 770.28; at most two decimals, none from 10,000 on."""
    return f"{value:,.0f}" if value >= 10_000 else f"{value:,.2f}".rstrip("0").rstrip(".")


def times(ratio: float) -> str:
    """A ratio: 31.4x."""
    return f"{_digits(ratio)}x"


def shape(dimensions: Sequence[int]) -> str:
    """A shape: 1024×4×4."""
    return "×".join(map(str, dimensions))


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
