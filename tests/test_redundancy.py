"""The metric and the plan, against counting by hand and against the paper's network."""

import itertools
import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from pbgen.errors import PBGenError
from pbgen.redundancy import (
    LayerDimensions,
    Plan,
    Unplanned,
    conv_multiply_adds,
    conv_transpose_multiply_adds,
    decide,
    degree_of_redundancy,
    linear_multiply_adds,
    predicted_cost,
    predicted_costs,
    taps_inside,
)


def layer(name, fan_in, readers=(), read_by_image=False):
    return LayerDimensions(name, "Linear", (fan_in,), (7,), 7 * fan_in, 7 * fan_in, 7, readers, read_by_image)


def dcgan64():
    """The paper's generator, written down from PAPER.md's table."""
    sizes = [(100, 1), (1024, 4), (512, 8), (256, 16), (128, 32), (3, 64)]
    for step, ((c_in, n_in), (c_out, n_out)) in enumerate(itertools.pairwise(sizes)):
        kernel, stride, padding = (4, 1, 0) if step == 0 else (5, 2, 2)
        shapes = (c_in, n_in, n_in), (c_out, n_out, n_out)
        madds = conv_transpose_multiply_adds(*shapes, *((n, n) for n in (kernel, stride, padding, 1)), 1)
        last = step == 4
        weights = c_in * c_out * kernel**2
        readers = () if last else (f"l{step + 1}",)
        yield LayerDimensions(f"l{step}", "ConvTranspose2d", *shapes, weights, madds, c_out * n_out**2, readers, last)


def test_the_formula():
    assert degree_of_redundancy(100, 4624) == 462_400
    assert degree_of_redundancy(770.25, 1) == 770.25


@pytest.mark.parametrize(
    ("redundancy", "cost"),
    [(1000, math.exp(0.58)), (8, math.exp(2.9)), (1e12, 1.0006), (0, math.inf), (1e-12, math.inf)],
)
def test_the_predicted_cost(redundancy, cost):
    assert predicted_cost(redundancy) == pytest.approx(cost, rel=1e-4)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_more_bits_cost_by_the_error_of_rounding(bits) -> None:
    """Against the least error of normal numbers, found by trying distances of levels."""

    def error(count: int) -> float:
        values = np.random.default_rng(0).standard_normal(200_000)
        most = (1 << count) - 1

        def of(step: float) -> float:
            levels = np.clip(2 * np.floor(values / (2 * step)) + 1, -most, most)
            return float(np.sqrt(np.square(values - step * levels).mean()))

        return min(of(step) for step in np.geomspace(0.1, 1.5, 120))

    expected = math.exp(0.58 * error(bits) / error(1))
    assert predicted_cost(1000, bits) == pytest.approx(expected, rel=2e-3)


def test_a_plans_costs() -> None:
    plan = decide(dcgan64(), 1e4, bits=2)
    assert predicted_costs(plan)["l0"] == predicted_cost(plan.layers[0].degree_of_redundancy, 2)
    last = plan.layers[4].degree_of_redundancy
    assert predicted_costs(plan)["l4"] == predicted_cost(last, 2)  # float: as the others
    assert predicted_costs(plan.choosing({"l0": 3, "l4": 4}))["l4"] == predicted_cost(last, 4)
    assert predicted_costs(plan.choosing([]))["l4"] == predicted_cost(last, 1)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_taps_inside_counts_pairs(stride, dilation):
    for steps, size, kernel, padding in itertools.product([1, 2, 5], [1, 3, 8], [1, 2, 5], [0, 1, 4, 20]):
        landing = [j * stride - padding + k * dilation for j in range(steps) for k in range(kernel)]
        inside = sum(0 <= place < size for place in landing)
        assert taps_inside(steps, size, kernel, stride, padding, dilation) == inside


def test_channels_and_groups():
    geometry = ((4, 3), (2, 1), (1, 0), (1, 2))
    one = conv_multiply_adds((1, 9, 7), (1, 5, 3), *geometry, 1)
    assert conv_multiply_adds((6, 9, 7), (4, 5, 3), *geometry, 2) == 2 * (3 * 2) * one
    one = conv_transpose_multiply_adds((1, 5, 3), (1, 9, 7), *geometry, 1)
    assert conv_transpose_multiply_adds((6, 5, 3), (4, 9, 7), *geometry, 2) == 2 * (3 * 2) * one
    assert conv_multiply_adds((6, 9, 9), (4, 9, 9), (3, 3), (1, 1), (1, 1), (1, 1), 1, zero_padded=False) == 24 * 729
    assert linear_multiply_adds((100,), (7,)) == 700
    assert linear_multiply_adds((5, 100), (5, 7)) == 3500


def test_the_paper_network():
    plan = decide(dcgan64())
    assert [layer.multiply_adds for layer in plan.layers] == [1638400, 151519232, 179437568, 194281472, 9465216]
    assert [layer.fan_in for layer in plan.layers] == [100, 4624, 2738, 1482.25, 770.28125]
    redundancies = [layer.degree_of_redundancy for layer in plan.layers]
    assert redundancies == [462400, 12660512, 2738 * 1482.25, 1482.25 * 770.28125, 770.28125]
    assert redundancies == pytest.approx([462_400, 12_660_512, 4_058_400, 1_141_745, 770.28], rel=1e-5)
    assert (plan.binary, plan.float) == (["l0", "l1", "l2", "l3"], ["l4"])


def test_the_largest_reader_counts_and_the_image_overrides():
    layers = [
        layer("a", 10, ("b", "c")),
        layer("b", 20, ("c",), read_by_image=True),
        layer("c", 30, read_by_image=True),
        layer("unread", 40),
    ]
    redundancy = {row.name: row.degree_of_redundancy for row in decide(layers).layers}
    assert redundancy == {"a": 10 * 30, "b": 20, "c": 30, "unread": 40}


def test_a_layer_that_reads_itself():
    assert decide([layer("a", 10, ("a",))]).layers[0].degree_of_redundancy == 100


def test_the_threshold_is_inclusive():
    assert decide([layer("a", 10)], threshold=10).binary == ["a"]
    assert decide([layer("a", 10)], threshold=10.5).float == ["a"]


@pytest.mark.parametrize("threshold", [0, -1, math.nan, math.inf])
def test_a_threshold_that_is_none(threshold):
    with pytest.raises(PBGenError, match=r"^threshold .*: must be a positive number"):
        decide([layer("a", 10)], threshold)


def test_a_choice_of_ones_own():
    plan = decide(dcgan64())
    names = [layer.name for layer in plan.layers]
    chosen = plan.choosing([names[4], names[1]])
    assert chosen.binary == [names[1], names[4]]
    assert [replace(layer, bits=1) for layer in chosen.layers] == [replace(layer, bits=1) for layer in plan.layers]
    assert plan.choosing(plan.binary) == plan
    with pytest.raises(PBGenError, match="layer 'nothing': not in the plan; it has "):
        plan.choosing(["nothing"])


def test_bits_of_each_layer():
    plan = decide(dcgan64(), bits=3)
    assert [layer.bits for layer in plan.layers] == [3, 3, 3, 3, 32] and plan.binary == ["l0", "l1", "l2", "l3"]
    assert "3 bits" in str(plan)
    chosen = plan.choosing({"l4": 4, "l1": 1, "l0": 32})
    assert chosen.bits == {"l0": 32, "l1": 1, "l2": 32, "l3": 32, "l4": 4} and chosen.binary == ["l1", "l4"]
    for bits in (0, 5, 2.0, True):
        with pytest.raises(PBGenError, match=r"^layer 'l1': .* bits; a weight has 1 to 4, or 32 \(float\)"):
            plan.choosing({"l1": bits})
        with pytest.raises(PBGenError, match=r"^bits .*: must be 1 to 4"):
            decide(dcgan64(), bits=bits)


def test_the_table():
    lines = str(decide(dcgan64())).splitlines()
    assert lines[0].split() == ["layer", "kind", "dimensions", "weights", "multiply-adds", "F", "R", "alone", "becomes"]
    assert lines[3].split()[4:] == ["512x8x8", "13,107,200", "151,519,232", "4,624", "12,660,512", "1.03x", "binary"]
    assert lines[5].split()[4:] == ["128x32x32", "819,200", "194,281,472", "1,482.25", "1,141,749", "1.06x", "binary"]
    assert lines[6].split()[4:] == ["3x64x64", "9,600", "9,465,216", "770.28", "770.28", "1.88x", "float"]
    assert lines[7] == "4 of 5 layers binary (R >= 10,000), 99.95% of 18,851,200 weights"
    assert all(len(line) < 120 for line in lines)


def test_the_last_line_counts_all_weights():
    others = [Unplanned("lstm", "LSTM", 10_000, ""), *(Unplanned(f"g{i}", "Mine", 300, "a reason") for i in range(3))]
    line = str(decide([layer("a", 100), layer("b", 5)], threshold=100, unplanned=others)).splitlines()[-1]
    assert line == (
        "1 of 2 layers binary (R >= 100), 6.02% of 11,635 weights; "
        "not planned: lstm (LSTM) 86%, g0 and 2 more (Mine, a reason) 8%"
    )
    assert "99.99% of 7,000,007 weights" in str(decide([layer("a", 1_000_000), layer("b", 1)]))
    many = [Unplanned(kind, kind, 10, "") for kind in "abcdef"]
    assert str(decide([layer("a", 10_000)], unplanned=many)).endswith(
        "99.91% of 70,060 weights; not planned: a (a) <1%, b (b) <1%, c (c) <1%, d (d) <1%, 2 more <1%"
    )


def test_who_averages():
    shared = replace(layer("gain", 10, ("conv",)), averaged=False)
    depthwise = replace(layer("depthwise", 9, ("conv", "depthwise")), depthwise=True)
    layers = [shared, layer("pointwise", 10, ("depthwise",)), depthwise, layer("conv", 90, (), read_by_image=True)]
    redundancy = {row.name: row.degree_of_redundancy for row in decide(layers).layers}
    assert redundancy == {"gain": 10, "pointwise": 10 * 90, "depthwise": 9 * 90, "conv": 90}


def test_save_and_load(tmp_path):
    others = [Unplanned("lstm", "LSTM", 100, "")]
    assert Plan.load(saved(decide(dcgan64(), unplanned=others), tmp_path)).unplanned == tuple(others)
    plan = decide(dcgan64(), threshold=5e5)
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    assert Plan.load(str(tmp_path / "plan.json")).binary == ["l1", "l2", "l3"]
    assert json.loads((tmp_path / "plan.json").read_text())["pbgen_plan"] == 3


def saved(plan, folder):
    plan.save(folder / "saved.json")
    return folder / "saved.json"


def edit(path, value):
    """The saved plan with one place changed; `path` leads there."""

    def apply(content):
        place = content
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return json.dumps(content)

    return apply


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: "", "it is no JSON"),
        (lambda _: "[" * 100_000, "it is no JSON"),
        (lambda _: "[]", "'pbgen_plan' is missing"),
        (lambda _: "{}", "'pbgen_plan' is missing"),
        (lambda content: json.dumps(content)[:-30], "it is no JSON"),
        (edit(["pbgen_plan"], 1), "version 1 where this release reads 3"),
        (edit(["pbgen_plan"], "1"), "version '1' where"),
        (edit(["pbgen_plan"], True), "version True where"),
        (edit(["threshold"], -1), "threshold -1 is not a positive number"),
        (edit(["threshold"], "1e4"), "threshold '1e4' is not"),
        (edit(["threshold"], math.nan), "threshold nan is not"),
        (edit(["threshold"], 10**400), "is not a positive number"),
        (edit(["unplanned"], {}), "'unplanned' is not a list"),
        (edit(["unplanned"], [{"name": "a"}]), "a layer has not just the fields kind, name, reason, weights"),
        (edit(["layers"], []), "'layers' is not a list of layers"),
        (edit(["layers"], {"a": 1}), "'layers' is not a list"),
        (edit(["layers", 0], 3), "a layer has not just the fields"),
        (edit(["layers", 0, "extra"], 3), "a layer has not just the fields"),
        (edit(["layers", 0, "name"], 3), "layer 3: name cannot be '3'"),
        (edit(["layers", 0, "name"], "l1"), "two layers have the same name"),
        (edit(["layers", 1, "bits"], 5), "layer 'l1': bits cannot be '5'"),
        (edit(["layers", 1, "bits"], True), "layer 'l1': bits cannot be 'True'"),
        (edit(["layers", 1, "weights"], True), "layer 'l1': weights cannot be 'True'"),
        (edit(["layers", 1, "weights"], -5), "layer 'l1': weights cannot be '-5'"),
        (edit(["layers", 1, "fan_in"], math.inf), "layer 'l1': fan_in cannot be 'inf'"),
        (edit(["layers", 1, "input_shape"], [1, 2.5]), "layer 'l1': input_shape cannot be"),
        (edit(["layers", 1, "readers"], "l2"), "layer 'l1': readers cannot be"),
    ],
)
def test_a_file_that_is_no_plan(tmp_path, change, reason):
    path = tmp_path / "plan.json"
    decide(dcgan64()).save(path)
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(PBGenError) as caught:
        Plan.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: not a plan: ") and reason in message and "\n" not in message


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "plan.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PBGenError, match="it is no JSON"):
        Plan.load(tmp_path / "plan.json")


def test_a_missing_file(tmp_path):
    with pytest.raises(PBGenError, match=r"nowhere\.json: cannot read the plan: No such file"):
        Plan.load(tmp_path / "nowhere.json")


def test_no_torch_is_imported():
    code = "import sys, pbgen; pbgen.Plan; assert not {'torch', 'numpy'} & set(sys.modules), 'imported'"
    subprocess.run([sys.executable, "-c", code], check=True)
