"""Memory: none is taken while images are made in the caller's, and none is lost over many calls."""

import subprocess
import sys
from pathlib import Path

import pytest
from builds import core, needs_cmake, run
from generators import dcgan, every_operator
from packed_files import Layer
from random_graphs import OPERATORS, random_graph

from pbgen.packing import file
from pbgen.packing.graph import Node


@needs_cmake
@pytest.mark.skipif(sys.platform != "linux", reason="counts the calls of glibc's malloc")
def test_nothing_is_allocated_in_the_callers_memory(tmp_path: Path) -> None:
    files = [
        every_operator(tmp_path / "operators.safetensors"),
        dcgan(tmp_path / "dcgan.safetensors"),
        Layer(40, 33, (5, 4), (3, 3), (2, 2), (1, 1), dilation=(3, 2)).write(tmp_path / "dilated.safetensors"),
        Layer(64, 48, (4, 4), (3, 3), groups=2, one_bit=False).write(tmp_path / "groups.safetensors"),
    ]
    for op in OPERATORS:
        made = random_graph(1, op)
        if not any(is_computed(each) for each in made.graph.nodes):
            files.append(tmp_path / f"{op}.safetensors")
            file.write(files[-1], made.graph, made.tensors)
    assert len(files) > 15
    assert run(core() / "tests" / "pbgen_allocations", *files) == ""


def is_computed(each: Node) -> bool:
    """Whether a layer's weights are a value: then they are arranged in memory of their own."""
    return each.op.startswith("conv") and "weight" not in each.attributes


# Calls of both kinds and of several batch sizes; prints by how many bytes the process grew over all but the first.
CALLS = """
import sys
import numpy as np
from pbgen import Engine

def resident():
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])

engines = [Engine(sys.argv[1], threads=2, activations=kind) for kind in ("float32", "int8")]
z = np.random.default_rng(0).standard_normal((3, 10), np.float32)

def call(times):
    for i in range(times):
        engines[i % 2](z[: 1 + i % 3])

call(1000)
before = resident()
call(10000)
print(resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads resident memory from /proc")
def test_memory_is_flat_over_10000_calls(tmp_path: Path) -> None:
    file = every_operator(tmp_path / "g.safetensors")
    result = subprocess.run([sys.executable, "-c", CALLS, file], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) <= 200_000, "20 bytes a call"
