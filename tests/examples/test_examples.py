"""The examples that people copy, run as they would, but for fewer steps; that of a page is in tests/web."""

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pbgen

EXAMPLES = Path(__file__).parents[2] / "examples"
CMAKE = shutil.which("cmake") or shutil.which("cmake", path=Path(sys.executable).parent)


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        colours = rng.integers(0, 256, (6, 6, 3), np.uint8)
        Image.fromarray(colours).resize((64, 56), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder


def test_vocoder(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "vocoder.py"), run_name="__main__")
    assert "51200 samples" in capsys.readouterr().out


def test_super_resolution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = runpy.run_path(str(EXAMPLES / "super_resolution.py"))
    torch.manual_seed(0)
    torch.save(example["make"]().state_dict(), "w.pt")
    photos = pictures(tmp_path / "photos", 2)
    example["main"]("w.pt", str(photos), str(photos / "0.png"), minutes=0.02)
    assert Image.open("large.png").size == (128, 112)


def test_faces(tmp_path: Path) -> None:
    photos = pictures(tmp_path / "photos", 128)
    script = (EXAMPLES / "faces.sh").read_text()
    assert "--model dcgan32" in script
    small = script.replace("--model dcgan32", "--model dcgan32 --width 32 --batch-size 8").replace("-n 64", "-n 4")
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    subprocess.run(["sh", "-c", small, "faces.sh", photos, "2"], cwd=tmp_path, check=True, env={"PATH": path})
    assert (tmp_path / "grid.png").exists() and (tmp_path / "page.html").exists()


@pytest.mark.skipif(not CMAKE, reason="needs cmake")
def test_device(tmp_path: Path) -> None:
    """For ARM, where its compiler and an emulator are."""
    programs = ("aarch64-linux-gnu-g++", "qemu-aarch64")
    machine = "aarch64" if all(map(shutil.which, programs)) else ""
    toolchain = EXAMPLES.parent / "core" / "cmake" / f"{machine}-linux-gnu.cmake"
    fast = ["-DCMAKE_BUILD_TYPE=", "-DCMAKE_C_FLAGS=-O0", "-DCMAKE_CXX_FLAGS=-O0", "-DPBGEN_RUN=OFF"]
    cross = [f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", "-DCMAKE_EXE_LINKER_FLAGS=-static"] if machine else []
    build = tmp_path / "build"
    subprocess.run([CMAKE, "-S", EXAMPLES / "device", "-B", build, *fast, *cross], check=True, capture_output=True)
    subprocess.run([CMAKE, "--build", build, "-j2"], check=True, capture_output=True)
    generator, _ = pbgen.models.create("dcgan32", width=32, latent=8)
    pbgen.binarize(generator, "all")
    file, latent = tmp_path / "g.safetensors", torch.zeros(1, 8)
    pbgen.pack(generator.eval(), latent, file)
    run = ["qemu-aarch64"] if machine else []
    told = subprocess.run([*run, build / "device", file], check=True, capture_output=True, text=True).stdout
    made = np.array(told.split(), np.float32)
    np.testing.assert_allclose(made, pbgen.Engine(file, activations="int8")(latent.numpy()).ravel(), atol=1e-4)
