"""Files for the fuzzer to begin with: python tests/core/fuzz_corpus.py FOLDER

Random graphs of every operator, every kind of layer, and the files with one thing wrong, as long as they are small.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from generators import every_operator
from hostile_files import good_file
from hostile_graphs import hostile_files, hostile_sizes, strange_files
from packed_files import Layer, rewritten
from random_graphs import graphs, random_graph

from pbgen.packing import file

LARGEST = 4096

LAYERS = [
    Layer(7, 5, ()),
    Layer(3, 4, (5,), (3,), (2,), (1,), (1,), dilation=(2,)),
    Layer(4, 6, (3, 2), (3, 3), (2, 2), (1, 1), (1, 1), groups=2, activation="leaky_relu"),
    Layer(4, 6, (3, 4), (2, 3), transposed=False, activation="tanh"),
]


def write_corpus(folder: Path, random: int = 3) -> None:
    """`random` graphs of each operator."""
    every_operator(folder / "every operator.safetensors", channels=1)
    for i, layer in enumerate(LAYERS):
        layer.write(folder / f"layer {i}.safetensors")
        replace(layer, planes=2 + i % 3).write(folder / f"planes {i}.safetensors")
        replace(layer, one_bit=False, dtype="float16").write(folder / f"float layer {i}.safetensors")
    for op, seed in graphs(random):
        made = random_graph(seed, op, nodes=4)
        file.write(folder / f"{op} {seed}.safetensors", made.graph, made.tensors)
    for path in list(folder.iterdir()):  # what is compressed is changed to little purpose
        path.with_stem(f"{path.stem} legible").write_bytes(rewritten(path.read_bytes()))
        if not path.stem.startswith("layer"):
            path.unlink()
    for i, content in enumerate([good_file(), *hostile()]):
        if len(content) <= LARGEST:
            (folder / f"hostile {i}.safetensors").write_bytes(content)


def hostile() -> Iterator[bytes]:
    yield from (content for _, content, _ in hostile_files())
    yield from (content for _, content, _, _ in hostile_sizes())
    yield from (content for _, content in strange_files())


if __name__ == "__main__":
    write_corpus(Path(sys.argv[1]))
