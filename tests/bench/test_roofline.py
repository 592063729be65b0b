"""The programs in benchmarks/: that they run, and that the limits are what they say."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pbgen
from pbgen.bench import compare
from pbgen.errors import PBGenError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import roofline  # noqa: E402  # no package: a script

LAYERS = [
    {"name": "one", "kernel": "tables in registers (avx512)", "bits": 1, "operations": 4e9, "weight_bytes": 500},
    {"name": "two", "kernel": "tables in memory, int8 (neon)", "bits": 2, "operations": 5e8, "weight_bytes": 3000},
]
RATES = {"float32-registers-512": 40e9, "int16-tables-128": 10e9, "read-l2": 30e3, "read-memory": 10e3}
LAYERS = [{**layer, "median": median} for layer, median in zip(LAYERS, (0.2, 0.5), strict=True)]


@pytest.mark.parametrize(
    ("cache", "first", "second"),
    [
        (3500, ["multiply-adds", "100 ms", "200 ms", "50%"], ["multiply-adds", "100 ms", "500 ms", "20%"]),
        (3499, ["multiply-adds", "100 ms", "200 ms", "50%"], ["bytes", "300 ms", "500 ms", "60%"]),
    ],
)
def test_a_layer_is_limited_by_its_multiply_adds_or_its_bytes(cache: int, first: list[str], second: list[str]) -> None:
    table = roofline.roofline({"layers": LAYERS, "rest": 0.1}, RATES, cache)
    assert [row[4:] for row in table.rows[:2]] == [first, second]
    assert table.total is not None and table.total[6] == "800 ms", "measured, with the rest"
    assert table.total[5] == ("200 ms" if cache == 3500 else "400 ms")


@pytest.mark.parametrize(
    ("kernel", "peak"),
    [
        ("tables in registers, int8 (avx512-vbmi)", "int8-registers-512"),
        ("tables in registers (avx512)", "float32-registers-512"),
        ("tables in registers, taps as channels (avx2)", "float32-registers-256"),
        ("float32 weights, broadcast, folded (avx512)", "multiply-add-512"),
        ("float weights as int8, dot products, folded (avx512-vbmi)", "int8-512"),
        ("float weights as int8, broadcast (avx2)", "int16-multiply-add-256"),
        ("float weights as int8, dot products (avx2-vnni)", "int8-256"),
        ("tables in memory (avx2)", "float32-tables-256"),
        ("tables in memory, shared by taps (avx512)", "float32-tables-256"),
        ("tables in memory, shared by taps, int8 (neon)", "int16-tables-128"),
        ("one-bit weights, dot products of rows (portable)", "multiply-add-128"),
        ("three-bit weights, dot products of rows, int8 (avx2)", "int16-multiply-add-256"),
        ("channel by channel (avx512)", "multiply-add-512"),
        ("float weights as int8, dot products (neon-dotprod)", "int8-128"),
    ],
)
def test_the_peak_that_bounds_a_kernel(kernel: str, peak: str) -> None:
    assert roofline.peak(kernel) == peak
    assert f'"{peak}"' in (BENCHMARKS / "peaks.cpp").read_text()


@pytest.mark.parametrize(("kernel", "inputs"), [("", 4), (", shared by taps", 6), (", shared by taps, int8", 8)])
def test_a_load_of_a_table_takes_all_of_its_inputs(kernel: str, inputs: int) -> None:
    layer = {"name": "one", "kernel": f"tables in memory{kernel} (avx2)", "bits": 1, "operations": 12e9}
    rates = {"float32-tables-256": 1e9, "int16-tables-256": 1e9, "read-l2": 1e9}
    table = roofline.roofline({"layers": [{**layer, "weight_bytes": 0, "median": 48.0}], "rest": 0.0}, rates, 0)
    assert table.rows[0][-1] == f"{1 / inputs:.0%}"


def test_an_unknown_kernel_is_named() -> None:
    with pytest.raises(PBGenError, match=r"kernel 'magic \(avx2\)': not known here; say in PEAKS"):
        roofline.peak("magic (avx2)")


def test_every_kernel_of_this_build_has_a_peak(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PBGEN_ARCH", "none")
    with pytest.raises(PBGenError, match="this build has") as refused:
        pbgen.Engine(packed)
    for instructions in re.split(", ", str(refused.value).partition("this build has ")[2]):
        monkeypatch.setenv("PBGEN_ARCH", instructions)
        for activations in "float32", "int8":
            try:
                kernels = pbgen.Engine(packed, activations=activations).kernels.values()
            except PBGenError as error:
                assert "this processor cannot run" in str(error)
                continue
            peaks = (BENCHMARKS / "peaks.cpp").read_text()
            assert all(f'"{roofline.peak(kernel)}"' in peaks for kernel in kernels), kernels


@pytest.fixture(scope="module")
def peaks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the program says of this machine, in JSON."""
    compiler = os.environ.get("CXX") or shutil.which("c++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    folder = tmp_path_factory.mktemp("peaks")
    source, program, file = BENCHMARKS / "peaks.cpp", folder / "peaks", folder / "peaks.json"
    subprocess.run([compiler, "-std=c++17", "-O3", "-pthread", source, "-o", program], check=True, capture_output=True)
    done = subprocess.run([program, "--json", "--threads", "1"], check=True, capture_output=True, text=True)
    file.write_text(done.stdout)
    assert subprocess.run([program, "--threads", "0"], check=False, capture_output=True).returncode == 2
    return file


def test_from_peaks_and_a_bench_to_a_table(peaks: Path, packed: Path, tmp_path: Path) -> None:
    measured = json.loads(peaks.read_text())["peaks"]
    assert all(peak["one_core"] > 0 and peak["all_threads"] > 0 for peak in measured)
    assert {"multiply-add-128", "float32-tables-128", "read-l2", "read-memory"} <= {peak["name"] for peak in measured}
    bench = tmp_path / "bench.json"
    bench.write_text(compare(packed, ["pbgen-int8"], threads=1, rounds=1, layers=True).to_json())
    command = [sys.executable, BENCHMARKS / "roofline.py", peaks]
    done = subprocess.run([*command, bench], check=True, capture_output=True, text=True)
    for name in "deconv4", "deconv32", "the rest", "all":
        assert len(re.findall(rf"^{name} ", done.stdout, re.MULTILINE)) == 2, "with float32 and with int8 activations"

    other = tmp_path / "other.json"
    for contents, message in [
        ("{", f"{other}: no results in JSON"),
        ('{"threads": 2, "layers": []}', "measured with different threads"),
        ('{"threads": 1, "layers": []}', f"{other}: has no layers; make it with pbgen bench --layers --json"),
    ]:
        other.write_text(contents)
        failed = subprocess.run([*command, other], check=False, capture_output=True, text=True)
        assert failed.returncode == 1 and failed.stderr.count("\n") == 1 and message in failed.stderr
