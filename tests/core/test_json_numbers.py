"""Numbers in a packed file's JSON, in every way of writing them, become the float32 that Python makes of them."""

from pathlib import Path

import numpy as np
import pytest
from packed_files import node, rewritten, write

from pbgen import Engine, PBGenError

WRITTEN = [
    "0.0", "-0.0", "1.0", "-1.5", "0.1", "0.2", "123456.789", "-999999.9", "1e5", "1E+5", "25e-1", "2.5E-3", "1e-30",
    "0.30000000000000004", "3.1415926535897932384626433832795028841971", "0.000000000000000000000000000000000000001",
    "100000000000000000000000000000000000000000e-40", "1e-400", "1.17549435e-38", "0.5e-44", "999999.99999999999",
]  # fmt: skip

MARK = 1_000_000  # more than any number of a node


def slopes(written: list[str], path: Path) -> np.ndarray:
    """What the engine reads: leaky ReLUs of -1, of which the slopes are the numbers."""
    marks = [MARK + i for i in range(len(written))]
    nodes = [node("map", [0], (1,), program=[["leaky", 0, 1]], numbers=[mark]) for mark in marks]
    nodes.append(node("concat", list(range(1, len(written) + 1)), (len(written),), axis=1))
    write(path, (1,), nodes, {})

    def with_numbers(graph: str) -> str:
        for mark, number in zip(marks, written, strict=True):
            graph = graph.replace(f"[{mark}]", f"[{number}]")
        return graph

    path.write_bytes(rewritten(path.read_bytes(), with_numbers))
    return -Engine(path)(np.full((1, 1), -1, np.float32))[0]


@pytest.mark.filterwarnings("ignore:overflow")
def test_every_way_of_writing(tmp_path: Path) -> None:
    expected = np.array([float(number) for number in WRITTEN], np.float32)
    np.testing.assert_array_equal(slopes(WRITTEN, tmp_path / "g.safetensors"), expected)


def test_what_packing_writes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    numbers = [
        *(float(x) for x in rng.standard_normal(500).astype(np.float32)),
        *(float(x) for x in np.float32(10) ** rng.uniform(-30, 5.9, 500).astype(np.float32)),
        *(a / b for a in range(1, 20) for b in range(1, 50)),
    ]
    read = slopes([repr(number) for number in numbers], tmp_path / "g.safetensors")
    np.testing.assert_array_equal(read, np.array(numbers, np.float32))


@pytest.mark.parametrize("number", ["1e999", "-1e400", "1.5e99999999999999999999", "1" + "0" * 400 + ".0"])
def test_what_no_double_holds(number: str, tmp_path: Path) -> None:
    with pytest.raises(PBGenError, match="number out of range"):
        slopes(["1.0", number], tmp_path / "g.safetensors")
