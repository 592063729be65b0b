"""What the core's tests share."""

import platform
from pathlib import Path

import pytest
from packed_files import Layer

from pbgen import Engine, PBGenError

ARCHS = {
    "x86_64": ["portable", "avx2", "avx512", "avx512-vbmi"],
    "aarch64": ["portable", "neon", "neon-dotprod"],
    "arm64": ["portable", "neon", "neon-dotprod"],
}


@pytest.fixture(params=ARCHS.get(platform.machine(), ["portable"]))
def arch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Each instruction set in turn, forced; those that this machine lacks are skipped."""
    monkeypatch.setenv("PBGEN_ARCH", request.param)
    try:
        Engine(Layer(3, 4, ()).write(tmp_path / "probe.safetensors"))
    except PBGenError as error:
        pytest.skip(str(error))
    return str(request.param)
