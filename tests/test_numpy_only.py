"""The edge: with NumPy and nothing else of ours, `import pbgen` works, packed files run, and memory stays small."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import pbgen
from pbgen.example import example_input

# Everything but the standard library, NumPy and the package is as if it were not installed.
ONLY_NUMPY = """
import sys
class OnlyNumpy:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        # scikit-build-core's editable install finds the native module with a hook of its own.
        if top not in sys.stdlib_module_names and top not in ("numpy", "pbgen", "_pbgen_editable"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, OnlyNumpy())
"""


def run(code: str, *arguments: object) -> str:
    """What a fresh interpreter prints that runs `code`."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.nn.Module, Path]:
    torch.manual_seed(0)
    generator, _ = pbgen.models.create("dcgan64")
    z = example_input(generator)
    pbgen.binarize(generator, pbgen.plan(generator, z))
    path = tmp_path_factory.mktemp("numpy_only") / "dcgan64.safetensors"
    info = pbgen.pack(generator, z, path)
    assert info.ratio >= 31
    return generator.eval(), path


def test_import_brings_nothing_but_numpy() -> None:
    loaded = run("import sys, pbgen; print(*sorted({name.partition('.')[0] for name in sys.modules}))").split()
    foreign = set(loaded) - set(sys.stdlib_module_names) - {"pbgen", "numpy", "__main__"}
    assert not foreign & {"torch", "typer", "rich", "PIL", "safetensors", "matplotlib", "lightning_fabric"}


def test_packed_file_runs(packed: tuple[torch.nn.Module, Path], tmp_path: Path) -> None:
    generator, path = packed
    z = np.random.default_rng(0).standard_normal((3, 100), np.float32)
    np.save(tmp_path / "z.npy", z)
    code = """
import sys, numpy as np, pbgen
engine = pbgen.Engine(sys.argv[1])
assert len(pbgen.info(sys.argv[1]).layers) == 5
np.save(sys.argv[3], engine(np.load(sys.argv[2])))
"""
    run(ONLY_NUMPY + code, path, tmp_path / "z.npy", tmp_path / "images.npy")
    with torch.inference_mode():
        expected = generator(torch.from_numpy(z)).numpy()
    assert np.abs(np.load(tmp_path / "images.npy") - expected).max() < 1e-4


@pytest.mark.parametrize("use", ["pbgen.pack", "pbgen.plan", "pbgen.binarize", "pbgen.training", "pbgen.metrics"])
def test_what_needs_torch_says_what_to_install(use: str) -> None:
    code = f"""
import pbgen
try:
    {use}
except ImportError as error:
    print(error)
"""
    assert "pip install 'pbgen[train]'" in run(ONLY_NUMPY + code)


def test_command_line_says_what_to_install() -> None:
    code = "import sys; from pbgen.cli import main; sys.stderr = sys.stdout; print(main(['inspect', 'dcgan64']))"
    assert run(ONLY_NUMPY + code) == "pbgen: the command line needs typer: pip install 'pbgen[train]'\n2\n"


def test_dcgan64_stays_below_12_megabytes(packed: tuple[torch.nn.Module, Path]) -> None:
    code = """
import sys, numpy as np
def resident():
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
z = np.random.default_rng(0).standard_normal((1, 100), np.float32)
before = resident()
import pbgen
engine = pbgen.Engine(sys.argv[1], threads=2)
for _ in range(3):
    engine(z)
print(resident() - before, engine.resident_bytes)
"""
    if not Path("/proc/self/status").exists():
        pytest.skip("reads resident memory from /proc, which this system lacks")
    measured, told = map(int, run(ONLY_NUMPY + code, packed[1]).split())
    assert measured <= 12e6
    assert told <= 12e6
