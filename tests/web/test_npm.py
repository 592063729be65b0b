"""The npm package, as somebody gets it: installed in a fresh folder, run by Node, bundled by Vite, run in a browser."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers import served

from pbgen import Engine

ROOT = Path(__file__).parents[2]

NODE = """
import { Engine } from "pbgen";
import { Engine as Inline } from "pbgen/inline";
const sums = [];
for (const engine of [await Engine.load("g.safetensors"), await Inline.load("g.safetensors")]) {
    const { data, shape } = await engine.run(new Float32Array(8).fill(0.5));
    sums.push([shape, data.reduce((sum, value) => sum + value, 0)]);
}
console.log(JSON.stringify(sums));
"""

PAGE = """
import { Engine } from "pbgen";
import { WorkerEngine } from "pbgen/worker";
const sums = [];
for (const Kind of [Engine, WorkerEngine]) {
    const engine = await Kind.load("g.safetensors");
    const { data, shape } = await engine.run(new Float32Array(8).fill(0.5));
    const wrong = await engine.run(new Float32Array(9)).catch((error) => error.message);
    const { simd, inputShape, residentBytes } = engine;
    sums.push([shape, data.reduce((sum, value) => sum + value, 0), simd, wrong, inputShape, residentBytes > 0]);
    engine.close();
}
document.title = JSON.stringify(sums);
"""

TYPES = """
import { Engine, type Tensor } from "pbgen";
import { WorkerEngine } from "pbgen/worker";
const engine: Engine = await Engine.load(new URL("g.safetensors", location.href), { activations: "int8" });
const images: Tensor = await engine.run(new Float32Array(100), { seed: 2n });
const both: Tensor[] = await engine.run<Tensor[]>([images, { data: [1], shape: [1, 1] }]);
const worker: WorkerEngine = await WorkerEngine.load(new Blob([]));
const shapes: number[] | number[][] = await worker.outputShapeFor([3, 4, 4]);
// @ts-expect-error
Engine.load("g.safetensors", { activations: "int4" });
console.log(both, shapes, engine.inputs[0].shape, engine.layers[0].bits);
"""


def done(*command: object, folder: Path) -> str:
    finished = subprocess.run(
        [*map(str, command)], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="session")
def package(modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tarball."""
    if not shutil.which("npm"):
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("package")
    done(sys.executable, ROOT / "web" / "prepack.py", folder, folder=ROOT)
    (told,) = json.loads(done("npm", "pack", "--json", "--ignore-scripts", folder=folder))
    return folder / str(told["filename"])


@pytest.fixture(scope="session")
def project(package: Path, latents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh folder in which the package is installed."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "package.json").write_text('{"type": "module", "private": true}')
    done("npm", "install", "--offline", "--no-audit", "--no-fund", package, folder=folder)
    shutil.copyfile(latents, folder / "g.safetensors")
    return folder


def expected(latents: Path) -> float:
    return float(Engine(latents)(np.full((1, 8), 0.5)).sum(dtype=np.float64))


def test_node_runs_what_is_installed(project: Path, latents: Path) -> None:
    found = json.loads(done("node", "--input-type=module", "--eval", NODE, folder=project))
    for shape, total in found:
        assert shape == [1, 3, 32, 32]
        assert total == pytest.approx(expected(latents), rel=1e-3)


def test_vite_bundles_it_as_it_is(project: Path, latents: Path, browser: Any) -> None:
    install(project, "vite")
    (project / "index.html").write_text('<!doctype html><title></title><script type="module" src="page.js"></script>')
    (project / "page.js").write_text(PAGE)
    (project / "public").mkdir()
    shutil.copyfile(latents, project / "public" / "g.safetensors")
    done("npx", "--no-install", "vite", "build", "--outDir", "built", folder=project)
    with served(project / "built") as server:
        page = browser.new_page()
        page.goto(server)
        page.wait_for_function("document.title")
        found = json.loads(page.title())
        page.close()
    for shape, total, simd, wrong, given, resident in found:
        assert (shape, simd, given, resident) == ([1, 3, 32, 32], "relaxed", [8], True)
        assert wrong == "input: holds 9 numbers, no multiple of 8; it must be (N, 8)"
        assert total == pytest.approx(expected(latents), rel=1e-3)
    assert len(found) == 2


def test_its_types_are_right(project: Path) -> None:
    install(project, "typescript")
    (project / "types.ts").write_text(TYPES)
    options = ("--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom")
    done("npx", "--no-install", "tsc", *options, "types.ts", folder=project)


def test_it_depends_on_nothing() -> None:
    described = json.loads((ROOT / "web" / "package.json").read_text(encoding="utf-8"))
    assert "dependencies" not in described


def test_example_of_a_page(project: Path, latents: Path, browser: Any) -> None:
    install(project, "vite")
    shutil.copytree(ROOT / "examples" / "page", project / "example")
    shutil.copyfile(latents, project / "example" / "g.safetensors")
    done("npx", "--no-install", "vite", "build", "example", "--outDir", "../made", folder=project)
    with served(project / "made") as server:
        page = browser.new_page()
        page.goto(server)
        page.wait_for_function("document.title == 'made'")
        assert page.evaluate("document.querySelector('canvas').width") == 32
        page.close()


def install(project: Path, name: str) -> None:
    """A tool that the tests need; skips where npm's registry cannot be reached."""
    command = [
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        "--no-save",
        "--fetch-retries=0",
        "--fetch-timeout=20000",
        name,
    ]
    finished = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=300)
    if finished.returncode:
        pytest.skip(f"npm cannot install {name}: {finished.stderr.strip().splitlines()[0]}")
