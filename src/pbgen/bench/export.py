"""A packed file as what another engine reads. Run as a process, so that its memory is nobody else's.

python -m pbgen.bench.export ENGINE g.safetensors FILE INPUTS.npz
"""

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pbgen.errors import PBGenError
from pbgen.packing import rebuild

CALIBRATION = 300
"""Random inputs by which the ranges of int8 activations are found: as many as NNCF takes by default."""


Example = tuple[Tensor, ...]  # all inputs, (N, ...) each, of the shapes that the engine is to run


def main(engine: str, packed: str, file: str, inputs: str) -> None:
    warnings.simplefilter("ignore")
    module = rebuild(packed)
    with np.load(inputs) as arrays:
        example = tuple(torch.from_numpy(array) for array in arrays.values())
    WRITERS[engine](module, example, file)


def _onnx(module: nn.Module, example: Example, file: str) -> None:
    torch.onnx.export(module, example, file, dynamo=True, external_data=False, verbose=False)


def _openvino(module: nn.Module, example: Example, file: str) -> None:
    import openvino

    # Its own format: the first image comes sooner than from ONNX.
    openvino.save_model(_openvino_model(module, example), file, compress_to_fp16=False)


def _openvino_int8(module: nn.Module, example: Example, file: str) -> None:
    import nncf
    import openvino

    random = np.random.default_rng(1)
    count = -(-CALIBRATION // len(example[0]))
    batches = [[random.standard_normal(one.shape, np.float32) for one in example] for _ in range(count)]
    model = nncf.quantize(
        _openvino_model(module, example),
        nncf.Dataset(batches),
        preset=nncf.QuantizationPreset.MIXED,  # what follows a ReLU is unsigned, and keeps a bit more
        subset_size=len(batches),
    )
    openvino.save_model(model, file, compress_to_fp16=False)


def _openvino_model(module: nn.Module, example: Example) -> Any:
    import openvino

    return openvino.convert_model(module, example_input=example, input=[tuple(one.shape) for one in example])


def _ncnn(module: nn.Module, example: Example, file: str) -> None:
    import pnnx

    if len(example) > 1:
        raise PBGenError("it is compared on files of one input alone")  # what pnnx writes of several ends in a crash
    example = tuple(one[:1] for one in example)  # ncnn's images come one at a time
    with tempfile.TemporaryDirectory() as folder:
        traced = Path(folder, "traced.pt")
        torch.jit.trace(module, example).save(traced)
        shapes = ",".join(f"[{','.join(map(str, one.shape))}]" for one in example)
        weights = Path(file).with_suffix(".bin")
        options = [f"inputshape={shapes}", f"ncnnparam={file}", f"ncnnbin={weights}", "fp16=0"]
        subprocess.run([pnnx.EXEC_PATH, traced, *options], check=True, cwd=folder, stdout=subprocess.DEVNULL)


WRITERS: dict[str, Callable[[nn.Module, Example, str], None]] = {
    "onnxruntime": _onnx,
    "openvino": _openvino,
    "openvino-int8": _openvino_int8,
    "ncnn": _ncnn,
}

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4])
