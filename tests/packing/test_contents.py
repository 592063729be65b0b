"""What a packed file is said to hold, against the graph and tensors that were written to it."""

import json
import math
import sys
from pathlib import Path

import pytest
import safetensors.numpy

import pbgen
from pbgen.opening import opened
from pbgen.packing import file
from pbgen.packing.graph import weight_shape
from pbgen.packing.info import layer_infos

sys.path.insert(0, str(Path(__file__).parent.parent / "core"))
from hostile_graphs import hostile_files, strange_files
from random_graphs import graphs, random_graph


@pytest.mark.parametrize(("op", "seed"), graphs(1))
def test_random_graphs(op: str, seed: int, tmp_path: Path) -> None:
    drawn = random_graph(seed, op)
    path = tmp_path / "g.safetensors"
    path.write_bytes(file.to_bytes(drawn.graph, drawn.tensors))
    info = pbgen.info(path)
    assert info.layers == layer_infos(drawn.graph, drawn.tensors)
    assert info.packed_bytes == path.stat().st_size
    assert sum(info.operators.values()) == len(drawn.graph.nodes) and set(info.operators) == drawn.ops
    assert [(i.name, i.integer, i.noise) for i in info.inputs] == [
        (i.name, i.integer, i.noise) for i in drawn.graph.inputs
    ]
    free = [tuple(None if isinstance(n, str) else n for n in i.shape[1:]) for i in drawn.graph.inputs]
    assert [i.shape for i in info.inputs] == free
    assert list(info.outputs) == [name for name, _ in drawn.graph.outputs]
    counts = {name: tensor.size for name, tensor in drawn.tensors.items()}
    for node in drawn.graph.nodes:
        if "weight" in node.attributes:
            counts[node.attributes["weight"]] = math.prod(weight_shape(drawn.graph, node))
    assert info.float_bytes == 4 * sum(counts.values())


def test_other_text_in_the_header_and_json(tmp_path: Path) -> None:
    drawn, path = random_graph(0, "conv"), tmp_path / "g.safetensors"
    metadata = {"pbgen": drawn.graph.to_json(), "author": "Ada\x1b[2J"}
    path.write_bytes(safetensors.numpy.save(drawn.tensors, metadata))
    info = pbgen.info(path)
    assert info.metadata == {"author": "Ada\x1b[2J"}
    told = json.loads(info.to_json())
    assert told["packed_bytes"] == path.stat().st_size and told["ratio"] == info.ratio
    assert [layer["bits"] for layer in told["layers"]] == [layer.bits for layer in info.layers]
    assert [tuple(i["shape"]) for i in told["inputs"]] == [i.shape for i in info.inputs]


def test_what_lies_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    for name, content, _ in hostile_files():
        path.write_bytes(content)
        with pytest.raises(pbgen.PBGenError) as refusal:
            pbgen.info(path)
        assert "\n" not in str(refusal.value) and "changed while" not in str(refusal.value), name


def test_what_is_strange_and_right_is_told(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    for _, content, *_ in strange_files():
        path.write_bytes(content)
        assert pbgen.info(path).packed_bytes == len(content)


def test_a_file_that_changes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, path = random_graph(0, "conv"), tmp_path / "g.safetensors"
    content = file.to_bytes(drawn.graph, drawn.tensors)
    for later in (b"", content[:4], content[:20], b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]"):
        path.write_bytes(content)
        found = opened(path)
        monkeypatch.setattr("pbgen.contents.opened", lambda *_, found=found, **__: found)
        path.write_bytes(later)
        with pytest.raises(pbgen.PBGenError, match="changed while it was read"):
            pbgen.info(path)
