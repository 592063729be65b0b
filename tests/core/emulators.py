"""The core built for other processors, and QEMU to run it."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from builds import CORE, build, needs_cmake
from packed_files import Layer

LAYERS = {
    "transposed": Layer(70, 80, (4, 4), (5, 5), (2, 2), (2, 2), (1, 1)),
    "blocks": Layer(33, 300, (3, 3), (2, 2)),
    "few outputs": Layer(45, 7, (6, 5), (3, 3), (1, 1), (1, 1), transposed=False),
    "few inputs": Layer(3, 40, (7, 7), (3, 3), (2, 2), (1, 1), transposed=False),
    "groups": Layer(48, 32, (4, 4), (3, 3), (2, 2), (1, 1), groups=2),
    "linear": Layer(600, 70, ()),
    "one": Layer(1, 1, ()),
}


@dataclass(frozen=True)
class Machine:
    """A kind of processor, as Debian's compilers and QEMU call it."""

    name: str
    archs: tuple[str, ...]

    @property
    def compiler(self) -> str:
        return f"{self.name}-linux-gnu-g++"

    @property
    def qemu(self) -> str:
        return f"qemu-{self.name}"

    @property
    def needed(self) -> list[pytest.MarkDecorator]:
        """Marks of a module whose tests need this machine."""
        programs = (self.compiler, self.qemu)
        return [needs_cmake] + [
            pytest.mark.skipif(not shutil.which(program), reason=f"needs {program}") for program in programs
        ]

    def core(self, targets: tuple[str, ...] = ("pbgen-run", "pbgen_images")) -> Path:
        """The folder of these programs."""
        options = [f"-DCMAKE_TOOLCHAIN_FILE={CORE / 'cmake' / f'{self.name}-linux-gnu.cmake'}", "-DPBGEN_TESTS=ON"]
        # -O1: the build takes longer than the tests.
        options += ["-DCMAKE_BUILD_TYPE=", "-DCMAKE_CXX_FLAGS=-O1", "-DCMAKE_EXE_LINKER_FLAGS=-static"]
        return build(self.name, *options, targets=targets)

    def run(self, program: Path, *arguments: object, data: bytes = b"", arch: str = "", cpu: str = "max") -> "Result":
        """What a program does with `data` on its standard input."""
        command = [self.qemu, "-cpu", cpu, str(program), *map(str, arguments)]
        environment = os.environ | {"PBGEN_ARCH": arch}
        result = subprocess.run(command, input=data, capture_output=True, env=environment, timeout=60)
        return Result(result.returncode, result.stdout, result.stderr.decode())

    def open(self, arch: str, file: Path, activations: str, x: np.ndarray, cpu: str = "max") -> "Result":
        """What core/tests/images.cpp does with the batch `x`."""
        return self.run(
            self.core() / "tests" / "pbgen_images",
            file,
            activations,
            len(x),
            data=np.float32(x).astype(self.number).tobytes(),
            arch=arch,
            cpu=cpu,
        )

    def images(self, arch: str, file: Path, activations: str, x: np.ndarray) -> tuple[np.ndarray, str]:
        """The images, and the kernels that made them."""
        result = self.open(arch, file, activations, x)
        assert result.code == 0, result.said
        assert result.said.count(f"({arch})") == result.said.count("\n")
        return np.frombuffer(result.output, self.number).astype(np.float32), result.said

    @property
    def number(self) -> str:
        """NumPy's name of float32 as it lies in this machine's memory."""
        return ">f4" if self.name == "s390x" else "<f4"


@dataclass(frozen=True)
class Result:
    """How a program ended, and what it wrote to standard output and standard error."""

    code: int
    output: bytes
    said: str


ARM = Machine("aarch64", ("portable", "neon", "neon-dotprod"))
IBM_Z = Machine("s390x", ("portable",))
"""Whose numbers begin with their highest byte."""
