"""The rebuilt module: what pack() never writes but the format allows, and other tools can take it up."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pbgen import models
from pbgen.binarize import binarize
from pbgen.packing import file, pack, rebuild
from pbgen.packing.graph import Graph, Node

torch.manual_seed(0)

GEOMETRIES = [
    # op, size, output, kernel, stride, padding, dilation: edges that torch cannot ask for
    ("conv_transpose", 4, 5, 4, 2, 1, 1),
    ("conv_transpose", 4, 11, 4, 2, 0, 1),
    ("conv_transpose", 4, 11, 4, 2, 1, 1),
    ("conv_transpose", 3, 2, 3, 4, 2, 2),
    ("conv", 7, 4, 3, 1, 0, 1),
    ("conv", 7, 9, 3, 1, 1, 1),
    ("conv", 7, 2, 3, 2, 5, 2),
    ("conv", 3, 6, 1, 1, 2, 1),
]


def by_formula(op, x, weight, output, stride, padding, dilation):
    """docs/format.md word for word: x (C_in, L), weight (C_out, C_in, K)."""
    result = np.zeros((len(weight), output))
    for i in range(x.shape[1] if op == "conv_transpose" else output):
        for k in range(weight.shape[2]):
            at = i * stride - padding + k * dilation
            if op == "conv_transpose" and 0 <= at < output:
                result[:, at] += weight[:, :, k] @ x[:, i]
            if op == "conv" and 0 <= at < x.shape[1]:
                result[:, i] += weight[:, :, k] @ x[:, at]
    return result


@pytest.mark.parametrize(("op", "size", "output", "kernel", "stride", "padding", "dilation"), GEOMETRIES)
def test_any_edge(tmp_path, op, size, output, kernel, stride, padding, dilation) -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(2, 3, size)), rng.normal(size=(4, 3, kernel)).astype(np.float32)
    shift = rng.normal(size=4).astype(np.float32)
    geometry = {"kernel": [kernel], "stride": [stride], "padding": [padding], "dilation": [dilation], "groups": 1}
    node = Node(op, "layer", (0,), (4, output), {"weight": "w", **geometry, "shift": "b"})
    path = tmp_path / "g.safetensors"
    file.write(path, Graph((3, size), (node,), 1), {"w": weight, "b": shift})
    result = rebuild(path)(torch.tensor(x, dtype=torch.float32))
    for image, made in zip(x, result, strict=True):
        expected = by_formula(op, image, weight, output, stride, padding, dilation) + shift[:, None]
        np.testing.assert_allclose(made.numpy(), expected, atol=1e-5)


def test_half_precision_tensors(tmp_path) -> None:
    weight, scale = torch.randn(4, 3).half(), torch.rand(4).half()
    node = Node("linear", "l", (0,), (4,), {"weight": "w", "scale": "s", "activation": "sigmoid"})
    path = tmp_path / "g.safetensors"
    file.write(path, Graph((3,), (node,), 1), {"w": weight.numpy(), "s": scale.numpy()})
    x = torch.randn(5, 3)
    expected = torch.sigmoid(F.linear(x, weight.float()) * scale.float())
    assert torch.allclose(rebuild(path)(x), expected, atol=1e-6)


def test_torch_export_takes_it_up(tmp_path) -> None:
    generator, _ = models.create("dcgan32", width=8)
    path = tmp_path / "g.safetensors"
    pack(binarize(generator, "all"), torch.randn(1, 100), path)
    rebuilt = rebuild(path)
    assert rebuilt.input_shape == (100,) and rebuilt.output_shape == (3, 32, 32)
    z = torch.randn(5, 100)
    program = torch.export.export(rebuilt, (z,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    assert torch.equal(program.module()(z[:3]), rebuilt(z[:3]))
    # What was packed packs again, to the same images.
    pack(rebuilt, z, path)
    assert torch.allclose(rebuild(path)(z), rebuilt(z), atol=1e-6)
