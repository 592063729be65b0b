"""Files for the fuzzer to begin with: python tests/core/fuzz_corpus.py FOLDER

Every operator, every kind of layer, and the files with one thing wrong, as long as they are small.
"""

import sys
from dataclasses import replace
from pathlib import Path

from generators import every_operator
from hostile_files import good_file, hostile_files
from packed_files import Layer

LARGEST = 4096

LAYERS = [
    Layer(7, 5, ()),
    Layer(3, 4, (5,), (3,), (2,), (1,), (1,), dilation=(2,)),
    Layer(4, 6, (3, 2), (3, 3), (2, 2), (1, 1), (1, 1), groups=2, activation="leaky_relu"),
    Layer(4, 6, (3, 4), (2, 3), transposed=False, activation="tanh"),
]


def write_corpus(folder: Path) -> None:
    every_operator(folder / "every operator.safetensors", channels=1)
    for i, layer in enumerate(LAYERS):
        layer.write(folder / f"layer {i}.safetensors")
        replace(layer, one_bit=False, dtype="float16").write(folder / f"float layer {i}.safetensors")
    (folder / "good.safetensors").write_bytes(good_file())
    for i, (_, content, _) in enumerate(hostile_files()):
        if len(content) <= LARGEST:
            (folder / f"hostile {i}.safetensors").write_bytes(content)


if __name__ == "__main__":
    write_corpus(Path(sys.argv[1]))
