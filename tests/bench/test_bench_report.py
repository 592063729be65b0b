"""What is shown of a comparison."""

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.colors import to_hex

from pbgen.bench import Comparison, LayerTime, LayerTimes, Measurement
from pbgen.errors import PBGenError
from pbgen.report.charts import BINARY, bench_chart, save_chart
from pbgen.report.tables import bench_table, layer_table

OURS = Measurement("pbgen", "PBGen", "0.1.0", 1e-3, 0.9e-3, 1.2e-3, 400, 0.02, 5_000_000, 2_400_000, 0.0, None)
INT8 = replace(OURS, engine="pbgen-int8", title="PBGen int8", median=0.5e-3, difference=0.01, psnr=57.3)
PEER = Measurement("ncnn", "ncnn", "1.0", 6e-3, 5e-3, 7e-3, 200, 0.2, 90_000_000, 75_000_000, 2e-7, None)
COMPARISON = Comparison("dir/dcgan64.safetensors", "a processor", 2, 1, 20, (OURS, INT8, PEER), {}, ())


def test_both_kinds_of_ours_against_each() -> None:
    table = bench_table(COMPARISON)
    assert table.columns == [
        "engine", "time", "spread", "PBGen faster by", "PBGen int8 faster by", "memory", "size", "first image after",
        "difference",
    ]  # fmt: skip
    assert [row[0] for row in table.rows] == ["PBGen 0.1.0", "PBGen int8 0.1.0", "ncnn 1.0"]
    assert [row[3:5] for row in table.rows] == [["", "2.00x"], ["0.50x", ""], ["6.00x", "12.0x"]]
    assert [row[-1] for row in table.rows] == ["0", "57 dB", "2e-07"]
    assert table.rows[2][1:3] == ["6.00 ms", "5.00 ms – 7.00 ms"]
    assert table.marked == {0, 1}


def test_without_int8_its_column_is_left_out() -> None:
    table = bench_table(replace(COMPARISON, measurements=(OURS, PEER)))
    assert [name for name in table.columns if "faster" in name] == ["PBGen faster by"]


def test_a_bar_for_every_engine() -> None:
    figure = bench_chart(COMPARISON)
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [1, 0.5, 6]
    assert [list(line.get_xdata()) for line in axes.lines][2] == [5, 7]
    assert [words.get_text() for words in axes.texts] == ["1 ms", "0.5 ms", "6 ms"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["PBGen", "PBGen int8", "ncnn"]
    assert to_hex(axes.patches[0].get_facecolor()) == BINARY != to_hex(axes.patches[2].get_facecolor())
    assert axes.get_title("left") == "dcgan64: an image on 2 threads\na processor"
    long = bench_chart(replace(COMPARISON, measurements=(replace(PEER, median=1.2345),)))
    assert long.axes[0].texts[0].get_text() == "1,230 ms"
    assert "16 images at once" in bench_chart(replace(COMPARISON, batch=16)).axes[0].get_title("left")


@pytest.mark.parametrize(("ending", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_chart_is_written_as_its_name_says(tmp_path: Path, ending: str, begin: bytes) -> None:
    file = tmp_path / f"bench.{ending}"
    save_chart(bench_chart(COMPARISON), file)
    assert file.read_bytes().startswith(begin)


def test_no_chart_is_written_as_anything_else(tmp_path: Path) -> None:
    with pytest.raises(PBGenError, match=r"bench.doc: the ending '.doc' is no chart's; it can be .png, .svg, .pdf"):
        save_chart(bench_chart(COMPARISON), tmp_path / "bench.doc")
    assert not list(tmp_path.iterdir())


def test_layers_with_rates_and_shares() -> None:
    layers = (
        LayerTime("one", "tables", 150_000_000, 1_800_000, 1, 0.5e-3, 0.4e-3, 0.6e-3),
        LayerTime("two", "float32", 10_000_000, 40_000, 32, 0.4e-3, 0.3e-3, 0.5e-3),
    )
    table = layer_table(LayerTimes("float32", 1, 100, layers, rest=0.1e-3))
    assert table.rows == [
        ["one", "tables", "1", "150", "1.80 MB", "500 µs", "300", "50%"],
        ["two", "float32", "32", "10", "40.0 kB", "400 µs", "25", "40%"],
        ["the rest", "", "", "", "", "100 µs", "", "10%"],
    ]
    assert table.total == ["all", "", "", "160", "1.84 MB", "1.00 ms", "160", ""]
