"""What the core's tests share."""

from pathlib import Path

import pytest
from archs import HERE
from packed_files import Layer

from pbgen import Engine, PBGenError


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Layer(3, 4, ()).write(tmp_path_factory.mktemp("probe") / "g.safetensors")


@pytest.fixture(params=HERE)
def arch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, probe: Path) -> str:
    """Each instruction set in turn, forced; those that this machine lacks are skipped."""
    monkeypatch.setenv("PBGEN_ARCH", request.param)
    try:
        Engine(probe)
    except PBGenError as error:
        pytest.skip(str(error))
    return str(request.param)
