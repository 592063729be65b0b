"""An ordinary torch generator -> one small file with one-bit weights.

The data goes one way, a file each: freeze (the module as it is at inference) -> export (aten operators) -> translate
(steps) -> fold (fewer steps) -> lower (graph and tensors) -> file -> verify.
"""

import os
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from pbgen.errors import PBGenError
from pbgen.files import check_writable, write_atomically
from pbgen.modules import inference_copy
from pbgen.packing import file
from pbgen.packing.export import export
from pbgen.packing.fold import fold
from pbgen.packing.freeze import freeze, run
from pbgen.packing.info import LayerInfo, PackInfo, layer_infos
from pbgen.packing.lower import lower
from pbgen.packing.rebuilt import rebuild
from pbgen.packing.translate import translate
from pbgen.packing.verify import verify

__all__ = ["LayerInfo", "PackInfo", "file", "pack", "rebuild"]


def pack(module: nn.Module, example_input: Tensor, path: str | os.PathLike[str]) -> PackInfo:
    """Write `module`, as it is in evaluation mode, to a packed file at `path`, with the layers that
    `pbgen.binarize` made binary at one bit a weight and everything else in float32.

    `example_input` is a batch (N, ...) such as the module takes, N at least 1; the file works for any N. The file is
    run on it and compared with the module before it takes its place at `path`. The module is left as it is, and taken
    out of what wraps it (DistributedDataParallel, torch.compile, ...).

    Raises PBGenError where the module cannot be traced, holds an operator that cannot be packed (named, with its place
    in the module) or a binary layer that would not be stored as bits, where `path` cannot be written, or where the file
    would not make the module's images.
    """
    check_writable(path)
    images = _images(example_input)
    copy = inference_copy(module)
    expected = run(copy, images)
    frozen = freeze(copy)
    exported = export(frozen, images)
    graph, tensors = lower(fold(translate(exported)))
    contents = file.to_bytes(graph, tensors)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder, "trial.safetensors")
        write_atomically(trial, lambda target: target.write(contents))
        verify(trial, images, expected, frozen.module)
    layers = layer_infos(graph, tensors)
    if frozen.binary and not any(layer.binary for layer in layers):
        raise PBGenError(f"none of the binary layers, {', '.join(frozen.binary.values())}, takes part in the output")
    write_atomically(path, lambda target: target.write(contents))
    return PackInfo(exported.float_bytes, len(contents), layers)


def _images(example: Tensor) -> Tensor:
    """Two inputs, different ones, to compare by: the first of the example's, and the second or half the first."""
    if not isinstance(example, Tensor):
        raise PBGenError(f"example_input: expected one tensor (N, ...), got {type(example).__name__}")
    if not example.is_floating_point() or example.dim() < 2 or len(example) == 0:
        raise PBGenError(
            f"example_input: expected floating-point numbers of shape (N, ...) with N at least 1, "
            f"got {example.dtype} of shape {list(example.shape)}"
        )
    images = example.detach().cpu().float()
    return torch.cat([images, 0.5 * images[:1]])[:2]
