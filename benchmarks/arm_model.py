"""What ARM's processors would do in a cycle, by llvm-mca's models of them: no caches, never timed.

    python benchmarks/arm_model.py [LLVM-MCA]

It needs an ARM compiler (Debian's g++-aarch64-linux-gnu) and the llvm-mca of LLVM 17 or later, that of the path if no
other is given. Prints Markdown: multiply-adds a cycle of the inner loops in arm_model.cpp.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROCESSORS = ("cortex-a55", "cortex-a76", "neoverse-n1", "cortex-x1")
ITERATIONS = 200
OPERATIONS = {  # multiply-adds of an iteration
    "float32_four": 8 * 32,
    "float32_six": 6 * 32,
    "float32_dense": 4 * 4 * 16,
    "int16_four": 8 * 32,
    "int16_eight": 8 * 32,
    "int8_dense": 16 * 4 * 16,
    "int8_tbl": 8 * 4 * 32,
}


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else "llvm-mca"
    with tempfile.TemporaryDirectory() as folder:
        loops = Path(folder) / "loops.s"
        compiler = ["aarch64-linux-gnu-g++", "-O2", "-std=c++17", "-march=armv8.2-a+dotprod", "-S", "-o", loops]
        subprocess.run([*compiler, Path(__file__).with_suffix(".cpp")], check=True)
        rates = {processor: cycles(model, processor, loops) for processor in PROCESSORS}
    print("| |", " | ".join(OPERATIONS), "|\n|", "---|" * (1 + len(OPERATIONS)))
    for processor, each in rates.items():
        values = (f"{operations * ITERATIONS / each[name]:.1f}" for name, operations in OPERATIONS.items())
        print(f"| {processor} |", " | ".join(values), "|")


def cycles(model: str, processor: str, loops: Path) -> dict[str, int]:
    """Of all iterations, by the loop's name."""
    options = ["-mtriple=aarch64", f"-mcpu={processor}", "-mattr=+dotprod", f"-iterations={ITERATIONS}"]
    told = subprocess.run([model, *options, loops], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"Code Region - (\w+)\s+Iterations: +\d+\s+Instructions: +\d+\s+Total Cycles: +(\d+)", told)
    return {name: int(count) for name, count in found}


if __name__ == "__main__":
    main()
