"""The file itself: bits in the documented order, any safetensors reader, sizes, determinism, atomic writing."""

import base64
import copy
import errno
import importlib
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from safetensors import safe_open
from torch import nn

import pbgen
from pbgen import models
from pbgen.binarize import METHODS, binarize
from pbgen.deflated import LIMIT, deflated
from pbgen.errors import PBGenError
from pbgen.packing import PackInfo, file, layer_infos, pack
from pbgen.packing.graph import Graph, Input, Node

sys.path.insert(0, str(Path(__file__).parent.parent / "core"))
from packed_files import rewritten
from random_graphs import random_graph

LAYERS = [
    # layer, shape of its input, (C_out, C_in, groups, kernel)
    (nn.ConvTranspose2d(4, 6, (3, 2), groups=2), (4, 3, 3), (6, 4, 2, (3, 2))),
    (nn.ConvTranspose2d(3, 5, 2), (3, 3, 3), (5, 3, 1, (2, 2))),
    (nn.ConvTranspose1d(6, 9, 5, groups=3), (6, 4), (9, 6, 3, (5,))),
    (nn.Conv2d(4, 6, (1, 3), groups=2), (4, 3, 3), (6, 4, 2, (1, 3))),
    (nn.Conv1d(3, 5, 3), (3, 4), (5, 3, 1, (3,))),
    (nn.Linear(7, 3), (7,), (3, 7, 1, ())),
]


def bits_as_documented(layer: nn.Module, out: int, inputs: int, groups: int, kernel: tuple[int, ...]) -> list[int]:
    """docs/format.md word for word, with plain loops: 1 for +1, in the order (C_out, C_in / groups, kernel...)."""
    weight, bits = layer.weight.detach().numpy(), []
    transposed = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d)
    for channel in range(out):
        for source in range(inputs // groups):
            for tap in np.ndindex(*kernel):
                if transposed:
                    group, j = divmod(channel, out // groups)
                    value = weight[(group * (inputs // groups) + source, j, *tap)]
                else:
                    value = weight[(channel, source, *tap)]
                bits.append(int(value > 0))
    return bits


@pytest.mark.parametrize(
    ("layer", "shape", "sizes", "method"),
    [(*layer, "bwn") for layer in LAYERS] + [(*LAYERS[0], method) for method in METHODS if method != "bwn"],
)
def test_bits_stand_in_the_documented_order(compare, layer, shape, sizes, method) -> None:
    layer = binarize(copy.deepcopy(layer), [""], method).eval()
    stored = next(iter(tensor for tensor in compare(layer, shape).tensors.values() if tensor.dtype == np.uint8))
    bits = bits_as_documented(layer, *sizes)
    assert stored.shape == (-(-len(bits) // 8),)
    read = [int(stored[i // 8]) >> i % 8 & 1 for i in range(8 * len(stored))]
    assert read == bits + [0] * (len(read) - len(bits))


def test_float_weights_have_the_canonical_shape(compare) -> None:
    layer = nn.ConvTranspose2d(4, 6, (3, 2), groups=2, bias=False)
    (stored,) = compare(layer, (4, 3, 3)).tensors.values()
    assert stored.dtype == np.float32 and stored.shape == (6, 2, 3, 2)
    assert stored[4, 1, 2, 0] == layer.weight[3, 1, 2, 0]  # output channel 4 is the second of group 1


@pytest.fixture
def small(tmp_path):
    """A packed generator with layers of both kinds."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Unflatten(1, (2, 2, 2)), nn.ConvTranspose2d(2, 3, 4, 2, 1))
    path = tmp_path / "g.safetensors"
    pack(binarize(module, ["0"]), torch.randn(2, 5), path)
    return module, path


def test_header_as_documented(small) -> None:
    contents = small[1].read_bytes()
    (length,) = struct.unpack("<Q", contents[:8])
    assert length % 8 == 0 and contents[8:9] == b"{"
    header = json.loads(contents[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert list(metadata) == ["pbgen"]
    end = 0
    for entry in sorted(header.values(), key=lambda entry: entry["data_offsets"]):
        assert entry["data_offsets"][0] == end
        end = entry["data_offsets"][1]
    assert 8 + length + end == len(contents)


def test_the_safetensors_library_reads_it(small) -> None:
    with safe_open(small[1], framework="pt") as opened:
        compressed = base64.b64decode(opened.metadata()["pbgen"])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # not a dict
    graph = json.loads(zlib.decompress(compressed, wbits=-15))
    assert {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()} == {
        "0.weight": (torch.uint8, (5,)),
        "0.scale": (torch.float32, (8,)),
        "0.shift": (torch.float32, (8,)),
        "3.weight": (torch.float32, (3, 2, 4, 4)),
        "3.shift": (torch.float32, (3,)),
    }
    assert graph["version"] == 2 and graph["sizes"] == []
    assert [source["shape"] for source in graph["inputs"]] == [[1, 5]]
    assert [(node["op"], node["inputs"], node["shape"]) for node in graph["nodes"]] == [
        ("linear", [0], [1, 8]),
        ("reshape", [1], [1, 2, 2, 2]),
        ("conv_transpose", [2], [1, 3, 4, 4]),
    ]
    linear, _, last = graph["nodes"]
    assert linear["program"] == [["relu", 0]] and "numbers" not in linear
    assert linear["weight"] is linear["scale"] is linear["shift"] is True
    assert (last["kernel"], last["stride"], last["padding"]) == ([4, 4], [2, 2], [1, 1])
    assert last["shift"] is True and {"scale", "dilation", "groups"}.isdisjoint(last)
    assert [value for _, value in graph["outputs"]] == [3]


def test_what_need_not_be_said_may_be_said(small, tmp_path) -> None:
    def told(text: str) -> str:
        graph = json.loads(text)
        for node in graph["nodes"]:
            node.update({key: f"{node['name']}.{key}" for key in ("weight", "scale", "shift") if key in node})
            if node["op"] == "conv_transpose":
                node.update(dilation=[1, 1], groups=1)
        return json.dumps(graph)

    path = tmp_path / "told.safetensors"
    path.write_bytes(rewritten(small[1].read_bytes(), told))
    z = np.ones((1, 5), np.float32)
    np.testing.assert_array_equal(pbgen.Engine(path)(z), pbgen.Engine(small[1])(z))
    assert pbgen.info(path).layers == pbgen.info(small[1]).layers
    assert file.read(path)[0] == file.read(small[1])[0]


def test_the_same_module_gives_the_same_bytes(small, tmp_path) -> None:
    again = tmp_path / "again.safetensors"
    pack(small[0], torch.randn(7, 5), again)
    assert again.read_bytes() == small[1].read_bytes()


def test_the_module_is_left_as_it_was(tmp_path) -> None:
    module = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Linear(8, 2))
    binarize(module, ["0"], "learned-scale")
    module[1].eval()
    module(torch.randn(4, 5)).sum().backward()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    gradients = {name: parameter.grad.clone() for name, parameter in module.named_parameters()}
    modes = [layer.training for layer in module.modules()]
    pack(module, torch.randn(2, 5), tmp_path / "g.safetensors")
    assert [layer.training for layer in module.modules()] == modes
    assert list(module.state_dict()) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    for name, parameter in module.named_parameters():
        assert parameter.requires_grad and torch.equal(parameter.grad, gradients[name])
    module(torch.randn(4, 5)).sum().backward()


def test_packing_draws_no_random_numbers(tmp_path) -> None:
    module = nn.Sequential(nn.Linear(5, 8), nn.Dropout())
    random = torch.get_rng_state()
    pack(module, torch.ones(2, 5), tmp_path / "g.safetensors")
    assert torch.equal(random, torch.get_rng_state())


def test_dcgan64_is_at_least_31_times_smaller(tmp_path) -> None:
    generator, _ = models.create("dcgan64")
    layers = [name for name, layer in generator.named_modules() if isinstance(layer, nn.ConvTranspose2d)]
    norms = [layer for layer in generator.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.normal_(norm.bias)  # as after training: shifts are stored too
    path = tmp_path / "g.safetensors"
    info = pack(binarize(generator, layers[:-1]), torch.randn(1, 100), path)
    assert info.packed_bytes == path.stat().st_size
    # Weights of the five layers, the last one's bias, and weight, bias, mean and variance of the norms.
    weights = 100 * 1024 * 16 + (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3) * 25
    assert info.float_bytes == 4 * (weights + 3 + 4 * (1024 + 512 + 256 + 128))
    assert info.ratio == info.float_bytes / info.packed_bytes >= 31
    assert [layer.binary for layer in info.layers] == [True] * 4 + [False]
    assert [layer.name for layer in info.layers] == layers
    assert "4 of 5 layers binary" in str(info) and f"{info.packed_bytes:,}" in str(info)


def test_what_is_not_needed_at_inference_is_not_counted(tmp_path) -> None:
    class Encoded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.generator = nn.Linear(100, 100), nn.Linear(4, 3)

        def forward(self, x):
            return self.generator(x)

    info = pack(Encoded(), torch.randn(1, 4), tmp_path / "g.safetensors")
    assert info.float_bytes == 4 * (4 * 3 + 3)
    assert str(info).endswith("0 of 1 layers binary, file no smaller than float32")


def test_half_precision_modules_are_packed_in_float32(tmp_path) -> None:
    module = nn.Linear(4, 3).half()
    info = pack(module, torch.randn(2, 4), tmp_path / "g.safetensors")
    assert info.float_bytes == 60 and module.weight.dtype == torch.float16


def test_a_failing_write_leaves_the_old_file(small, tmp_path, monkeypatch) -> None:
    _, path = small
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(PBGenError, match=r"g\.safetensors: cannot be written: No space left on device"):
        pack(nn.Linear(5, 2), torch.randn(2, 5), path)
    monkeypatch.undo()
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_file_that_disagrees_is_not_written(small, tmp_path, monkeypatch) -> None:
    module, path = small
    before = path.read_bytes()
    lower = importlib.import_module("pbgen.packing.lower")
    monkeypatch.setattr(lower, "pack_planes", lambda signs, bits: np.packbits(signs.reshape(-1) < 0))
    with pytest.raises(PBGenError, match="differs from the module's by"):
        pack(module, torch.randn(2, 5), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_rounding_that_the_module_itself_suffers_is_no_disagreement(tmp_path) -> None:
    torch.manual_seed(0)
    generator, _ = models.create("dcgan32", width=16)
    binarize(generator, "all", "irnet")  # scales near 1, so that untrained values grow from layer to layer
    assert pack(generator, torch.randn(3, 100), tmp_path / "g.safetensors").ratio > 5


def test_a_folder_that_does_not_exist(tmp_path) -> None:
    with pytest.raises(PBGenError, match=r"there is no folder .*make it first"):
        pack(nn.Linear(5, 2), torch.randn(2, 5), tmp_path / "none" / "g.safetensors")


WEIGHT = {"w": np.ones((2, 3), np.float32)}
LINEAR = {"op": "linear", "name": "l", "inputs": [0], "shape": [1, 2], "weight": "w"}
CONV = {"kernel": [1], "stride": [1], "padding": [0], "dilation": [1], "groups": 1}
RELU = {"program": [["relu", 0]], "numbers": []}
X = {"name": "x", "shape": [1, 3]}


def with_node(**fields):
    return {"nodes": [{**LINEAR, **fields}]}


def without_tensors(op, shape, **attributes):
    return {"nodes": [{"op": op, "name": "n", "inputs": [0], "shape": shape, **attributes}]}


DAMAGED = [
    # the graph's fields that differ, its tensors, what the message must say
    ({"version": 1}, WEIGHT, "version 1; this pbgen reads version 2"),
    ({"inputs": []}, WEIGHT, "needs 1 to 64 inputs"),
    ({"inputs": [X | {"noise": "normal"}]}, WEIGHT, "all its inputs are noise"),
    ({"inputs": [X | {"noise": "pink"}]}, WEIGHT, "not as docs/format.md has it"),
    ({"inputs": [X, X]}, WEIGHT, "two of its inputs have the same name"),
    ({"inputs": [X | {"shape": []}]}, WEIGHT, 'input "x": has shape .*one to eight dimensions'),
    ({"inputs": [X | {"shape": [1] * 9}]}, WEIGHT, 'input "x": has shape .*one to eight dimensions'),
    ({"inputs": [X | {"shape": [1, 0]}]}, WEIGHT, 'input "x": has shape .*of at least 1'),
    ({"inputs": [X | {"shape": [3, 3]}]}, WEIGHT, "should begin with the batch's 1"),
    ({"inputs": [X | {"shape": [1, "2L"]}]}, WEIGHT, "the size '2L': its name should be"),
    ({"inputs": [X | {"shape": [1, 3.5]}]}, WEIGHT, "not as docs/format.md has it"),
    ({"inputs": "abc"}, WEIGHT, "not as docs/format.md has it"),
    (
        {"inputs": [X, {"name": "n", "shape": [1, "L"], "noise": "normal"}]},
        WEIGHT,
        "the size L: only noise has it, so nothing tells what it is",
    ),
    ({"sizes": [["S", "/", 1, 2]]}, WEIGHT, "not as docs/format.md has it"),
    ({"sizes": [["S", "+", 1, 2.5]]}, WEIGHT, "not as docs/format.md has it"),
    ({"sizes": [["S", "+", 1, "T"], ["T", "+", 1, 1]]}, WEIGHT, "the size S: is made of sizes that do not stand"),
    ({"sizes": [["S", "+", 1, 1], ["S", "+", 1, 1]]}, WEIGHT, "the size S: there are two"),
    ({"nodes": [{"op": "linear"}]}, WEIGHT, "not as docs/format.md has it"),
    (with_node(inputs=[1]), WEIGHT, 'linear "l": reads a value made after it'),
    (with_node(inputs=[]), WEIGHT, "reads 0 values"),
    (with_node(inputs=[0, 0]), WEIGHT, "reads 2 values"),
    (with_node(inputs=[-1]), WEIGHT, "not as docs/format.md has it"),
    (with_node(op="gelu"), WEIGHT, 'gelu "l": unknown operator'),
    (with_node(colour=1), WEIGHT, "unknown attributes colour"),
    (with_node(weight="v"), WEIGHT, "'v' is not in the file"),
    (with_node(weight=["w"]), WEIGHT, "is not in the file"),
    (with_node(shape=[1, 3]), WEIGHT, r"tensor w has shape \[2, 3\], expected \[3, 3\]"),
    (with_node(shape=[1, "L"]), WEIGHT, "names the size L, which does not exist"),
    (with_node(shape=[2]), WEIGHT, r"makes \[2\] of \[1, 3\]"),
    (with_node(numbers=[1]), WEIGHT, "has numbers, and no program"),
    (with_node(program=[], numbers=[]), WEIGHT, "1 to 256 instructions"),
    (with_node(program=[["relu", 1]], numbers=[]), WEIGHT, "reads an operand made after it"),
    (with_node(program=[["relu", -1]], numbers=[]), WEIGHT, "reads an operand made after it"),
    (with_node(program=[["add", 0]], numbers=[]), WEIGHT, "no instruction add of 1 operands"),
    (with_node(program=[["gelu", 0]], numbers=[]), WEIGHT, "no instruction gelu of 1 operands"),
    (with_node(program=[[["relu"], 0]], numbers=[]), WEIGHT, "not as docs/format.md has it"),
    (with_node(program=7, numbers=[]), WEIGHT, "not as docs/format.md has it"),
    (with_node(program=[["mul", 0, 1]], numbers=["L"]), WEIGHT, "names the size L, which does not exist"),
    ({}, {"w": np.ones(2, np.uint8)}, r"tensor w has shape \[2\], expected \[1\]"),
    (
        with_node(scale="s"),
        {**WEIGHT, "s": np.ones(2, np.uint8)},
        "tensor s holds uint8, expected F32 or F16",
    ),
    (with_node(shift="s"), {**WEIGHT, "s": np.ones(3, np.float32)}, r"tensor s has shape \[3\], expected \[2\]"),
    ({}, {"w": np.ones((2, 3), np.float64)}, "tensor w holds float64, expected U8 or F32 or F16"),
    ({}, {**WEIGHT, "x": np.ones(2, np.float32)}, "no node uses tensor x"),
    ({"outputs": []}, WEIGHT, "needs 1 to 64 outputs"),
    ({"outputs": [["y", 2]]}, WEIGHT, 'output "y": is value 2'),
    ({"outputs": [["y", 1], ["y", 1]]}, WEIGHT, "two of its outputs have the same name"),
    (without_tensors("permute", [3, 1], axes=[1, 0]), {}, 'output "y": its shape should begin'),
    (with_node(op="conv", **CONV, shape=[1, 2]), WEIGHT, r"tensor w has shape \[2, 3\], expected \[2, 3, 1\]"),
    (without_tensors("conv", [1, 2, 1], **CONV), {}, "reads 1 values"),
    (without_tensors("map", [1, 3]), {}, "lacks program"),
    (without_tensors("constant", [1, 3], tensor="c"), {"c": np.ones((1, 3), np.float32)}, "reads 1 values"),
    (without_tensors("matmul", [1, 3]), {}, "reads 1 values"),
    (without_tensors("concat", [1, 3], axis=1), {}, "reads 1 values"),
    (without_tensors("slice", [1, 3], axis=1, start="L", step=1), {}, "names the size L"),
    (without_tensors("pad", [1, 3], before=[0, "L"], mode="reflect"), {}, "names the size L"),
]


@pytest.mark.parametrize(("fields", "tensors", "message"), DAMAGED)
def test_damaged_graphs_are_refused(tmp_path, fields, tensors, message) -> None:
    graph = {"version": 2, "inputs": [X], "sizes": [], "nodes": [LINEAR], "outputs": [["y", 1]], **fields}
    if len(graph["inputs"]) == 2:
        graph["nodes"], graph["outputs"] = [LINEAR], [["y", 2]]
    path = tmp_path / "g.safetensors"
    path.write_bytes(safetensors.numpy.save(tensors, {"pbgen": json.dumps(graph)}))
    with pytest.raises(PBGenError, match=message) as refusal:
        file.read(path)
    assert str(refusal.value).startswith(str(path)) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (None, "cannot be read as a packed generator"),
        (b"", "cannot be read as a packed generator"),
        (b"PK\x03\x04 not such a file", "cannot be read as a packed generator"),
        (safetensors.numpy.save(WEIGHT), 'without a "pbgen" graph'),
        (safetensors.numpy.save(WEIGHT, {"pbgen": "{"}), "not as docs/format.md has it"),
        (safetensors.numpy.save(WEIGHT, {"pbgen": '{"version":' + "[" * 100000}), "not as docs/format.md has it"),
        (safetensors.numpy.save(WEIGHT, {"pbgen": deflated("[" * 100000)}), "not as docs/format.md has it"),
        (safetensors.numpy.save(WEIGHT, {"pbgen": "[]"}), "Only base64 data is allowed"),
        (safetensors.numpy.save(WEIGHT, {"pbgen": "AAAA"}), "compressed text is damaged"),
        (safetensors.numpy.save(WEIGHT, {"pbgen": deflated("{}")[:-4]}), "compressed text is damaged"),
        (safetensors.numpy.save(WEIGHT, {"pbgen": deflated(" " * (LIMIT + 1))}), "longer than 4194304 bytes"),
    ],
)
def test_foreign_files_are_refused(tmp_path, contents, message) -> None:
    path = tmp_path / "g.safetensors"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(PBGenError, match=message) as refusal:
        file.read(path)
    assert str(refusal.value).startswith(str(path))


@pytest.fixture
def by_hand(tmp_path):
    """A file with free sizes, one-bit weights, an embedding and a graph of every kind of number."""
    drawn = random_graph(3, "take", nodes=20)
    file.write(tmp_path / "g.safetensors", drawn.graph, drawn.tensors)
    return drawn, tmp_path / "g.safetensors"


def test_what_was_written_is_read(by_hand, tmp_path) -> None:
    drawn, path = by_hand
    graph, tensors = file.read(path)
    assert graph.to_json() == drawn.graph.to_json() and tensors.keys() == drawn.tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, drawn.tensors[name], strict=True)
    file.write(tmp_path / "again", graph, tensors)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_truncated_files_are_refused(by_hand) -> None:
    _, path = by_hand
    contents = path.read_bytes()
    for length in range(0, len(contents), 97):
        path.write_bytes(contents[:length])
        with pytest.raises(PBGenError, match="cannot be read"):
            file.read(path)


def test_a_graph_that_the_format_forbids_is_not_written(tmp_path) -> None:
    node = Node("linear", "l", (0,), (1, 2), {"weight": "w"})
    graph = Graph((Input("x", (1, 3)),), (), (node,), (("y", 1),))
    with pytest.raises(PBGenError, match="'w' is not in the file"):
        file.write(tmp_path / "g.safetensors", graph, {})
    assert list(tmp_path.iterdir()) == []


def test_layers_have_bits_and_everything_else_has_none() -> None:
    """An embedding is a constant, a weight that two layers share is counted once."""
    nodes = (
        Node("constant", "embedding", (), (7, 16), {"tensor": "e"}),
        Node("take", "embedding", (1, 0), (1, 5, 16), {"axis": 0}),
        Node("linear", "a", (2,), (1, 5, 16), {"weight": "a"}),
        Node("linear", "again", (3,), (1, 5, 16), {"weight": "a"}),
        Node("linear", "b", (4,), (1, 5, 2), {"weight": "b"}),
        Node("linear", "c", (4,), (1, 5, 2), {"weight": "c"}),
    )
    graph = Graph((Input("x", (1, 5), integer=True),), (), nodes, (("y", 5), ("z", 6)))
    tensors = {"e": np.ones((7, 16), np.float32), "a": np.zeros(32, np.uint8)}
    tensors |= {"b": np.ones((2, 16), np.float16), "c": np.ones((2, 16), np.float32)}
    file.to_bytes(graph, tensors)
    info = PackInfo(4000, 1000, layer_infos(graph, tensors))
    assert [(layer.name, layer.kind, layer.bits) for layer in info.layers] == [
        ("a", "linear", 1),
        ("again", "linear", 1),
        ("b", "linear", 16),
        ("c", "linear", 32),
    ]
    assert [(layer.float_bytes, layer.packed_bytes) for layer in info.layers] == [
        (1024, 32),
        (0, 0),
        (128, 64),
        (128, 128),
    ]
    assert "2 of 4 layers binary" in str(info) and "2,720" in str(info) and "float16" in str(info)
