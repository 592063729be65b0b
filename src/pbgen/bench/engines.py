"""The engines that can run a generator, each behind the same call: all inputs by name in, the first output out.

Every engine gets the settings that serve it best for one batch at a time; each departure from its defaults has a reason
beside it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from shutil import which
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Arrays = dict[str, Floats]
"""All inputs of a packed file in its order, noise too, by their names."""
Run = Callable[[Arrays], Floats]


@dataclass(frozen=True)
class Kind:
    """An engine: its name for people, how to load a file for a number of threads and images a run, its distribution,
    the modules and programs it cannot do without, the ending of the file it reads (none: the packed file itself), and
    whether it rounds activations to 8 bits, and whether it needs half a minute before its first image."""

    title: str
    load: Callable[[str, int, int], Run]
    distribution: str
    modules: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    suffix: str = ""
    int8: bool = False
    compiles: bool = False

    @property
    def missing(self) -> list[str]:
        """What would have to be installed first."""
        modules = [module for module in self.modules if not find_spec(module)]
        return modules + [program for program in self.programs if not which(program)]

    @property
    def version(self) -> str:
        return version(self.distribution)


def _pbgen(path: str, threads: int, batch: int) -> Run:
    return _engine(path, threads, "float32")


def _pbgen_int8(path: str, threads: int, batch: int) -> Run:
    return _engine(path, threads, "int8")


def _engine(path: str, threads: int, activations: str) -> Run:
    from pbgen.engine import Engine

    engine = Engine(path, threads=threads, activations=activations)
    given, noise = [source.name for source in engine.inputs], [source.name for source in engine.noise]

    def run(inputs: Arrays) -> Floats:
        drawn = {name: inputs[name] for name in noise}
        images: Floats = first_output(engine(*(inputs[name] for name in given), noise=drawn))
        return images

    return run


def first_output(images: Any) -> Any:
    """Of what an engine or module makes."""
    return images[0] if isinstance(images, tuple | list) else images


def _pytorch(path: str, threads: int, batch: int) -> Run:
    import torch

    from pbgen.packing import rebuild

    torch.set_num_threads(threads)
    # Contiguous weights: channels last gains eager mode nothing here. "PyTorch compiled" is what tuning can get.
    return _without_gradients(rebuild(path))


def _pytorch_compiled(path: str, threads: int, batch: int) -> Run:
    import torch
    import torch._inductor.config

    from pbgen.packing import rebuild

    torch.set_num_threads(threads)
    torch._inductor.config.freezing = True  # weights get oneDNN's own layout once; in eager mode at every run
    return _without_gradients(torch.compile(rebuild(path)))


def _without_gradients(module: Any) -> Run:
    import torch

    def run(inputs: Arrays) -> Floats:
        with torch.inference_mode():
            images = first_output(module(*map(torch.from_numpy, inputs.values())))
        return np.array(images, np.float32)

    return run


def _onnxruntime(path: str, threads: int, batch: int) -> Run:
    import onnxruntime

    # All graph optimizations and spinning threads are the defaults; binding the input and output gains nothing.
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = False  # a tenth faster without, and smaller
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1  # the layers are a chain
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [source.name for source in session.get_inputs()]
    output = session.get_outputs()[0].name

    def run(inputs: Arrays) -> Floats:
        images: Floats = session.run([output], dict(zip(names, inputs.values(), strict=True)))[0]
        return images

    return run


def _openvino(path: str, threads: int, batch: int) -> Run:
    # Without the hint it would compute in bfloat16 where the processor can: faster, but not the same images.
    return _openvino_request(path, {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"})


def _openvino_int8(path: str, threads: int, batch: int) -> Run:
    return _openvino_request(path, {"INFERENCE_NUM_THREADS": threads})  # what is not int8 in whatever is fastest


def _openvino_request(path: str, settings: dict[str, Any]) -> Run:
    import openvino

    # One stream with all threads: for a batch, too, faster than streams of one thread each.
    settings = settings | {"PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    bound, bound_images = [tensor.data for tensor in request.input_tensors], request.get_output_tensor(0).data

    def run(inputs: Arrays) -> Floats:
        for own, given in zip(bound, inputs.values(), strict=True):
            own[...] = given  # its own memory: no checks and no new tensors at every run
        request.infer()
        return np.array(bound_images, np.float32)

    return run


class _Ncnn:
    """ncnn runs an image at a time: a single one on all threads, several ones each on a thread of its own, which is
    faster than all threads on one after another."""

    def __init__(self, path: str, threads: int, batch: int) -> None:
        import ncnn

        self._mat, self._net = ncnn.Mat, ncnn.Net()
        self._pool = ThreadPoolExecutor(threads) if batch > 1 else None
        self._memory = ncnn.PoolAllocator(), ncnn.PoolAllocator()  # kept from run to run; the net does not own them
        options = self._net.opt
        options.num_threads = 1 if self._pool else threads
        options.blob_allocator, options.workspace_allocator = self._memory
        # Float32, as the others; its own packed layout of channels is the default.
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_packed = options.use_bf16_storage = False
        if self._net.load_param(path) or self._net.load_model(path.removesuffix(".param") + ".bin"):
            raise RuntimeError(f"{path} has layers that ncnn does not know")

    def __call__(self, inputs: Arrays) -> Floats:
        return np.stack(list((self._pool.map if self._pool else map)(self._image, *inputs.values())))

    def _image(self, *inputs: Floats) -> Floats:
        extractor = self._net.create_extractor()
        for number, values in enumerate(inputs):
            extractor.input(f"in{number}", self._mat(values))
        failed, image = extractor.extract("out0")
        if failed:
            raise RuntimeError(f"ncnn stopped with code {failed}")
        return np.array(image, np.float32)


ENGINES = {
    "pbgen": Kind("PBGen", _pbgen, "pbgen"),
    "pbgen-int8": Kind("PBGen int8", _pbgen_int8, "pbgen", int8=True),
    "pytorch": Kind("PyTorch", _pytorch, "torch", ("torch",)),
    "pytorch-compiled": Kind("PyTorch compiled", _pytorch_compiled, "torch", ("torch",), ("g++",), compiles=True),
    "onnxruntime": Kind(
        "ONNX Runtime", _onnxruntime, "onnxruntime", ("torch", "onnx", "onnxscript", "onnxruntime"), suffix=".onnx"
    ),
    "openvino": Kind("OpenVINO", _openvino, "openvino", ("torch", "openvino"), suffix=".xml"),
    "ncnn": Kind("ncnn", _Ncnn, "ncnn", ("torch", "ncnn", "pnnx"), suffix=".param"),
    "openvino-int8": Kind(
        "OpenVINO int8", _openvino_int8, "openvino", ("torch", "openvino", "nncf"), suffix=".xml", int8=True
    ),
}
"""Ours come first; the others are compared where they are installed. What they read is exported from torch."""


def quick_engines() -> list[str]:
    """Those installed that a user need not wait for."""
    return [name for name, kind in ENGINES.items() if not kind.missing and not kind.compiles]
