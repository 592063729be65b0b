"""The generator that benchmarks/web.mjs runs: dcgan64 of random weights, packed, and as ONNX in float32 and int8.

python benchmarks/web_models.py FOLDER

Wants the bench extra. Speed does not hang on what was learned.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from onnxruntime import quantization

import pbgen


class Latents(quantization.CalibrationDataReader):
    """What ranges of activations are found with."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.rest = [{"z": rng.standard_normal((1, 100), np.float32)} for _ in range(8)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self.rest.pop() if self.rest else None


def main(folder: Path) -> None:
    torch.manual_seed(0)
    generator, _ = pbgen.models.create("dcgan64")
    z = torch.zeros(1, 100)
    onnx = folder / "dcgan64.onnx"
    torch.onnx.export(generator.eval(), (z,), onnx, input_names=["z"], output_names=["image"], dynamo=False)
    quantization.quantize_static(
        onnx,
        folder / "dcgan64-int8.onnx",
        Latents(),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "ConvTranspose", "Gemm", "MatMul"],
    )
    pbgen.binarize(generator, pbgen.plan(generator, z))
    pbgen.pack(generator, z, folder / "dcgan64.safetensors")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    main(folder)
