"""Engines side by side. Times are never compared with anything: only that they are there."""

import json
import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import pbgen
from pbgen.bench import compare
from pbgen.bench.engines import ENGINES
from pbgen.bench.processes import EngineProcess, Inputs
from pbgen.bench.worker import resident_bytes
from pbgen.errors import PBGenError

WEIGHT_BYTES = 83_008
"""Of the small generator, as float32, the scales of its binary layers among them."""
OTHERS = [name for name in ENGINES if not name.startswith("pbgen")]


def test_what_is_measured(packed: Path) -> None:
    seen = []
    result = compare(
        packed,
        ["pytorch", "pbgen-int8"],
        threads=1,
        batch=3,
        rounds=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(done, 5) for done in range(6)], "three engines made ready, two rounds"
    ours, int8, pytorch = result.measurements
    assert [m.engine for m in result.measurements] == ["pbgen", "pbgen-int8", "pytorch"]
    assert ours.difference == 0 and pytorch.difference < 1e-5 and int8.difference > 0
    assert ours.psnr is None and pytorch.psnr is None
    assert int8.psnr is not None and int8.psnr > 30
    assert ours.file_bytes == int8.file_bytes == packed.stat().st_size
    assert pytorch.file_bytes == WEIGHT_BYTES > 4 * ours.file_bytes
    assert pytorch.resident_bytes > ours.resident_bytes > 0
    for measurement in result.measurements:
        assert 0 < measurement.low <= measurement.median <= measurement.high
        assert measurement.runs >= 2 and measurement.cold_start > 0 and measurement.version
    assert result.left_out == {} and result.layers == ()
    assert json.loads(result.to_json())["measurements"][0]["engine"] == "pbgen"


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed network of two inputs, pictures of any size and a vector, that also draws noise."""

    class Free(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
            self.style = torch.nn.Linear(5, 8)

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            x = self.conv(x) + self.style(y)[:, :, None, None]
            return torch.tanh(x + 0.1 * torch.randn_like(x[:, :1]))

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("free") / "g.safetensors"
    pbgen.pack(Free().eval(), (torch.randn(1, 3, 12, 16), torch.randn(1, 5)), file)
    return file


def test_free_sizes_several_inputs_and_noise(free: Path) -> None:
    names = [name for name in OTHERS if not ENGINES[name].missing and "pytorch" not in name and not ENGINES[name].int8]
    result = compare(free, ["pbgen-int8", "pytorch", *names], rounds=1, layers=True, sizes=(20, 28))
    assert set(result.left_out) == {"ncnn"} & {ENGINES[name].title for name in names}
    assert all(reason.endswith("it is compared on files of one input alone") for reason in result.left_out.values())
    assert all(m.difference < 1e-4 for m in result.measurements if m.psnr is None)
    assert {layer.name for layer in result.layers[0].layers} == {"conv", "style"}


@pytest.mark.parametrize("sizes", [None, (20,), (20, 28)])
def test_inputs_of_free_sizes(free: Path, tmp_path: Path, sizes: tuple[int, ...] | None) -> None:
    drawn = Inputs(free, tmp_path, 2, sizes).draw()
    height, width = (64, 64) if sizes is None else (sizes[0], sizes[-1])
    assert [array.shape for array in drawn.values()] == [(2, 3, height, width), (2, 5), (2, 1, height, width)]


def test_sizes_that_do_not_fit(free: Path, packed: Path) -> None:
    with pytest.raises(PBGenError, match=r"--size 1x2x3: the generator takes 3xanyxany, so give one size, or 2"):
        compare(free, [], sizes=(1, 2, 3))
    with pytest.raises(PBGenError, match=r"--size 100: .*g.safetensors has no free sizes; leave it out"):
        compare(packed, [], sizes=(100,))


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_engine_makes_the_same_images(packed: Path, name: str) -> None:
    for module in ENGINES[name].modules:
        pytest.importorskip(module, exc_type=ImportError)
    if ENGINES[name].missing:
        pytest.skip(f"needs {ENGINES[name].missing}")
    for batch in (3,) if name == "pytorch-compiled" else (1, 3):  # compiling takes long
        result = compare(packed, [name], threads=2, batch=batch, rounds=1)
        if ENGINES[name].int8 and result.left_out:  # what 8 bits make of a small generator hangs on the latent vector
            assert "PSNR" in result.left_out[ENGINES[name].title]
            continue
        assert result.left_out == {}
        _, other = result.measurements
        if other.psnr is None:
            assert other.difference < 1e-5
            assert other.file_bytes >= WEIGHT_BYTES
        else:
            assert other.psnr > 30
            assert other.file_bytes < WEIGHT_BYTES


def test_ours_is_always_there_and_only_those_asked_for(packed: Path) -> None:
    assert [m.engine for m in compare(packed, [], rounds=1).measurements] == ["pbgen"]


def test_layers_are_timed_where_that_is_asked_for(packed: Path) -> None:
    result = compare(packed, ["pbgen-int8"], rounds=1, layers=True)
    assert [times.activations for times in result.layers] == ["float32", "int8"]
    assert json.loads(result.to_json())["layers"][1]["layers"][0]["name"] == "deconv4"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pytorch", "PyTorch makes other images than PBGen: they differ by up to 2"),
        ("pbgen-int8", r"PBGen int8 makes other images than PBGen: PSNR -?\d+ dB, below 30"),
    ],
)
def test_other_images_are_refused(packed: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    made = {"pbgen": np.linspace(-1, 1, 7, dtype=np.float32), name: np.ones(7, np.float32)}
    monkeypatch.setattr(EngineProcess, "images", lambda process: made[process.engine])
    with pytest.raises(PBGenError, match=message):
        compare(packed, [name], rounds=1)


def test_ours_that_fails_says_why(packed: Path) -> None:
    with pytest.raises(PBGenError, match=r"^PBGen cannot run the generator: threads=5000: must be 1 to 1024"):
        compare(packed, [], threads=5000, rounds=1)


def test_another_that_fails_is_left_out_with_the_reason(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Inputs.file
    monkeypatch.setattr(Inputs, "file", lambda inputs, name: whole(inputs, name) if name == "pbgen" else Path("none"))
    result = compare(packed, ["pytorch"], rounds=1)
    assert [m.engine for m in result.measurements] == ["pbgen"]
    assert list(result.left_out) == ["PyTorch"]
    assert result.left_out["PyTorch"].startswith("PyTorch cannot run the generator: none: cannot be read")


def test_what_cannot_be_exported_says_so(packed: Path, tmp_path: Path) -> None:
    packed_by_nobody = tmp_path / "none.safetensors"
    inputs = Inputs(packed_by_nobody, tmp_path, batch=1)
    with pytest.raises(PBGenError, match=r"cannot be exported for ONNX Runtime: .*none\.safetensors"):
        inputs.file("onnxruntime")


def test_unknown_engines_and_those_not_installed(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PBGenError, match="engine 'tensorrt': unknown; choose from pbgen, pbgen-int8, pytorch"):
        compare(packed, ["tensorrt"])
    monkeypatch.setattr("pbgen.bench.engines.find_spec", lambda module: None)
    monkeypatch.setattr("pbgen.bench.engines.which", lambda program: None)
    with pytest.raises(PBGenError, match=r"engine 'ncnn': not installed; install torch, ncnn, pnnx first"):
        compare(packed, ["ncnn"])
    assert [m.engine for m in compare(packed, rounds=1).measurements] == ["pbgen", "pbgen-int8"]


def test_what_an_engine_prints_is_no_answer() -> None:
    code = (
        "from pbgen.bench.worker import own_output, say\nanswers = own_output()\nprint('noise')\nsay(answers, {'a': 1})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ('{"a": 1}\n', "noise\n")


def test_memory_is_that_of_this_process() -> None:
    before = resident_bytes()
    held = mmap.mmap(-1, 50_000_000)  # new memory: what earlier tests have freed may be there still
    np.frombuffer(held, np.uint8)[:] = 1
    assert 40e6 < resident_bytes() - before < 100e6
