"""The engines that can run a generator, each behind the same call: float32 z in, float32 images out."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Run = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Kind:
    """An engine: its name for people, its distribution, the modules it cannot do without, what file it reads, and how
    to load that file for a number of threads."""

    title: str
    distribution: str
    modules: tuple[str, ...]
    reads_onnx: bool
    load: Callable[[str, int], Run]

    @property
    def installed(self) -> bool:
        return all(find_spec(module) for module in self.modules)

    @property
    def version(self) -> str:
        return version(self.distribution)


def _pbgen(path: str, threads: int) -> Run:
    from pbgen.engine import Engine

    return Engine(path, threads=threads)


def _pytorch(path: str, threads: int) -> Run:
    import torch

    from pbgen.packing import rebuild

    torch.set_num_threads(threads)
    module = rebuild(path)

    def run(z: Floats) -> Floats:
        with torch.inference_mode():
            images: Floats = module(torch.from_numpy(z)).numpy()
        return images

    return run


def _onnxruntime(path: str, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda z: _array(session.run(None, {name: z})[0])


def _openvino(path: str, threads: int) -> Run:
    import openvino

    # Without the hint it would compute in bfloat16 where the processor can: faster, but not the same images.
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    return lambda z: _array(request.infer([z])[0])


def _array(images: Any) -> Floats:
    return np.array(images, np.float32)


ENGINES = {
    "pbgen": Kind("PBGen", "pbgen", (), False, _pbgen),
    "pytorch": Kind("PyTorch", "torch", ("torch",), False, _pytorch),
    "onnxruntime": Kind(
        "ONNX Runtime", "onnxruntime", ("torch", "onnx", "onnxscript", "onnxruntime"), True, _onnxruntime
    ),
    "openvino": Kind("OpenVINO", "openvino", ("torch", "onnx", "onnxscript", "openvino"), True, _openvino),
}
"""The first is ours; the others are compared where they are installed. ONNX files are written by torch."""
