"""One self-contained HTML page: pictures inside, nothing fetched from anywhere, no scripts but in pbgen.web's block.

A page is a list of blocks, each a piece of HTML made by a function here; whatever text they are given is escaped.
"""

import base64
import io
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pbgen.files import write_atomically
from pbgen.report.tables import Table
from pbgen.report.text import escape

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image


def heading(title: str) -> str:
    """The title of a section."""
    return f"<h2>{escape(title)}</h2>"


def paragraph(text: str) -> str:
    """Running text."""
    return f"<p>{escape(text)}</p>"


def note(text: str) -> str:
    """Small print: how a number was come by."""
    return f'<p class="note">{escape(text)}</p>'


def facts(values: Sequence[tuple[str, str]]) -> str:
    """The few numbers to remember, large, each with what it is: (value, meaning)."""
    cells = "".join(f"<div><dt>{escape(meaning)}</dt><dd>{escape(value)}</dd></div>" for value, meaning in values)
    return f'<dl class="facts">{cells}</dl>'


def table(content: Table, caption: str) -> str:
    """A table with a caption below."""
    return _figure(content.to_html(), caption)


def picture(image: "Image.Image", caption: str, scale: int = 1) -> str:
    """A picture (PNG inside the page) with a caption below, which is also its text for those who cannot see it.

    It is stored as it is and shown `scale` times as large, each pixel a square, or smaller on a narrow screen.
    """
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    data = base64.b64encode(stream.getvalue()).decode()
    size = f'width="{image.width * scale}" height="{image.height * scale}"'
    return _figure(f'<img src="data:image/png;base64,{data}" {size} alt="{escape(caption)}">', caption)


def chart(figure: "Figure", caption: str) -> str:
    """A chart as inline SVG, its ink in the page's own text colour, with a caption below."""
    from matplotlib import rc_context

    from pbgen.report.charts import INK

    stream = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": caption}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns:xlink="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(caption)}" ', 1)
    return _figure(svg, caption, "chart")


def side_by_side(blocks: Sequence[str]) -> str:
    """Blocks beside each other where there is room, else below each other."""
    return f'<div class="beside">{"".join(blocks)}</div>'


def page(title: str, lead: str, blocks: Sequence[str], head: str = "") -> str:
    """The whole document: a title, one sentence below it, and the blocks in order. head: more for the HTML's head."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{head}<title>{escape(title)}</title>
<style>{_CSS}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p class="lead">{escape(lead)}</p>
{"".join(blocks)}
</main>
</body>
</html>
"""


def write_page(path: str | os.PathLike[str], document: str) -> None:
    """Write `document` to `path` atomically. Raises PBGenError where that is not possible."""
    write_atomically(path, lambda file: file.write(document.encode()))


def _figure(content: str, caption: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f"<figure{attribute}>{content}<figcaption>{escape(caption)}</figcaption></figure>"


_CSS = """
:root { color-scheme: light dark; --ink: #1c1d1f; --soft: #62666d; --line: #dfe1e5; --paper: #fff; --mark: #dd66111a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e7e9; --soft: #9ba0a8; --line: #383b40; --paper: #17181a; --mark: #dd661133; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 3rem 1.25rem 5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; font-weight: 650; letter-spacing: -.015em; margin: 0 0 .6rem; }
h2 { font-size: 1.25rem; line-height: 1.3; font-weight: 650; margin: 3.5rem 0 .75rem; padding-top: 1.1rem;
  border-top: 1px solid var(--line); }
p { max-width: 42rem; margin: 0 0 1rem; }
.lead { font-size: 1.1rem; color: var(--soft); }
.note, figcaption { font-size: .875rem; line-height: 1.5; color: var(--soft); }
figure { margin: 1.5rem 0; }
figcaption { max-width: 42rem; margin-top: .6rem; }
img { display: block; max-width: 100%; height: auto; image-rendering: pixelated; }
.chart { max-width: 42rem; }
.chart svg { display: block; width: 100%; height: auto; overflow: visible; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1.75rem; }
.beside:has(> :nth-child(3):last-child) { grid-template-columns: repeat(auto-fit, minmax(min(16rem, 100%), 1fr)); }
.beside figure { margin: 0; min-width: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .8125rem; line-height: 1.4; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .8rem .4rem 0; text-align: left; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
th { font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--ink); }
th { white-space: normal; vertical-align: bottom; }
td { border-bottom: 1px solid var(--line); }
.number { text-align: right; }
.marked td { background: var(--mark); }
tfoot td { font-weight: 650; border-bottom: 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1.25rem 2rem; margin: 2rem 0; }
.facts div { display: flex; flex-direction: column-reverse; justify-content: flex-end; }
.facts dt { font-size: .875rem; line-height: 1.4; color: var(--soft); }
.facts dd { margin: 0; font-size: 1.7rem; line-height: 1.25; font-weight: 650; letter-spacing: -.01em; }
@media print {
  main { max-width: none; padding: 0; }
  h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
}
"""
