"""The file itself: bits in the documented order, any safetensors reader, sizes, determinism, atomic writing."""

import copy
import errno
import importlib
import json
import struct

import numpy as np
import pytest
import safetensors.numpy
import torch
from safetensors import safe_open
from torch import nn

from pbgen import models
from pbgen.binarize import METHODS, binarize
from pbgen.errors import PBGenError
from pbgen.packing import file, pack
from pbgen.packing.graph import Graph, Node

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
        graph = json.loads(opened.metadata()["pbgen"])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # not a dict
    assert {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()} == {
        "0.weight": (torch.uint8, (5,)),
        "0.scale": (torch.float32, (8,)),
        "0.shift": (torch.float32, (8,)),
        "3.weight": (torch.float32, (3, 2, 4, 4)),
        "3.shift": (torch.float32, (3,)),
    }
    assert graph == {
        "version": 1,
        "input": [5],
        "nodes": [
            {
                "op": "linear",
                "name": "0",
                "inputs": [0],
                "shape": [8],
                "weight": "0.weight",
                "scale": "0.scale",
                "shift": "0.shift",
                "activation": "relu",
            },
            {"op": "reshape", "name": "2", "inputs": [1], "shape": [2, 2, 2]},
            {
                "op": "conv_transpose",
                "name": "3",
                "inputs": [2],
                "shape": [3, 4, 4],
                "weight": "3.weight",
                "kernel": [4, 4],
                "stride": [2, 2],
                "padding": [1, 1],
                "dilation": [1, 1],
                "groups": 1,
                "shift": "3.shift",
            },
        ],
        "output": 3,
    }


def test_read_and_write_are_inverse(small, tmp_path) -> None:
    graph, tensors = file.read(small[1])
    again = tmp_path / "again.safetensors"
    file.write(again, graph, tensors)
    assert again.read_bytes() == small[1].read_bytes()


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
    assert "0 of 1 layers binary" in str(info)


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
    monkeypatch.setattr(lower, "pack_signs", lambda signs: np.packbits(signs.reshape(-1) < 0))
    with pytest.raises(PBGenError, match="differs from the module's by"):
        pack(module, torch.randn(2, 5), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_rounding_that_the_module_itself_suffers_is_no_disagreement(tmp_path) -> None:
    torch.manual_seed(0)
    generator, _ = models.create("dcgan32", width=16)
    binarize(generator, "all", "irnet")  # scales near 1, so that untrained values grow from layer to layer
    assert pack(generator, torch.randn(3, 100), tmp_path / "g.safetensors").ratio > 5


def test_a_folder_that_does_not_exist(tmp_path) -> None:
    with pytest.raises(PBGenError, match="choose a folder that exists"):
        pack(nn.Linear(5, 2), torch.randn(2, 5), tmp_path / "none" / "g.safetensors")


WEIGHT = {"w": np.ones((2, 3), np.float32)}
LINEAR = {"op": "linear", "name": "l", "inputs": [0], "shape": [2], "weight": "w"}
CONV = {"kernel": [1], "stride": [1], "padding": [0], "dilation": [1], "groups": 1}
UP = {"op": "upsample", "name": "u", "inputs": [0]}
DAMAGED = [
    # the graph's fields that differ, its tensors, what the message must say
    ({"version": 2}, WEIGHT, "version 2; this pbgen reads version 1"),
    ({"input": []}, WEIGHT, "one to three dimensions"),
    ({"input": [0]}, WEIGHT, "one to three dimensions"),
    ({"input": "abc"}, WEIGHT, "not as docs/format.md has it"),
    ({"nodes": [{"op": "linear"}]}, WEIGHT, "not as docs/format.md has it"),
    ({"nodes": [{**LINEAR, "inputs": [1]}]}, WEIGHT, 'linear "l": reads a value made after it'),
    ({"nodes": [{**LINEAR, "inputs": []}]}, WEIGHT, "or none"),
    ({"nodes": [{**LINEAR, "inputs": [0, 0]}]}, WEIGHT, "needs one value"),
    ({"nodes": [{**LINEAR, "inputs": [-1]}]}, WEIGHT, "not as docs/format.md has it"),
    ({"nodes": [{**LINEAR, "op": "gelu"}]}, WEIGHT, 'gelu "l": unknown operator'),
    ({"nodes": [{**LINEAR, "colour": 1}]}, WEIGHT, "unknown attributes colour"),
    ({"nodes": [{**LINEAR, "weight": "v"}]}, WEIGHT, "'v' is not in the file"),
    ({"nodes": [{**LINEAR, "shape": [3]}]}, WEIGHT, r"tensor w has shape \[2, 3\], expected \[3, 3\]"),
    ({}, {"w": np.ones(2, np.uint8)}, r"tensor w has shape \[2\], expected \[1\]"),
    (
        {"nodes": [{**LINEAR, "scale": "s"}]},
        {**WEIGHT, "s": np.ones(2, np.uint8)},
        "tensor s holds uint8, expected F32 or F16",
    ),
    ({}, {"w": np.ones((2, 3), np.float64)}, "tensor w holds float64, expected U8 or F32 or F16"),
    ({"nodes": [{**LINEAR, "activation": "gelu"}]}, WEIGHT, "unknown activation 'gelu'"),
    ({"nodes": [{**LINEAR, "activation": "leaky_relu"}]}, WEIGHT, "slope belongs to leaky_relu"),
    ({"nodes": [{**LINEAR, "activation": "leaky_relu", "slope": float("nan")}]}, WEIGHT, "slope nan should be"),
    ({"input": [2**15, 2**14]}, {}, "at most 2.28 numbers"),
    ({"output": 2}, WEIGHT, "ends in value 2"),
    ({}, {**WEIGHT, "x": np.ones(2, np.float32)}, "no node uses tensor x"),
    ({"nodes": [{**LINEAR, **CONV, "op": "conv"}]}, WEIGHT, r"needs \[C, L\]"),
    ({"nodes": [{"op": "add", "name": "a", "inputs": [0], "shape": [3]}]}, {}, "two values or more"),
    ({"nodes": [{"op": "reshape", "name": "r", "inputs": [0], "shape": [2]}]}, {}, "differ in size"),
    ({"nodes": [{"op": "concat", "name": "c", "inputs": [0, 0], "shape": [5], "axis": 0}]}, {}, "do not add up"),
    ({"nodes": [{"op": "concat", "name": "c", "inputs": [0, 0], "shape": [3, 2], "axis": 1}]}, {}, "does not fit"),
    ({"nodes": [{**UP, "shape": [3], "mode": "nearest", "step": []}]}, {}, r"nearest of \[3\]"),
    ({"nodes": [{"op": "pixel_shuffle", "name": "p", "inputs": [0], "shape": [3], "factor": 2}]}, {}, "C, H, W"),
]


@pytest.mark.parametrize(("fields", "tensors", "message"), DAMAGED)
def test_damaged_graphs_are_refused(tmp_path, fields, tensors, message) -> None:
    graph = {"version": 1, "input": [3], "nodes": [LINEAR], "output": 1, **fields}
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
        (safetensors.numpy.save(WEIGHT, {"pbgen": "["}), "not as docs/format.md has it"),
        (safetensors.numpy.save(WEIGHT, {"pbgen": "[" * 100000}), "not as docs/format.md has it"),
    ],
)
def test_foreign_files_are_refused(tmp_path, contents, message) -> None:
    path = tmp_path / "g.safetensors"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(PBGenError, match=message) as refusal:
        file.read(path)
    assert str(refusal.value).startswith(str(path))


def test_truncated_files_are_refused(small) -> None:
    contents = small[1].read_bytes()
    for length in range(0, len(contents), 7):
        small[1].write_bytes(contents[:length])
        with pytest.raises(PBGenError, match="cannot be read"):
            file.read(small[1])


def test_a_graph_that_the_format_forbids_is_not_written(tmp_path) -> None:
    graph = Graph((3,), (Node("linear", "l", (0,), (2,), {"weight": "w"}),), 1)
    with pytest.raises(PBGenError, match="'w' is not in the file"):
        file.write(tmp_path / "g.safetensors", graph, {})
    assert list(tmp_path.iterdir()) == []
