"""Weights of several bits: packed, they make what the module makes, in so many bytes."""

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn

import pbgen
from pbgen.errors import PBGenError
from pbgen.packing import file, pack, rebuild
from pbgen.packing.graph import Graph, Input, Node
from pbgen.packing.planes import pack_planes, unpack_planes


def by_hand(levels, bits):
    """The bytes that docs/format.md asks for, sign by sign."""
    made = np.zeros((bits, -(-len(levels) // 8)), np.uint8)
    signs = {
        sum(s << p for p, s in enumerate(combination)): combination
        for combination in itertools.product((1, -1), repeat=bits)
    }
    for i, level in enumerate(levels):
        for plane in range(bits):
            made[plane, i // 8] |= (signs[level][plane] == 1) << i % 8
    return made


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_planes(bits):
    levels = np.random.default_rng(bits).choice(np.arange(1 - 2**bits, 2**bits, 2), 29)
    packed = pack_planes(levels, bits)
    assert packed.shape == ((4,) if bits == 1 else (bits, 4))
    np.testing.assert_array_equal(packed.reshape(bits, 4), by_hand(levels.tolist(), bits))
    np.testing.assert_array_equal(unpack_planes(packed, 29), levels)


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 9, 3, groups=1), nn.BatchNorm2d(9), nn.ReLU()
    return nn.Sequential(*layers, nn.ConvTranspose2d(9, 6, 4, 2, 1, groups=3), nn.Conv2d(6, 5, 1)).eval()


X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("method", ["bwn", "learned-scale"])
def test_a_network_of_several_bits(tmp_path, method):
    bits = {"0": 4, "2": 2, "5": 3, "6": 1}
    module = network()
    pbgen.binarize(module, pbgen.plan(module, X).choosing(bits), method)
    with torch.no_grad():
        module[2].parametrizations.weight.original[4] = 0  # no smallest level
    info = pack(module, X, tmp_path / "g.safetensors")
    assert {layer.name: layer.bits for layer in info.layers} == bits and all(layer.binary for layer in info.layers)
    weights = {"0": 216, "2": 648, "5": 9 * 2 * 16, "6": 30}
    for layer in info.layers:
        assert layer.packed_bytes == bits[layer.name] * -(-weights[layer.name] // 8)
        assert layer.float_bytes == 4 * weights[layer.name]
    assert info.packed_bytes == (tmp_path / "g.safetensors").stat().st_size
    assert "4 bits" in str(info) and "1 bit " in str(info)
    with torch.no_grad():
        torch.testing.assert_close(rebuild(tmp_path / "g.safetensors")(X), module(X), rtol=1e-5, atol=1e-6)
        made = torch.from_numpy(pbgen.Engine(tmp_path / "g.safetensors")(X.numpy()))
        torch.testing.assert_close(made, module(X), rtol=1e-4, atol=1e-5)


def test_half_precision_is_kept(tmp_path):
    """A module whose weights float16 holds exactly is stored so, batch norm and all."""
    module, half = network(), copy.deepcopy(network()).half()
    info, smaller = pack(module, X, tmp_path / "f.safetensors"), pack(half, X, tmp_path / "h.safetensors")
    assert [layer.bits for layer in info.layers] == [32] * 4 and [layer.bits for layer in smaller.layers] == [16] * 4
    assert smaller.layers[0].packed_bytes * 2 == info.layers[0].packed_bytes
    assert "float16" in str(smaller)


@pytest.mark.parametrize("shape", [(1, 2), (5, 2), (2, 3), (2, 2, 1)])
def test_planes_that_are_none(shape):
    graph = Graph((Input("x", (1, 4)),), (), (Node("linear", "n", (0,), (1, 3), {"weight": "w"}),), (("y", 1),))
    with pytest.raises(PBGenError, match="tensor w has shape"):
        file.to_bytes(graph, {"w": np.zeros(shape, np.uint8)})
    file.to_bytes(graph, {"w": np.zeros((2, 2), np.uint8)})
