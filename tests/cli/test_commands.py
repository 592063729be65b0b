"""What the commands do when all is well."""

import json
import re
import shutil
from dataclasses import asdict
from inspect import signature
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from cli_runs import TINY, Command, finish, start
from PIL import Image
from torch import nn

import pbgen as package
from pbgen.binarize import METHODS
from pbgen.cli import options
from pbgen.cli.train import train
from pbgen.engine import Engine
from pbgen.latents import latents, noise
from pbgen.models import names
from pbgen.pictures import Range, image_grid, to_pixels
from pbgen.redundancy import Plan
from pbgen.training import TrainConfig, load_run, sample
from pbgen.training.config import CHOICES


def test_inspect_shows_and_saves_the_plan(pbgen: Command, tmp_path: Path) -> None:
    outcome = pbgen("inspect", "dcgan32", "--width", 64, "--kernel-size", 4, "--save", tmp_path / "plan.json")
    assert outcome.code == 0 and outcome.err == ""
    generator, _ = package.models.create("dcgan32", width=64, kernel_size=4)
    plan = package.plan(generator, torch.zeros(1, 100))
    assert Plan.load(tmp_path / "plan.json") == plan
    for layer in plan.layers:
        (row,) = [line.split() for line in outcome.out.splitlines() if line.split()[:1] == [layer.name]]
        assert ("binary" if layer.binary else "float") in row
        assert f"{layer.weights:,}" in row


def test_inspect_moves_the_threshold(pbgen: Command) -> None:
    lines = {float(t): pbgen("inspect", "dcgan64", "--threshold", t).out for t in ("100", "1e4", "1e9")}
    assert [len(re.findall(r"\bbinary +[\d,]+ ", out)) for out in lines.values()] == [5, 4, 0]


def test_inspect_a_user_s_file(pbgen: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\n"
        "def make():\n"
        "    module = torch.nn.Sequential(torch.nn.Linear(30, 4000), torch.nn.ReLU(), torch.nn.Linear(4000, 12))\n"
        "    module.input_shape = (30,)\n"
        "    return module\n"
    )
    outcome = pbgen("inspect", f"{file}:make")
    assert outcome.code == 0 and "30 → 4000" in outcome.out and "120,000" in outcome.out


FACTORY = """
import torch
class Mixing(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.z, self.label = torch.nn.Linear(6, 48), torch.nn.Embedding(4, 48)
    def forward(self, z, label):
        return torch.tanh(self.z(z) + self.label(label) + torch.rand_like(z[:, :1])).reshape(-1, 3, 4, 4)
def make(): return Mixing(), (torch.randn(2, 6), torch.tensor([1, 3]))
def upscaler(): return torch.nn.Upsample(scale_factor=2), torch.rand(1, 3, 8, 8)
class Two(torch.nn.Module):
    input_shape = (6,), (5,)
    def __init__(self):
        super().__init__()
        self.one, self.other = torch.nn.Linear(6, 48), torch.nn.Linear(5, 48)
    def forward(self, z, y):
        image = torch.tanh(self.one(z) + self.other(y) + torch.randn_like(z[:, :1])).reshape(-1, 3, 4, 4)
        return image, image.mean((1, 2, 3))
def two():
    torch.manual_seed(0)
    return Two()
"""


def test_a_third_party_s_module_is_inspected_packed_and_generates(pbgen: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FACTORY)
    spec, file, picture = f"{tmp_path / 'mine.py'}:two", tmp_path / "g.safetensors", tmp_path / "grid.png"
    assert "6 → 48" in pbgen("inspect", spec).out
    assert "6 → 48" in pbgen("inspect", f"{tmp_path / 'mine.py'}:make").out
    outcome = pbgen("pack", spec, "-o", file)
    assert outcome.code == 0, outcome.err
    assert pbgen("generate", file, "-n", 20, "--seed", 3, "-o", picture).code == 0
    given = [noise(kind, 3, number, 20, shape) for number, (kind, shape) in enumerate(NOISE)]
    rebuilt = package.packing.rebuild(file)
    images, _ = rebuilt(*map(torch.from_numpy, given))
    drawn = np.asarray(Image.open(picture)).astype(int)
    assert abs(drawn - np.asarray(image_grid(to_pixels(images.numpy())))).max() <= 1


NOISE = [("normal", (6,)), ("normal", (5,)), ("normal", (1,))]


def test_what_is_no_latent_vector_is_for_run(pbgen: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FACTORY)
    for factory, name in ("make", "label"), ("upscaler", "input"):
        assert pbgen("pack", f"{tmp_path / 'mine.py'}:{factory}", "-o", tmp_path / "g.safetensors").code == 0
        outcome = pbgen("generate", tmp_path / "g.safetensors", "-o", tmp_path / "grid.png")
        assert (
            outcome.code == 2
            and f"its input '{name}' is no latent vector of a fixed size; use pbgen run" in outcome.err
        )


def test_train_writes_a_run(trained: Path) -> None:
    run = load_run(trained)
    assert run.step == 2 and run.config.width == 16 and run.config.threshold == 50
    assert run.plan and run.plan.float == ["deconv32"]


def test_resuming_needs_no_options_again(pbgen: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert pbgen("train", *TINY, "--generator", "float", "--steps", 1, "--out", run).code == 0
    outcome = pbgen("train", "--resume", "--steps", 3, "--out", run)
    assert outcome.code == 0 and f"{run}: 3 steps" in outcome.out
    config = TrainConfig.load(run / "config.json")
    assert (config.generator, config.width, config.steps) == ("float", 16, 3)
    assert load_run(run).step == 3


def test_the_options_of_train_are_those_of_its_configuration() -> None:
    defaults = asdict(TrainConfig())
    offered = {name: parameter.default for name, parameter in signature(train).parameters.items()}
    for name in ("context", "out", "resume"):
        del offered[name]
    assert offered == {name: defaults[name] for name in offered}


def test_choices_are_those_of_the_library() -> None:
    offered = get_type_hints(train)
    for option, choices in CHOICES.items():
        if option != "channels":  # a number, checked by the models
            assert set(get_args(offered[option])) == set(choices), option
    assert set(get_args(offered["method"])) == set(METHODS)
    models = get_type_hints(train, include_extras=True)["model"]
    for shared in (options.Model, models):
        assert all(name in shared.__metadata__[0].help for name in names())


def test_evaluate_prints_and_draws(pbgen: Command, trained: Path, pictures: Path) -> None:
    outcome = pbgen("evaluate", trained, "--data", pictures, "-n", 64, "--seeds", 2)
    assert outcome.code == 0
    assert re.search(r"real \(the floor\) +[\d.]+ ± [\d.]+", outcome.out)
    assert "64 images against 64; seeds: 2" in outcome.out
    drawn = np.asarray(Image.open(trained / "real-and-generated.png"))
    generated = np.asarray(image_grid(sample(load_run(trained).generator, 32)))
    assert (drawn[:, -generated.shape[1] :] == generated).all()
    assert drawn.shape[1] == 2 * generated.shape[1] + 16


def test_evaluate_judges_a_run_that_takes_no_picture(pbgen: Command, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    picture = tmp_path / "run" / "real-and-generated.png"
    picture.unlink(missing_ok=True)
    picture.mkdir()
    outcome = pbgen("evaluate", tmp_path / "run", "-n", 64, "--seeds", 1)
    assert outcome.code == 0 and "real (the floor)" in outcome.out and "No picture." in outcome.out
    assert outcome.err.startswith(f"pbgen: no picture: {picture}: is a folder")  # before the work


def test_bench_tells_before_it_draws(
    pbgen: Command, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise package.PBGenError("no room")

    monkeypatch.setattr("pbgen.report.charts.save_chart", fail)
    outcome = pbgen("bench", packed, "--engine", "pbgen", "--rounds", 1, "--chart", tmp_path / "bench.png")
    assert outcome.code == 2 and "each engine in a process of its own" in outcome.out


def test_skipped_files_are_counted_and_named(pbgen: Command, trained: Path, pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    (folder / "0.png").write_bytes((folder / "0.png").read_bytes()[:100])
    (folder / "notes.txt").write_text("no image")
    outcome = pbgen("evaluate", trained, "--data", folder, "-n", 64, "--seeds", 1)
    assert outcome.code == 0
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("pbgen: ")]
    assert line.startswith(f"pbgen: {folder}: 2 of 201 files skipped: 0.png: ")
    assert line.endswith("; notes.txt: not an image")


def test_evaluate_in_json(pbgen: Command, trained: Path, pictures: Path) -> None:
    outcome = pbgen("evaluate", trained, "--data", pictures, "-n", 64, "--seeds", 2, "--json")
    result = json.loads(outcome.out)
    assert (result["images"], result["seeds"], result["step"]) == (64, 2, 2)
    assert set(result["levels"]) == {"16", "32"}
    assert result["mean"]["mean"] > result["floor"]["mean"] > 0


def test_evaluate_takes_the_data_that_the_run_was_trained_on(pbgen: Command, trained: Path) -> None:
    assert json.loads(pbgen("evaluate", trained, "-n", 64, "--seeds", 1, "--json").out)["data"] == "faces"


def test_pack_tells_what_it_saved(pbgen: Command, trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "g.safetensors"
    outcome = pbgen("pack", trained, "-o", file)
    assert outcome.code == 0
    assert "tracing the module, of free sizes\ntranslating its operators\n" in outcome.err
    assert f"{file.stat().st_size:,} bytes instead of" in outcome.out
    assert [line.split()[2] for line in outcome.out.splitlines() if "deconv" in line] == ["binary"] * 3 + ["float"]


def test_pack_of_a_module_without_a_binary_layer_says_so(pbgen: Command, tmp_path: Path) -> None:
    code = tmp_path / "own.py"
    code.write_text(
        "from torch import nn\ndef make():\n    m = nn.Linear(4, 3)\n    m.input_shape = (4,)\n    return m\n"
    )
    outcome = pbgen("pack", f"{code}:make", "-o", tmp_path / "g.safetensors")
    assert outcome.out.endswith("bytes instead of 60 in float32, no smaller; nothing in it is binary\n")


def test_generate_draws_what_the_trained_generator_makes(
    pbgen: Command, trained: Path, packed: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "grid.png"
    assert pbgen("generate", packed, "-n", 37, "--seed", 5, "--columns", 10, "--scale", 2, "-o", picture).code == 0
    generator = load_run(trained).generator.eval()
    with torch.no_grad():
        images = generator(torch.from_numpy(latents(5, 37, generator.input_shape))).numpy()
    expected = image_grid(to_pixels(images), columns=10, scale=2)
    drawn = np.asarray(Image.open(picture)).astype(int)
    assert abs(drawn - np.asarray(expected)).max() <= 1, "one of 256 levels: sums are rounded in another order"


def test_generate_with_another_range(pbgen: Command, tmp_path: Path) -> None:
    generator = nn.Sequential(nn.ConvTranspose2d(8, 3, 5), nn.Sigmoid()).eval()
    file, picture = tmp_path / "g.safetensors", tmp_path / "grid.png"
    package.pack(generator, torch.zeros(1, 8, 1, 1), file)
    outcome = pbgen("generate", file, "-n", 5, "--range", "0:1", "-o", picture)
    assert outcome.code == 0 and not outcome.err
    with torch.no_grad():
        images = generator(torch.from_numpy(latents(0, 5, (8, 1, 1)))).numpy()
    drawn = np.asarray(Image.open(picture)).astype(int)
    assert abs(drawn - np.asarray(image_grid(to_pixels(images, Range(0, 1))))).max() <= 1
    assert "% of the numbers of" in pbgen("generate", file, "--range", "0.9:1", "-o", picture).err


def test_generate_is_the_same_each_time(pbgen: Command, packed: Path, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        pbgen("generate", packed, "-n", 3, "-o", tmp_path / name)
    pbgen("generate", packed, "-n", 3, "--seed", 1, "-o", tmp_path / "other.png")
    one, two, other = ((tmp_path / name).read_bytes() for name in ("one.png", "two.png", "other.png"))
    assert one == two != other


def test_generate_needs_no_torch(packed: Path, tmp_path: Path) -> None:
    blocked = (
        "import sys\nfor name in ('torch', 'safetensors', 'matplotlib', 'lightning_fabric'): sys.modules[name] = None"
    )
    outcome = finish(start("generate", packed, "-n", 2, "-o", tmp_path / "grid.png", before=blocked))
    assert outcome.code == 0 and (tmp_path / "grid.png").exists(), outcome.err


def test_info_tells_what_pack_told(pbgen: Command, trained: Path, packed: Path, tmp_path: Path) -> None:
    outcome = pbgen("info", packed)
    assert outcome.code == 0 and outcome.err == ""
    layers = [line for line in pbgen("pack", trained, "-o", tmp_path / "g").out.splitlines() if "deconv" in line]
    assert [line.rstrip() for line in outcome.out.splitlines() if "deconv" in line] == [
        line.rstrip() for line in layers
    ]
    assert f"{packed}: {packed.stat().st_size:,} bytes; " in outcome.out
    assert re.search(r"input +input +8 +numbers", outcome.out)
    assert re.search(r"output +output +3×32×32 +numbers", outcome.out)


def test_info_needs_no_torch(packed: Path) -> None:
    blocked = "import sys\nfor name in ('torch', 'safetensors', 'matplotlib', 'PIL'): sys.modules[name] = None"
    outcome = finish(start("info", packed, "--json", before=blocked))
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert told["inputs"] == [{"name": "input", "shape": [8], "integer": False, "noise": None, "number": 0}]
    assert told["outputs"] == {"output": [3, 32, 32]} and told["packed_bytes"] == packed.stat().st_size


def test_export_tells_the_size(pbgen: Command, packed: Path, tmp_path: Path) -> None:
    for needed in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(needed)
    outcome = pbgen("export", packed, "-o", tmp_path / "g.onnx")
    assert (outcome.code, outcome.err) == (0, "")
    assert re.fullmatch(r".*g\.onnx: [\d.]+ kB; the packed file has [\d.]+ kB\n", outcome.out)


def test_bench_in_json(pbgen: Command, packed: Path) -> None:
    outcome = pbgen(
        "bench", packed, "--engine", "pytorch", "--json", "--layers", "--rounds", 1, "--threads", 1, "--batch", 2
    )
    result = json.loads(outcome.out)
    assert (result["threads"], result["batch"], result["rounds"]) == (1, 2, 1)
    ours, torch_engine = result["measurements"]
    assert (ours["engine"], torch_engine["engine"]) == ("pbgen", "pytorch")
    assert ours["file_bytes"] == packed.stat().st_size
    for engine in result["measurements"]:
        assert 0 < engine["low"] <= engine["median"] <= engine["high"]
        assert engine["difference"] <= 1e-4 and engine["cold_start"] > 0
    (times,) = result["layers"]
    assert [layer["name"] for layer in times["layers"]] == list(Engine(packed).kernels)


def test_bench_as_tables_and_a_chart(pbgen: Command, packed: Path, tmp_path: Path) -> None:
    chart = tmp_path / "bench.png"
    outcome = pbgen("bench", packed, "--engine", "pbgen-int8", "--layers", "--rounds", 1, "--chart", chart)
    assert outcome.code == 0, outcome.err
    assert [line.split(".")[0] for line in outcome.out.splitlines() if line.startswith("PBGen ")] == [
        "PBGen 0",
        "PBGen int8 0",
    ]
    for name in Engine(packed).kernels:
        assert sum(line.startswith(f"{name} ") for line in outcome.out.splitlines()) == 2, "float32 and int8"
    assert "each engine in a process of its own, 1 rounds in turn" in outcome.out
    with Image.open(chart) as picture:
        assert picture.width > picture.height > 100


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], []])
def test_help(arguments: list[str], pbgen: Command) -> None:
    outcome = pbgen(*arguments)
    assert outcome.code == 0
    shown = [line.split()[1] for line in outcome.out.splitlines() if re.match("│ [a-z]+ ", line)]
    assert shown == [
        "inspect",
        "train",
        "evaluate",
        "compress",
        "pack",
        "info",
        "generate",
        "run",
        "web",
        "export",
        "bench",
        "demo",
    ]
