"""A packed file as what another engine reads. Run as a process, so that its memory is nobody else's.

python -m pbgen.bench.export ENGINE g.safetensors FILE BATCH
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

from pbgen.example import example_input
from pbgen.packing import rebuild

CALIBRATION = 300
"""Random z by which the ranges of int8 activations are found: as many as NNCF takes by default."""


def main(engine: str, packed: str, file: str, batch: int) -> None:
    warnings.simplefilter("ignore")
    module = rebuild(packed)
    WRITERS[engine](module, example_input(module, batch), file)


def _onnx(module: nn.Module, z: Tensor, file: str) -> None:
    torch.onnx.export(module, (z,), file, dynamo=True, external_data=False, verbose=False)


def _openvino(module: nn.Module, z: Tensor, file: str) -> None:
    import openvino

    # Its own format: the first image comes sooner than from ONNX.
    openvino.save_model(_openvino_model(module, z), file, compress_to_fp16=False)


def _openvino_int8(module: nn.Module, z: Tensor, file: str) -> None:
    import nncf
    import openvino

    random = np.random.default_rng(1)
    batches = [random.standard_normal(z.shape, np.float32) for _ in range(-(-CALIBRATION // len(z)))]
    model = nncf.quantize(
        _openvino_model(module, z),
        nncf.Dataset(batches),
        preset=nncf.QuantizationPreset.MIXED,  # what follows a ReLU is unsigned, and keeps a bit more
        subset_size=len(batches),
    )
    openvino.save_model(model, file, compress_to_fp16=False)


def _openvino_model(module: nn.Module, z: Tensor) -> Any:
    import openvino

    return openvino.convert_model(module, example_input=z, input=[tuple(z.shape)])


def _ncnn(module: nn.Module, z: Tensor, file: str) -> None:
    import pnnx

    z = z[:1]  # ncnn's images come one at a time
    with tempfile.TemporaryDirectory() as folder:
        traced = Path(folder, "traced.pt")
        torch.jit.trace(module, z).save(traced)  # type: ignore[no-untyped-call]  # that of torch
        shape = ",".join(map(str, z.shape))
        weights = Path(file).with_suffix(".bin")
        options = [f"inputshape=[{shape}]", f"ncnnparam={file}", f"ncnnbin={weights}", "fp16=0"]
        subprocess.run([pnnx.EXEC_PATH, traced, *options], check=True, cwd=folder, stdout=subprocess.DEVNULL)


WRITERS: dict[str, Callable[[nn.Module, Tensor, str], None]] = {
    "onnxruntime": _onnx,
    "openvino": _openvino,
    "openvino-int8": _openvino_int8,
    "ncnn": _ncnn,
}

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
