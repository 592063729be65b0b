"""A packed file as ONNX, for the engines that read that. Run as a process, so that its memory is nobody else's.

python -m pbgen.bench.export g.safetensors g.onnx BATCH
"""

import sys
import warnings

import torch

from pbgen.example import example_input
from pbgen.packing import rebuild


def main(packed: str, onnx: str, batch: int) -> None:
    warnings.simplefilter("ignore")
    module = rebuild(packed)
    torch.onnx.export(module, (example_input(module, batch),), onnx, dynamo=True, external_data=False, verbose=False)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
