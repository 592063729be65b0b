from dataclasses import replace

import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import pbgen
from pbgen.redundancy import Plan
from pbgen.report.charts import BINARY, FLOAT, Bar, bar_chart, redundancy_chart, training_chart


@pytest.fixture(scope="module")
def plan() -> Plan:
    generator, _ = pbgen.models.create("dcgan64", width=256)
    plan: Plan = pbgen.plan(generator, torch.zeros(1, 100))
    return plan


def words(figure: Figure) -> list[str]:
    return [found.get_text() for axes in figure.axes for found in axes.texts]


def test_a_bar_for_every_layer_on_a_logarithmic_axis(plan: Plan) -> None:
    figure = redundancy_chart(plan)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert [bar.get_width() for bar in axes.patches] == [layer.degree_of_redundancy for layer in plan.layers]
    assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == [
        BINARY if la.binary else FLOAT for la in plan.layers
    ]
    assert [label.get_text() for label in axes.get_yticklabels()] == [layer.name for layer in plan.layers]
    assert axes.yaxis_inverted(), "the first layer stands on top"
    assert list(axes.lines[0].get_xdata()) == [plan.threshold] * 2
    written = words(figure)
    assert "threshold 10,000" in written
    assert sum(word.endswith("binary") for word in written) == len(plan.binary)
    assert sum(word.endswith("float") for word in written) == len(plan.float)


def test_bars_below_one_are_seen(plan: Plan) -> None:
    low = replace(plan, layers=(replace(plan.layers[0], degree_of_redundancy=0.25, bits=32),))
    (axes,) = redundancy_chart(low).axes
    assert axes.get_xlim()[0] <= 0.25


ROWS = [
    {"step": step, "generator_loss": 1 + (-1) ** (step // 10), "discriminator_loss": 0.5, "generator_flips": None,
     "discriminator_flips": None}
    for step in range(10, 2010, 10)
]  # fmt: skip


def test_training_curves_are_smoothed_and_the_raw_values_kept() -> None:
    figure = training_chart({"float": ROWS})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["generator loss", "discriminator loss"]
    raw, smooth = figure.axes[0].lines
    assert list(raw.get_ydata()) == [row["generator_loss"] for row in ROWS]
    assert list(raw.get_xdata()) == [row["step"] for row in ROWS]
    assert abs(smooth.get_ydata()[3:-3] - 1).max() < 0.2 and abs(raw.get_ydata() - 1).max() == 1
    assert abs(figure.axes[1].lines[1].get_ydata() - 0.5).max() < 1e-12, "a constant stays as it is"


def test_flips_have_a_panel_where_weights_are_binary() -> None:
    binary = [row | {"generator_flips": 0.01, "discriminator_flips": 0.02} for row in ROWS]
    figure = training_chart({"float": ROWS, "partial": binary})
    assert len(figure.axes) == 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["float", "partial"]
    float_curve, raw, smooth = figure.axes[2].lines
    assert len(float_curve.get_xdata()) == 0
    assert set(raw.get_ydata()) == {0.01} and float_curve.get_color() != smooth.get_color()


def test_a_run_without_rows_is_no_trouble() -> None:
    training_chart({"new": []}).canvas.draw()


def test_bars_show_value_spread_and_floor() -> None:
    bars = [Bar("float", 35, 33, 37, "35 ± 2"), Bar("binary", 76, 70, 82, "76 ± 6", BINARY)]
    figure = bar_chart(bars, "distance", Bar("floor", 4, 3, 5, "real 4"))
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches[:2]] == [35, 76]
    assert [list(line.get_xdata()) for line in axes.lines] == [[33, 37], [70, 82], [4, 4]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["float", "binary"]
    assert words(figure) == ["35 ± 2", "76 ± 6", "real 4"]
    assert axes.get_xlim()[0] == 0 and axes.get_xlim()[1] > 82
