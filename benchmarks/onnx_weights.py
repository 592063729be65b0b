"""Ways to have one-bit weights in an ONNX file: bytes, and time in ONNX Runtime. docs/onnx.md has the result.

python benchmarks/onnx_weights.py    (rounds of all in turn, two threads, dcgan64 with random weights)
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

import pbgen
from pbgen.example import example_input
from pbgen.packing import export_onnx, rebuild

ROUNDS, RUNS = 15, 10
INTEGERS = {"int8": (TensorProto.INT8, 8), "int4": (TensorProto.INT4, 4), "int2": (TensorProto.INT2, 2)}


def packed(path: Path) -> None:
    torch.manual_seed(0)
    generator, _ = pbgen.models.create("dcgan64")
    z = example_input(generator)
    pbgen.binarize(generator, pbgen.plan(generator, z))
    pbgen.pack(generator, z, path)


def with_integers(float_file: Path, kind: str) -> onnx.ModelProto:
    """Weights of two magnitudes a channel as integers of -1 and 1, and DequantizeLinear before each layer."""
    code, bits = INTEGERS[kind]
    proto = onnx.load(float_file)
    for tensor in [one for one in proto.graph.initializer if len(one.dims) == 4]:
        weight = numpy_helper.to_array(tensor)  # (C_in, C_out, kernel...) of a transposed convolution
        scale = np.abs(weight).max((0, 2, 3))
        if np.ptp(np.abs(weight / scale[:, None, None])) > 1e-3:
            continue  # a float layer
        digits = np.where(weight > 0, 1, (1 << bits) - 1).reshape(-1, 8 // bits).astype(np.uint8)
        bytes_ = sum(digits[:, i] << (bits * i) for i in range(8 // bits)).astype(np.uint8)
        name = tensor.name
        proto.graph.initializer.remove(tensor)
        stored = TensorProto(name=f"{name}_levels", data_type=code, dims=weight.shape, raw_data=bytes_.tobytes())
        proto.graph.initializer.extend([stored, numpy_helper.from_array(scale, f"{name}_scale")])
        node = helper.make_node("DequantizeLinear", [f"{name}_levels", f"{name}_scale"], [name], axis=1)
        proto.graph.node.insert(0, node)
    if kind == "int2":
        proto.opset_import[0].version, proto.ir_version = 25, 12
    return proto


def session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file, files = Path(folder, "g.safetensors"), {}
        packed(file)
        z = np.random.default_rng(0).standard_normal((1, 100), np.float32)
        files["float32"] = Path(folder, "float32.onnx")
        torch.onnx.export(
            rebuild(file), (torch.from_numpy(z),), files["float32"], external_data=False, opset_version=21
        )
        files["bits, unpacked in the graph"] = Path(folder, "bits.onnx")
        export_onnx(file, files["bits, unpacked in the graph"])
        for kind in INTEGERS:
            files[f"{kind}, DequantizeLinear"] = Path(folder, f"{kind}.onnx")
            onnx.save(with_integers(files["float32"], kind), files[f"{kind}, DequantizeLinear"])
        expected = pbgen.Engine(file)(z)
        sessions, loaded, seconds = {}, {}, {name: [] for name in files}
        for name, path in files.items():
            start = time.perf_counter()
            sessions[name] = session(path)
            loaded[name] = time.perf_counter() - start
        for _ in range(ROUNDS):
            for name, one in sessions.items():
                source = one.get_inputs()[0].name
                assert np.abs(one.run(None, {source: z})[0] - expected).max() < 1e-4
                for _ in range(RUNS):
                    start = time.perf_counter()
                    one.run(None, {source: z})
                    seconds[name].append(time.perf_counter() - start)
        for name, path in files.items():
            low, median, high = np.percentile(seconds[name], [10, 50, 90]) * 1e3
            size, load = path.stat().st_size, loaded[name] * 1e3
            print(f"| {name} | {size:,} | {load:.0f} ms | {median:.1f} ms ({low:.1f} to {high:.1f}) |")


if __name__ == "__main__":
    main()
