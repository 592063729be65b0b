"""The demo in miniature, from end to end."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from cli_runs import Command

import pbgen.demo
from pbgen.demo import VARIANTS, DemoSettings
from pbgen.training import TrainConfig, load_run, train
from pbgen.web.bundle import FOLDER, MODULES

MINIATURE = partial(
    DemoSettings,
    width=16,
    latent=8,
    steps=3,
    batch_size=8,
    threshold=50.0,
    images=64,
    seeds=1,
    threads=1,
    rounds=1,
    compressed_steps=2,
    paper_model="dcgan32",
)


def stopped_in_the_second(runs: Mapping[Path, TrainConfig], progress: object) -> None:
    """As if Ctrl-C came when the float generator is trained and the partial one is not."""
    float_run, partial_run, _ = runs
    train(runs[float_run], float_run)
    train(replace(runs[partial_run], steps=1), partial_run)
    raise KeyboardInterrupt


def test_it_stops_goes_on_and_writes_its_page(pbgen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "demo"
    monkeypatch.setattr("pbgen.demo.DemoSettings", MINIATURE)
    # The others are compared in tests/bench: here each would take its ten seconds twice more.
    monkeypatch.setattr("pbgen.demo.quick_engines", lambda: ["pbgen-int8", "pytorch"])
    with monkeypatch.context() as interrupted:
        interrupted.setattr("pbgen.demo.train_side_by_side", stopped_in_the_second)
        outcome = pbgen("demo", "--out", out)
    assert outcome.code == 130
    assert outcome.err.splitlines()[-1] == (
        f"pbgen: interrupted; {out} keeps what was trained, and the same command goes on"
    )
    assert [load_run(out / name).step for name in ("float", "partial")] == [3, 1]
    finished = (out / "float" / "checkpoint.pt").stat().st_mtime_ns

    outcome = pbgen("demo", "--out", out)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == f"{out / 'report.html'}: open it in a browser"
    assert {name: load_run(out / name).step for name in VARIANTS} == {"float": 3, "partial": 3, "binary": 3}
    assert (out / "float" / "checkpoint.pt").stat().st_mtime_ns == finished, "not trained again"
    assert {load_run(out / name).config.generator for name in VARIANTS} == set(VARIANTS)
    check_page((out / "report.html").read_text(encoding="utf-8"))


def check_page(page: str) -> None:
    assert page.count("data:image/png;base64,") == 8, (
        "real, three trainings, the engine's and the compressed beside the module's"
    )
    charts = re.findall(r'<svg[^>]*aria-label="([^"]*)"', page)
    assert len(charts) == 9
    assert charts[0].startswith("Degree of redundancy") and "steps of 8 images" in charts[1]
    assert page.count("<table>") == 8
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    compiled = all((FOLDER / file).exists() for file in MODULES.values())
    assert ('id="pbgen-live"' in page) == compiled, "alive where the engine for browsers is there"
    assert ("Not in this report." in page) == (not compiled)
    for word in ("deconv32", "real against real", "PyTorch", "smaller than in float32", "compressed without its data"):
        assert word in page


def test_its_settings_are_what_is_trained() -> None:
    settings = DemoSettings(steps=7, width=64)
    for name, (generator, discriminator) in VARIANTS.items():
        config = settings.training(name)
        assert (config.generator, config.discriminator) == (generator, discriminator)
        assert (config.steps, config.width, config.data) == (7, 64, "faces")
    assert pbgen.demo.VARIANTS["partial"] == ("partial", "binary")
