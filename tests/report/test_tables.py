import pytest
import torch
from rich.console import Console

import pbgen
from pbgen.evaluation import Evaluation, Spread
from pbgen.packing import LayerInfo, PackInfo
from pbgen.report.tables import Table, evaluation_table, pack_table, plan_table


def test_the_plan_of_the_paper_s_network() -> None:
    generator, _ = pbgen.models.create("dcgan64")
    table = plan_table(pbgen.plan(generator, torch.zeros(1, 100)))
    layers = [row[2:] for row in table.rows]
    assert layers[0] == ["100×1×1 → 1024×4×4", "100", "462,400", "1.08x", "binary", "1,638,400", "6.55 MB", "205 kB"]
    assert layers[1][:3] == ["1024×4×4 → 512×8×8", "4,624", "12,660,512"]
    assert layers[4] == ["128×32×32 → 3×64×64", "770.28", "770.28", "1.88x", "float", "9,600", "38.4 kB", "38.4 kB"]
    assert table.total == ["all", "", "31.5x smaller", "", "", "", "", "18,851,200", "75.4 MB", "2.39 MB"]
    assert table.marked == {4}


def test_weights_that_are_not_planned_count() -> None:
    module = torch.nn.Sequential(torch.nn.Embedding(10, 100), torch.nn.Linear(100, 150))
    table = plan_table(pbgen.plan(module, torch.zeros(1, dtype=torch.long)))
    assert table.rows[1] == ["0", "Embedding", "not planned", "", "", "", "float", "1,000", "4.00 kB", "4.00 kB"]
    assert table.total is not None and table.total[-3:] == ["16,000", "64.0 kB", "64.0 kB"]


def test_weights_that_packing_leaves_out_do_not_count(tmp_path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(100, 150), torch.nn.Linear(150, 100))
    module[1].unused = torch.nn.Linear(50, 100)
    example = torch.zeros(1, 100)
    table = plan_table(pbgen.plan(module, example))
    unused = ["1.unused", "Linear", "not passed by the example", "", "", "", "left out", "5,000", "", ""]
    assert table.rows[2] == unused
    assert table.total is not None and table.total[-3:] == ["30,000", "120 kB", "61.9 kB"]
    info = pbgen.pack(module, example, tmp_path / "g.safetensors")
    assert sum(layer.float_bytes for layer in info.layers) == 120_000


def test_what_packing_did() -> None:
    layers = (LayerInfo("one", "conv_transpose", 1, 3200, 100), LayerInfo("two", "linear", 32, 400, 400))
    table = pack_table(PackInfo(4000, 1000, layers))
    assert table.rows == [
        ["one", "conv_transpose", "binary", "3.20 kB", "100 B"],
        ["two", "linear", "float", "400 B", "400 B"],
        ["the rest", "", "", "400 B", "500 B"],
    ]
    assert table.total == ["all", "4.00x smaller", "", "4.00 kB", "1.00 kB"]


def test_distances_level_by_level_and_the_floor_last() -> None:
    spread = Spread.of([1.0, 2.0, 3.0])
    evaluation = Evaluation(
        64, 3, spread, {32: spread, 16: Spread(4, 0)}, Spread(0.5, 0), {32: Spread(0.4, 0), 16: Spread(0.6, 0)}
    )
    table = evaluation_table({"float": evaluation})
    assert table.columns == ["images", "32 pixels", "16 pixels", "mean"]
    assert table.rows == [
        ["float", "2.0 ± 1.0", "4.0", "2.0 ± 1.0"],
        ["real (the floor)", "0.4", "0.6", "0.5"],
    ]


def test_a_terminal_shows_names_as_they_are() -> None:
    console = Console(width=80, record=True)
    console.print(Table(["name"], [["body[0]"], ["[red]x[/red]"]], total=["[all]"]).to_rich(80))
    shown = console.export_text()
    assert "body[0]" in shown and "[red]x[/red]" in shown and "[all]" in shown


@pytest.mark.parametrize("width, left_out", [(120, []), (100, ["kind"]), (80, ["kind", "weights", "before"])])
def test_a_narrow_terminal_gets_fewer_columns(width: int, left_out: list[str]) -> None:
    generator, _ = pbgen.models.create("dcgan64")
    table = plan_table(pbgen.plan(generator, torch.zeros(1, 100)))
    console = Console(width=width, record=True)
    console.print(table.to_rich(console.width))
    heading, *lines = [line for line in console.export_text().splitlines() if line.strip()]
    assert heading.split() == [name for name in table.columns if name not in left_out]
    assert len(lines) == 1 + len(table.rows) + 1, "no row is broken"
    assert "12,660,512" in lines[2]


def test_rows_must_fit_the_columns() -> None:
    with pytest.raises(ValueError, match="a row of 1 cells in a table of 2 columns"):
        Table(["a", "b"], [["1"]])
