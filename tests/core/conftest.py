"""What the core's tests share."""

from functools import partial
from pathlib import Path

import pytest
import wasm
from archs import HERE
from packed_files import Layer

from pbgen import Engine, PBGenError


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Layer(3, 4, ()).write(tmp_path_factory.mktemp("probe") / "g.safetensors")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The instruction sets: those of WebAssembly, in Node, where a module's tests know the engine by its name alone."""
    own = any("arch" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "arch" in metafunc.fixturenames and not own:
        others = wasm.MODULES if hasattr(metafunc.module, "Engine") else ()
        metafunc.parametrize("arch", [*HERE, *others], indirect=True)


@pytest.fixture
def arch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, probe: Path) -> str:
    """Each instruction set in turn, forced, WebAssembly's in Node; those that this machine lacks are skipped."""
    if request.param in wasm.MODULES:
        if reason := wasm.missing(request.param):
            pytest.skip(reason)
        monkeypatch.setattr(request.module, "Engine", partial(wasm.Engine, module=request.param))
        return str(request.param)
    monkeypatch.setenv("PBGEN_ARCH", request.param)
    try:
        Engine(probe)
    except PBGenError as error:
        pytest.skip(str(error))
    return str(request.param)
