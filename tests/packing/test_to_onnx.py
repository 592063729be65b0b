"""ONNX files made of packed ones: ONNX Runtime makes the module's values of them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import pbgen
from pbgen.example import example_input
from pbgen.packing import file
from pbgen.packing.graph import Graph, Input, Node, Size
from pbgen.packing.stored import Stored
from pbgen.packing.to_onnx import check_onnx, export_onnx, run_onnx, to_bytes

sys.path.insert(0, str(Path(__file__).parent.parent / "core"))
from random_graphs import graphs, random_graph

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def assert_same(made: np.ndarray, expected: torch.Tensor) -> None:
    right = expected.detach().numpy()
    assert made.shape == right.shape
    assert np.abs(made - right).max() <= 1e-4 * np.abs(right).max()


@pytest.mark.parametrize("bits", [1, 3])
def test_a_dcgan_stays_small(bits: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator, _ = pbgen.models.create("dcgan32", width=128)
    z = example_input(generator)
    pbgen.binarize(generator, pbgen.plan(generator, z, threshold=100, bits=bits))
    packed, output = tmp_path / "g.safetensors", tmp_path / "g.onnx"
    info = pbgen.pack(generator, z, packed)
    assert export_onnx(packed, output) == output.stat().st_size < info.packed_bytes + 30_000 < info.float_bytes / 4
    onnx.checker.check_model(onnx.load(output), full_check=True)
    assert str(Path(pbgen.__file__).parent).encode() not in output.read_bytes()
    for batch in (1, 5):
        z = torch.randn(batch, 100)
        assert_same(run_onnx(output.read_bytes(), [z.numpy()])[0], generator.eval()(z))


def test_free_sizes_and_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.LeakyReLU(0.2), nn.Upsample(scale_factor=2), nn.Conv2d(8, 3, 3)]
    module = nn.Sequential(*layers).half().float()
    packed, output = tmp_path / "g.safetensors", tmp_path / "g.onnx"
    pbgen.pack(module.half(), torch.rand(1, 3, 8, 8), packed)
    export_onnx(packed, output)
    for shape in ((2, 3, 9, 40), (1, 3, 64, 17)):
        x = torch.rand(shape)
        assert_same(run_onnx(output.read_bytes(), [x.numpy()])[0], module.float()(x))
    (source,) = onnx.load(output).graph.input
    assert [size.dim_param or size.dim_value for size in source.type.tensor_type.shape.dim][:2] == ["batch", 3]
    export_onnx(packed, output, sizes=(12, 20))
    (source,) = onnx.load(output).graph.input
    assert [size.dim_value for size in source.type.tensor_type.shape.dim][1:] == [3, 12, 20]


@pytest.mark.parametrize(("op", "seed"), [(op, seed) for op, seed in graphs(1) if op not in ("range", "pool")])
def test_random_graphs(op: str, seed: int, tmp_path: Path) -> None:
    """Operators of all kinds, several inputs and outputs, at one size."""
    drawn, path = random_graph(seed + 3, op), tmp_path / "g.safetensors"
    path.write_bytes(file.to_bytes(drawn.graph, drawn.tensors))
    module = Stored(drawn.graph, drawn.tensors).eval()
    content = to_bytes(module, drawn.graph, drawn.cases[0], fixed=True)
    check_onnx(content, pbgen.Engine(path), module, drawn.cases[0], (1,))


def test_names_of_any_kind(tmp_path: Path) -> None:
    shape, program = (1, 3, "batch"), {"program": [["add", 0, 1], ["tanh", 2]], "numbers": []}
    packed, output = tmp_path / "g.safetensors", tmp_path / "g.onnx"
    for first, second, last in (("x", "y", "x"), ("a \x1b[2J", "digits", "add"), ("", "stored_0", "tanh")):
        inputs = Input(first, shape), Input(second, shape, noise="normal")
        file.write(packed, Graph(inputs, (), (Node("map", "m", (0, 1), shape, program),), ((last, 2),)), {})
        export_onnx(packed, output)
        proto = onnx.load(output)
        onnx.checker.check_model(proto, full_check=True)
        assert len({value.name for value in [*proto.graph.input, *proto.graph.output]}) == 3
        assert [size.dim_param for size in proto.graph.input[0].type.tensor_type.shape.dim] == ["batch_", "", "batch"]


def test_what_onnx_has_not_is_named(tmp_path: Path) -> None:
    node = Node("adaptive_pool", "halve", (0,), (1, 2, "M"), {"kind": "max", "axes": [2]})
    graph = Graph((Input("x", (1, 2, "L")),), (Size("M", "//", "L", 3),), (node,), (("y", 1),))
    packed, output = tmp_path / "g.safetensors", tmp_path / "g.onnx"
    file.write(packed, graph, {})
    with pytest.raises(pbgen.PBGenError, match=r'g.safetensors: .*adaptive_pool "halve".*; give a size') as refusal:
        export_onnx(packed, output)
    assert "\n" not in str(refusal.value) and not output.exists()
    export_onnx(packed, output, sizes=(20,))
    x = torch.rand(3, 2, 20)
    assert_same(run_onnx(output.read_bytes(), [x.numpy()])[0], nn.functional.adaptive_max_pool1d(x, 6))
    with pytest.raises(pbgen.PBGenError, match="free sizes are L"):
        export_onnx(packed, output, sizes=(20, 30))


def test_other_values_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, output = tmp_path / "g.safetensors", tmp_path / "g.onnx"
    pbgen.pack(nn.Linear(4, 3), torch.rand(1, 4), packed)
    monkeypatch.setattr("pbgen.packing.to_onnx.run_onnx", lambda content, inputs: [np.ones((len(inputs[0]), 3))])
    with pytest.raises(pbgen.PBGenError, match="ONNX Runtime makes other values of"):
        export_onnx(packed, output)
    assert not output.exists()
