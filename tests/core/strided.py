"""Arrays with any strides, and the program that runs the core's operators on them."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

ONE = ["neg", "abs", "sign", "sqrt", "rsqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "sigmoid", "erf"]
ONE += ["floor", "ceil", "round", "relu"]
TWO = ["add", "sub", "mul", "div", "pow", "max", "min", "mod", "leaky", "lt", "le", "gt", "ge", "eq", "ne"]
INSTRUCTIONS = [*ONE, *TWO, "where"]

GAP = np.float32(12345.5)  # what stands between an array's numbers


@dataclass(frozen=True)
class Layout:
    """How an array lies in memory: the order of its dimensions, those that run backwards or are repeated, and gaps."""

    order: tuple[int, ...]
    gaps: tuple[int, ...] = ()
    backwards: tuple[bool, ...] = ()
    repeated: tuple[bool, ...] = ()

    def strides(self, shape: tuple[int, ...]) -> tuple[list[int], int, int]:
        """Strides in numbers, the place of the first number, and the size of the memory."""
        strides, first, step = [0] * len(shape), 0, 1
        for place in reversed(range(len(shape))):
            axis = self.order[place]
            if self.repeated and self.repeated[axis]:
                continue
            step *= self.gaps[place] if self.gaps else 1
            strides[axis] = step
            step *= shape[axis]
        size = 1 + sum(abs(stride) * (n - 1) for stride, n in zip(strides, shape, strict=True))
        for axis, back in enumerate(self.backwards):
            if back:
                first += strides[axis] * (shape[axis] - 1)
                strides[axis] = -strides[axis]
        return strides, first, size


def innermost(rank: int) -> Layout:
    """[1, C, ...] with the channels innermost."""
    return Layout((0, *range(2, rank), 1) if rank > 1 else (0,))


def row_major(rank: int) -> Layout:
    return Layout(tuple(range(rank)))


@st.composite
def layouts(draw: st.DrawFn, rank: int, repeats: bool = True) -> Layout:
    """Those of values as they mostly are, and any others."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return row_major(rank)
    if kind == 1:
        return innermost(rank)
    order = tuple(draw(st.permutations(range(rank))))
    flags = st.tuples(*[st.booleans()] * rank)
    gaps = draw(st.tuples(*[st.sampled_from([1, 1, 1, 2, 3])] * rank))
    return Layout(order, gaps, draw(flags), draw(flags) if repeats and kind == 3 else ())


class Array:
    """Memory, and a view of it."""

    def __init__(self, shape: tuple[int, ...], layout: Layout) -> None:
        self.shape = shape
        self.strides, self.first, size = layout.strides(shape)
        self.memory = np.full(size, GAP, np.float32)

    def view(self, memory: np.ndarray | None = None) -> np.ndarray:
        memory = self.memory if memory is None else memory
        return as_strided(memory[self.first :], self.shape, [4 * stride for stride in self.strides])

    def words(self) -> list[int]:
        return [len(self.shape), *self.shape, *self.strides, self.first, len(self.memory)]


def array(values: np.ndarray, layout: Layout | None = None) -> Array:
    """An array of these values; where the layout repeats, of the first of them."""
    layout = layout or row_major(values.ndim)
    result = Array(values.shape, layout)
    first = tuple(slice(0, 1) if r else slice(None) for r in layout.repeated) if layout.repeated else ...
    result.view()[first] = values[first]
    return result


@dataclass(frozen=True)
class Program:
    """Instructions as in the packed file, and numbers."""

    inputs: int
    steps: tuple[tuple[str | int, ...], ...] = ()
    numbers: tuple[float, ...] = ()

    def words(self) -> list[object]:
        words: list[object] = [self.inputs, len(self.numbers), len(self.steps)]
        words += [repr(float(np.float32(number))) for number in self.numbers]
        for name, *operands in self.steps:
            words += [INSTRUCTIONS.index(str(name)), *operands, *[0] * (3 - len(operands))]
        return words


class Operators:
    """The program, kept running. Calls give the output, and fail where it wrote beside it."""

    def __init__(self, *command: str | Path, arch: str = "", **environment: str) -> None:
        variables = os.environ | environment | {"PBGEN_ARCH": arch}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=variables)

    def close(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0

    def start(self, name: str, words: list[object], arrays: list[Array], threads: int) -> tuple[str, np.ndarray]:
        """The reply's first line, and the output's memory."""
        assert self.process.stdin and self.process.stdout and self.process.stderr
        line = [name, threads, *words, *(word for a in arrays for word in a.words())]
        try:
            request = " ".join(map(str, line)).encode() + b"\n" + b"".join(a.memory.tobytes() for a in arrays)
            self.process.stdin.write(request)
            self.process.stdin.flush()
            said = self.process.stdout.readline().decode().strip()
            memory = self.process.stdout.read(4 * len(arrays[-1].memory))
        except BrokenPipeError:
            said, memory = "", b""
        assert said in ("ok", "no"), self.process.stderr.read().decode()[-4000:]
        return said, np.frombuffer(memory, np.float32)

    def run(self, name: str, words: list[object], inputs: list[Array], out: Array, threads: int = 1) -> np.ndarray:
        said, memory = self.start(name, words, [*inputs, out], threads)
        assert said == "ok"
        written = Array(out.shape, row_major(len(out.shape)))
        written.view()[...] = out.view(memory)
        rest = memory.copy()
        out.view(rest)[...] = GAP
        assert (rest == GAP).all(), "written beside the output"
        return written.view()
