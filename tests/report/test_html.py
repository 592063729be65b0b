import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pbgen.errors import PBGenError
from pbgen.pictures import image_grid
from pbgen.report import html
from pbgen.report.charts import INK, Bar, bar_chart
from pbgen.report.tables import Table

NASTY = "<script>alert('x')</script> & \"quotes\""
VOID = {"meta", "img", "path", "use", "rect"}


class Reader(HTMLParser):
    """Collects what a browser would act on, and checks that elements are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def document() -> str:
    picture = image_grid(np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4))
    figure = bar_chart([Bar(NASTY, 1, 0.5, 2, "label")], "axis")
    table = Table(["name", "bytes"], [[NASTY, "12"]], frozenset({"bytes"}), ["all", "12"], frozenset({0}))
    blocks = [
        html.heading(NASTY), html.paragraph(NASTY), html.note(NASTY), html.facts([(NASTY, NASTY)]),
        html.table(table, NASTY), html.side_by_side([html.picture(picture, NASTY, scale=3)]), html.chart(figure, NASTY),
    ]  # fmt: skip
    return html.page(NASTY, NASTY, blocks)


@pytest.fixture(scope="module")
def reader(document: str) -> Reader:
    reader = Reader()
    reader.feed(document)
    reader.close()
    assert not reader.open
    return reader


def test_nothing_is_fetched_from_anywhere(document: str, reader: Reader) -> None:
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in reader.elements}
    for _, attributes in reader.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                assert value and value.startswith(("data:image/png;base64,", "#"))
    assert not re.findall(r"url\((?!#)", document) and "@import" not in document
    addresses = set(re.findall(r"https?://[^\s\"']+", document))
    assert addresses <= {"http://www.w3.org/2000/svg"}, "a name space, never fetched"


def test_text_is_escaped_everywhere(document: str, reader: Reader) -> None:
    assert "<script>" not in document
    assert reader.text.count(NASTY) >= 11
    assert next(attributes["alt"] for tag, attributes in reader.elements if tag == "img") == NASTY
    assert next(attributes["aria-label"] for tag, attributes in reader.elements if tag == "svg") == NASTY


def test_the_picture_is_inside_pixel_for_pixel(reader: Reader) -> None:
    image = next(attributes for tag, attributes in reader.elements if tag == "img")
    data = base64.b64decode((image["src"] or "").partition(",")[2])
    with Image.open(io.BytesIO(data)) as picture:
        expected = image_grid(np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4))
        assert (np.asarray(picture) == np.asarray(expected)).all()
        assert (image["width"], image["height"]) == (str(3 * picture.width), str(3 * picture.height))


def test_the_chart_takes_the_page_s_ink(document: str) -> None:
    assert "currentColor" in document and INK not in document


def test_the_table_has_its_cells_in_order(document: str) -> None:
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", document)
    assert [re.sub("<[^>]*>", "|", row) for row in rows][::2] == ["|name||bytes|", "|all||12|"]
    assert '<tr class="marked">' in document and '<td class="number">12</td>' in document


def test_the_same_page_twice_is_the_same_bytes() -> None:
    one, other = (html.chart(bar_chart([Bar("a", 1, 1, 1, "1")], "x"), "caption") for _ in range(2))
    assert one == other


def test_a_page_is_written_whole(document: str, tmp_path: Path) -> None:
    html.write_page(tmp_path / "report.html", document)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == document
    with pytest.raises(PBGenError, match="there is no folder"):
        html.write_page(tmp_path / "missing" / "report.html", document)
