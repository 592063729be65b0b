"""The page and the table about a compressed module, by what they are given."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from pbgen.bench import Comparison, Measurement
from pbgen.compression import CompressInfo
from pbgen.compression.imitate import Point
from pbgen.compression.judge import Distances, Judge, Psnr
from pbgen.compression.page import _gain, write_compress_page
from pbgen.compression.table import compress_table
from pbgen.packing import LayerInfo
from pbgen.redundancy import LayerDimensions, Unplanned, decide
from pbgen.report.charts import curve_chart


@pytest.fixture
def info():
    layer = LayerDimensions("<up>", "Conv2d", (3, 8, 8), (5, 8, 8), 135, 8640, 320, (), True)
    other = Unplanned("lstm", "LSTM", 100, "")
    plan = decide([layer, replace(layer, name="last")], unplanned=[other]).choosing({"<up>": 2})
    layers = (LayerInfo("<up>", "conv", 2, 540, 34), LayerInfo("last", "conv", 16, 540, 270))
    curve = (Point(0, 0.0, Psnr(20.0, 18.0)), Point(10, 3.0, Psnr(31.5, 29.0)))
    errors = {"<up>": {1: 0.1, 2: 0.01, 3: 1e-3, 4: 1e-4, 32: 0.0}}
    return CompressInfo(1100, 500, layers, Psnr(31.0, 28.0), plan, errors, Distances(12.0, 4.0), curve, 3.0, True)


def test_the_table(info):
    table = compress_table(info)
    assert table.rows[0] == ["<up>", "27", "10.0", "20.0", "30.0", "40.0", "2 bits", "540 B", "34 B"]
    assert table.rows[1][2:] == ["", "", "", "", "float16", "540 B", "270 B"]
    assert table.rows[2] == ["lstm (LSTM)", "", "", "", "", "", "float", "400 B", ""]
    assert table.rows[3] == ["the rest", "", "", "", "", "", "", "0 B", "196 B"]


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8), (7, 8, 8), (3, 400, 8), (1, 4096), (5,)])
def test_the_page(info, shape, tmp_path):
    module = nn.Sequential(nn.Flatten(), nn.Linear(2, int(torch.tensor(shape).prod())), nn.Unflatten(1, shape))
    judge = Judge(module, [(torch.randn(1, 2),) for _ in range(3)])
    measured = Measurement("pbgen", "PBGen", "1", 0.01, 0.009, 0.02, 9, 0.1, 1000, 500, 0.0, None)
    comparison = Comparison("g", "<chip>", 2, 1, 3, (measured,), {}, ()) if len(shape) == 3 else None
    write_compress_page(info, module, judge, comparison, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "31.0 dB" in text and "&lt;up&gt;" in text and "<up>" not in text and "12.0" in text
    assert ("&lt;chip&gt;" in text) == (comparison is not None)
    assert text.count("<img ") == (0 if shape == (5,) else 3)


@pytest.mark.parametrize(("largest", "gain"), [(0, 64), (3, 64), (4, 32), (63, 4), (255, 4)])
def test_small_differences_are_seen(largest, gain):
    assert _gain(largest) == gain


def test_the_curve(info):
    figure = curve_chart([(point.step, *point.psnr) for point in info.curve])
    (axes,) = figure.axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[20.0, 31.5], [18.0, 29.0]]
