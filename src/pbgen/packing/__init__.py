"""An ordinary torch generator -> one small file with weights of one bit or a few.

The data goes one way, a file each: freeze (the module as it is at inference) -> export (aten operators) -> translate
(steps) -> fold (fewer steps) -> lower (graph and tensors) -> file -> verify.
"""

import os
import tempfile
import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from pbgen.contents import LayerInfo, PackInfo
from pbgen.errors import PBGenError, PBGenWarning
from pbgen.files import check_writable, write_atomically
from pbgen.modules import inference_copy
from pbgen.packing import file
from pbgen.packing.export import Exported, export, register_outputs
from pbgen.packing.fold import fold
from pbgen.packing.freeze import Frozen, freeze, run
from pbgen.packing.graph import Graph
from pbgen.packing.info import layer_infos
from pbgen.packing.lower import Tensors, lower
from pbgen.packing.operators import KNOWN
from pbgen.packing.rebuilt import rebuild
from pbgen.packing.steps import begins, told
from pbgen.packing.to_onnx import export_onnx
from pbgen.packing.translate import batch_norms, translate
from pbgen.packing.verify import Inputs, Made, MixedError, made, verify
from pbgen.packing.verify_sizes import SeveralImagesError, SizesDifferError, verify_sizes

__all__ = ["LayerInfo", "PackInfo", "export_onnx", "file", "pack", "rebuild", "told"]


def pack(module: nn.Module, example_input: Tensor | tuple[Tensor, ...], path: str | os.PathLike[str]) -> PackInfo:
    """Write `module`, as it is in evaluation mode, to a packed file at `path`, with the layers that
    `pbgen.binarize` made binary at their bits a weight and everything else in float32, or in float16 where that is
    exact: a module in half precision is packed so.

    `example_input` is a batch (N, ...) such as the module takes, N at least 1, or a tuple of batches where it takes
    several; the file works for any N, and for any other size that the module itself takes. Weights that the module
    computes in forward are those of its next call. Random numbers that it draws become inputs of the file. The file is
    run on the example and compared with the module before it takes its place at `path`. The module is left as it is,
    and taken out of what wraps it (DistributedDataParallel, torch.compile, ...).

    Raises PBGenError where the module cannot be traced, holds operators that cannot be packed (all named, with their
    places in the module) or a binary layer that would not be stored as bits, mixes the images of a batch, where `path`
    cannot be written, or where the file would not make the module's images. Warns (PBGenWarning) where the module
    takes sizes that the file does not, with the reason.
    """
    check_writable(path)
    begins("running the module")
    inputs = _inputs(example_input)
    copy = inference_copy(module)
    one = tuple(value[:1] for value in inputs)
    register_outputs(run(copy, one))  # a module may keep what it makes first, such as noise: that of one image fits all
    frozen = freeze(copy)
    trial = _free_or_fixed(frozen, inputs)
    for line in trial.warnings:
        warnings.warn(line, PBGenWarning, stacklevel=2)
    layers = layer_infos(trial.graph, trial.tensors)
    if frozen.binary and not any(layer.binary for layer in layers):
        raise PBGenError(f"none of the binary layers, {', '.join(frozen.binary.values())}, takes part in the output")
    write_atomically(path, lambda target: target.write(trial.contents))
    return PackInfo(trial.float_bytes, len(trial.contents), layers)


@dataclass(frozen=True)
class _Trial:
    """A file that was compared with its module; what is told of its sizes; inputs that the module takes and it does
    not."""

    graph: Graph
    tensors: Tensors
    contents: bytes
    float_bytes: int
    warnings: list[str]
    refused: Inputs | None = None


def _free_or_fixed(frozen: Frozen, inputs: Inputs) -> _Trial:
    """With free sizes where that works; else with the example's, where these are to blame."""
    expected = _expected(frozen.module, inputs)
    trial, refused, again = None, None, ""
    try:
        trial = _trial(frozen, inputs, expected, traced=inputs)
        refused = trial.refused
    except SeveralImagesError:
        return _trial(frozen, inputs, expected, traced=None)
    except PBGenError as error:
        reason, refused = error, error.inputs if isinstance(error, SizesDifferError) else None
    if refused is not None:  # what the module does there may be the more general
        try:
            general = _trial(frozen, inputs, expected, traced=refused)
            if general.refused is None:
                return general
        except PBGenError as error:
            again = f". An example of that size does not help: {error}. Do the same at all sizes, or use this one alone"
    if trial is not None:
        told = [*trial.warnings[:-1], trial.warnings[-1] + again] if again else trial.warnings  # the last: of `refused`
        return replace(trial, warnings=told)
    trial = _trial(frozen, inputs, expected, traced=None)
    told = [*trial.warnings, f"the packed file works at the example's size alone: {reason}{again}"]
    return replace(trial, warnings=told)


def _trial(frozen: Frozen, inputs: Inputs, expected: tuple[list[Made], Made | None], traced: Inputs | None) -> _Trial:
    """With free sizes, traced at those of `traced`; fixed ones without it."""
    frozen.module.float()
    at = "of free sizes" if traced is inputs else "of free sizes, at others" if traced else "of the example's size"
    begins(f"tracing the module, {at}")
    exported = export(frozen, traced or inputs, KNOWN, free=traced is not None)
    begins("translating its operators")
    graph, tensors = lower(fold(translate(exported)))
    contents = file.to_bytes(graph, tensors)
    trial = _Trial(graph, tensors, contents, exported.float_bytes, exported.fixed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trial.safetensors")
        path.write_bytes(contents)
        begins("comparing the file with the module")
        try:
            doubtful = verify(path, *expected, frozen.module)
        except MixedError as error:
            raise _named(error, batch_norms(exported)) from None
        told = trial.warnings if doubtful is None else [*trial.warnings, doubtful]
        if traced is None:
            return replace(trial, warnings=told)
        begins("comparing them at other sizes")
        every = traced is not inputs
        try:
            elsewhere = verify_sizes(path, frozen.module.float(), inputs, exported.bounds, exported.turns, every)
        except SizesDifferError as error:
            raise _placed(error, exported) from None
    if elsewhere.differs is not None:
        told = [*told, str(_placed(elsewhere.differs, exported))]
    if elsewhere.refused is None:
        return replace(trial, warnings=told)
    refused = _placed(elsewhere.refused, exported)
    return replace(trial, warnings=[*told, str(refused)], refused=refused.inputs)


def _placed(error: SizesDifferError, exported: Exported) -> SizesDifferError:
    """The error, with the line of the module's code that decides by the size."""
    why = exported.why_differs(error.inputs)
    return error if why is None else SizesDifferError(f"{error}; {why}", error.inputs)


def _named(error: MixedError, suspects: list[str]) -> PBGenError:
    """The error, with the batch norms that may be its cause."""
    if not suspects:
        return error
    more = f" and {len(suspects) - 1} more" if len(suspects) > 1 else ""
    return PBGenError(
        f"{error}; batch_norm in {suspects[0]}{more} normalizes by the batch at hand: train with running statistics "
        "(track_running_stats=True)"
    )


def _expected(module: nn.Module, inputs: Inputs) -> tuple[list[Made], Made | None]:
    """What the module makes of two images, different ones, each by itself, of one of them from right to left where it
    takes that, and of both at once where it can."""
    images = [tuple(value[index : index + 1] for value in inputs) for index in range(2)]
    single = [made(module, image, seed) for seed, image in enumerate(images)]
    with suppress(PBGenError):
        single.append(made(module, tuple(value.flip(-1) for value in images[0]), len(images)))
    try:
        return single, made(module, inputs)
    except PBGenError:  # a module made for one image
        return single, None


def _inputs(example: Tensor | tuple[Tensor, ...]) -> Inputs:
    """Two images to compare by: the first of the example's, and the second or, of numbers, half the first."""
    if isinstance(example, dict):
        raise PBGenError(
            "example_input: got dict; a packed generator's inputs have no keywords, give a tuple in their order"
        )
    several = isinstance(example, tuple | list)
    values = tuple(example) if several else (example,)
    if not values:
        raise PBGenError("example_input: got an empty tuple; give as many tensors as the module takes")
    return tuple(
        _pair(value, f"example_input[{number}]" if several else "example_input") for number, value in enumerate(values)
    )


def _pair(value: Tensor, name: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise PBGenError(f"{name}: expected a tensor (N, ...), or a tuple of such, got {type(value).__name__}")
    if value.dim() < 1 or len(value) == 0 or value.is_complex():
        raise PBGenError(
            f"{name}: expected numbers of shape (N, ...) with N at least 1, got "
            f"{value.dtype} of shape {list(value.shape)}"
        )
    value = value.detach().cpu()
    if not value.is_floating_point():
        return torch.cat([value, value[:1]])[:2]
    value = value.float()
    return torch.cat([value, 0.5 * value[:1]])[:2]
