"""The folder of a run: what is in it, what is refused, and what is kept when training goes wrong."""

import csv
import json
import os
import resource
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_gan import NORMED, SHORT, TINY, load_tiny
from torch import nn

import pbgen
from pbgen.binarize import binary_layers
from pbgen.errors import PBGenError
from pbgen.redundancy import Plan
from pbgen.training import LOSSES, TrainConfig, checkpoint, sample, train
from pbgen.training.networks import build
from pbgen.training.step import TrainingStep

Tiny = Callable[..., TrainConfig]


def one_line(refusal: pytest.ExceptionInfo[PBGenError]) -> str:
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@contextmanager
def limited_files(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_run_leaves_its_folder(tiny: Tiny, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    config = tiny(sample_every=4, steps=5)
    seen: list[tuple[int, int, Mapping[str, float | None]]] = []
    assert train(config, out, progress=lambda *told: seen.append(told)) == out
    files = {file.name for file in out.iterdir() if not file.name.startswith("events")}
    assert files == {"config.json", "origin.json", "plan.json", "log.csv", "checkpoint.pt", "samples"}
    assert sorted(file.name for file in (out / "samples").iterdir()) == ["step-000004.png", "step-000005.png"]
    assert Image.open(out / "samples" / "step-000005.png").size == (8 * 16 + 7 * 2, 8 * 16 + 7 * 2)
    assert [(step, steps) for step, steps, _ in seen] == [(step, 5) for step in range(1, 6)]
    assert not seen[0][2]
    assert seen[2][2]["step"] == 2

    run = load_tiny(out)
    assert (run.config, run.step) == (config, 5)
    assert [row["step"] for row in run.log] == [2, 4, 5]
    assert all(isinstance(value, float) for row in run.log for value in row.values())
    assert run.plan == Plan.load(out / "plan.json")
    assert list(binary_layers(run.generator)) == run.plan.binary
    assert 0 < len(run.plan.binary) < len(run.plan.layers)


def test_layers_by_name_are_the_binary_ones(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(layers=("4", "7"), steps=1), tmp_path)
    run = load_tiny(tmp_path)
    assert run.plan is not None
    assert run.plan.binary == list(binary_layers(run.generator)) == ["4", "7"]


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("discriminator", ["float", "binary"])
def test_normed_networks_are_trained_and_loaded(tiny: Tiny, tmp_path: Path, discriminator: str) -> None:
    train(tiny(model=NORMED, discriminator=discriminator, steps=3), tmp_path)
    run = load_tiny(tmp_path)
    assert run.plan is not None
    assert run.plan.binary == list(binary_layers(run.generator)) == ["0", "4"]
    z = torch.randn(3, 6)
    pbgen.pack(run.generator, z, tmp_path / "g.safetensors")
    images = torch.from_numpy(pbgen.Engine(tmp_path / "g.safetensors")(z.numpy()))
    torch.testing.assert_close(images, run.generator(z).detach(), atol=1e-4, rtol=0)


def test_layers_that_there_are_not(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(PBGenError) as refusal:
        train(tiny(layers=("4", "last")), tmp_path / "run")
    assert one_line(refusal) == "layer 'last': not in the plan; it has 0, 4, 7"
    assert not (tmp_path / "run").exists()


def test_a_generator_learns_from_a_teacher(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(generator="float", discriminator="float", steps=3), tmp_path / "teacher")
    for name, teacher in {"taught": str(tmp_path / "teacher"), "alone": None}.items():
        train(tiny(teacher=teacher, steps=60, learning_rate=1e-3), tmp_path / name)
    generators = {name: load_tiny(tmp_path / name).generator for name in ("teacher", "taught", "alone")}
    images = {name: sample(generator, 64) for name, generator in generators.items()}
    distances = {name: np.square(images[name].astype(float) - images["teacher"]).mean() for name in images}
    assert distances["taught"] < 0.5 * distances["alone"]


def test_imitation_weighs_the_teacher(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(generator="float", discriminator="float", steps=3), tmp_path / "teacher")
    teacher = str(tmp_path / "teacher")
    distances = []
    for weight in (0.1, 100.0):
        train(tiny(teacher=teacher, imitation=weight, steps=60, learning_rate=1e-3), tmp_path / str(weight))
        made, taught = (sample(load_tiny(run).generator, 64).astype(float) for run in (tmp_path / str(weight), teacher))
        distances.append(np.square(made - taught).mean())
    assert distances[1] < 0.5 * distances[0]


def test_the_generator_goes_on_with_its_teacher(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(generator="float", discriminator="float", steps=3), tmp_path / "teacher")
    config = tiny(teacher=str(tmp_path / "teacher"), steps=4)
    train(config, tmp_path / "whole")
    train(replace(config, steps=2), tmp_path / "parts")
    train(config, tmp_path / "parts", resume=True)
    whole, parts = (checkpoint.load(tmp_path / run / "checkpoint.pt")["generator"] for run in ("whole", "parts"))
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=0)


def test_a_teacher_makes_the_same_kind_of_images(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(model=SHORT, steps=1), tmp_path / "short")
    with pytest.raises(PBGenError) as refusal:
        train(tiny(teacher=str(tmp_path / "short"), teacher_model=SHORT), tmp_path / "taught")
    assert one_line(refusal).endswith(
        "makes images of shape (1, 16, 16) from latents of (5,); "
        "this run needs a teacher that makes (1, 16, 16) from (6,)"
    )
    with pytest.raises(PBGenError, match="not the folder of a training run"):
        train(tiny(teacher=str(tmp_path / "none")), tmp_path / "taught")
    assert not (tmp_path / "taught").exists()


def test_latent_weights_move_faster(tiny: Tiny, tmp_path: Path) -> None:
    """Adam's first step has the length of its rate, whatever the gradient's."""
    train(tiny(steps=1, learning_rate=1e-3, latent_rate=10.0), tmp_path / "moved")
    train(tiny(steps=1, learning_rate=1e-12), tmp_path / "still")
    moved, still = (checkpoint.load(tmp_path / run / "checkpoint.pt")["generator"] for run in ("moved", "still"))
    lengths = {name: (moved[name] - still[name]).abs().max().item() for name in moved if "running" not in name}
    latent = {name for name in lengths if name.endswith("original")}
    assert latent
    for name in lengths.keys() - {name for name in lengths if "num_batches" in name}:
        assert lengths[name] == pytest.approx(1e-2 if name in latent else 1e-3, rel=0.02)


def test_tensorboard_has_the_same_figures(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(), tmp_path)
    events = EventAccumulator(str(tmp_path)).Reload()
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = [(event.step, event.value) for event in events.Scalars("generator_loss")]
    assert [step for step, _ in told] == [2, 4, 6]
    np.testing.assert_allclose([value for _, value in told], [float(row["generator_loss"]) for row in rows], rtol=1e-6)
    assert [event.step for event in events.Images("samples")] == [6]


@pytest.mark.parametrize("generator", ["float", "binary"])
def test_a_network_without_binary_weights_has_no_flips(tiny: Tiny, tmp_path: Path, generator: str) -> None:
    train(tiny(generator=generator, discriminator="float", learning_rate=0.02), tmp_path)
    run = load_tiny(tmp_path)
    assert run.plan is None
    assert not (tmp_path / "plan.json").exists()
    assert all(row["discriminator_flips"] is None for row in run.log)
    if generator == "float":
        assert all(row["generator_flips"] is None for row in run.log)
        assert not binary_layers(run.generator)
    else:
        assert any((row["generator_flips"] or 0) > 0 for row in run.log)
        assert len(binary_layers(run.generator)) == 3


def test_latent_weights_are_clipped(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(generator="binary", learning_rate=0.5), tmp_path)
    state = checkpoint.load(tmp_path / "checkpoint.pt")
    latents = [v for n in ("generator", "discriminator") for k, v in state[n].items() if k.endswith("original")]
    assert len(latents) == 6
    assert max(float(latent.abs().max()) for latent in latents) == 1


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains(tiny: Tiny, tmp_path: Path, loss: str) -> None:
    """An untrained generator makes mid-grey, and learns to make the one bright picture."""
    data = tmp_path / "bright"
    data.mkdir()
    Image.new("L", (16, 16), 250).save(data / "one.png")
    train(tiny(loss=loss, data=str(data), steps=40, learning_rate=5e-3), tmp_path / "run")
    assert sample(load_tiny(tmp_path / "run").generator, 64).mean() > 150


def test_built_in_model_and_half_precision(tmp_path: Path) -> None:
    config = TrainConfig(
        model="dcgan32", width=16, latent=5, steps=2, batch_size=4, generator="binary", precision="bf16-mixed",
        accelerator="cpu",
    )  # fmt: skip
    train(config, tmp_path)
    run = load_tiny(tmp_path)
    assert sample(run.generator, 3).shape == (3, 3, 32, 32)
    assert all(value.dtype != torch.bfloat16 for value in run.generator.state_dict().values())


def test_samples_depend_on_the_seed_alone(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(), tmp_path)
    generator = load_tiny(tmp_path).generator
    whole, parts = sample(generator, 20, seed=3), sample(generator, 20, seed=3, batch=7)
    assert whole.dtype == np.uint8
    assert np.abs(whole.astype(int) - parts).max() <= 1
    assert not np.array_equal(whole, sample(generator, 20, seed=4))
    latents = np.random.default_rng(3).standard_normal((20, 6), dtype=np.float32)
    expected = (generator(torch.from_numpy(latents)).numpy() + 1) * 127.5
    assert np.abs(whole - expected).max() <= 0.5 + 1e-3


def test_a_folder_s_name_need_not_be_text(tiny: Tiny, tmp_path: Path) -> None:
    out = train(tiny(steps=2), tmp_path / os.fsdecode(b"\xff"))
    assert load_tiny(out).step == 2


@pytest.mark.parametrize("exists", [True, False])
def test_of_a_run_without_room_for_a_checkpoint_nothing_stays(exists: bool, tiny: Tiny, tmp_path: Path) -> None:
    """The limit of a file's size stands in for a small disk."""
    out = tmp_path / "run"
    if exists:
        out.mkdir()
        (out / "mine").touch()
    with limited_files(10_000), pytest.raises(PBGenError, match=r"checkpoint\.pt: cannot be written: .*; make room"):
        train(tiny(), out)
    assert list(tmp_path.rglob("*")) == ([out, out / "mine"] if exists else [])
    assert load_tiny(train(tiny(steps=1), out)).step == 1


def test_a_log_without_room_is_named_and_the_checkpoint_stays(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(steps=2), tmp_path)
    with ExitStack() as stack:

        def fill(step: int, *_: object) -> None:
            if step == 3:
                stack.enter_context(limited_files((tmp_path / "log.csv").stat().st_size))

        with pytest.raises(PBGenError, match=r"log\.csv: cannot be written: File too large; make room"):
            train(tiny(steps=6), tmp_path, resume=True, progress=fill)
    assert load_tiny(tmp_path).step == 2


def test_a_second_run_in_the_same_folder_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(steps=1), tmp_path)
    with pytest.raises(PBGenError, match="holds a run already") as refusal:
        train(tiny(steps=1), tmp_path)
    assert str(tmp_path) in one_line(refusal)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"seed": 3}, "seed: 0, 3"),
        ({"loss": "hinge"}, "loss: nonsaturating, hinge"),
        ({"generator": "float"}, "generator: partial, float"),
        ({"batch_size": 4, "steps": 9}, "batch_size: 8, 4"),
    ],
)
def test_resuming_with_other_options_is_refused(
    tiny: Tiny, tmp_path: Path, options: dict[str, Any], named: str
) -> None:
    config = tiny(steps=2)
    train(config, tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(PBGenError) as refusal:
        train(replace(config, **options), tmp_path, resume=True)
    assert named in one_line(refusal)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_resuming_for_fewer_steps_is_refused_and_for_none_does_nothing(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(steps=2), tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(PBGenError, match="has been trained for 2 already"):
        train(tiny(steps=1), tmp_path, resume=True)
    train(tiny(steps=2), tmp_path, resume=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_resuming_where_no_run_is_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(PBGenError, match="holds no run to resume"):
        train(tiny(), tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "nowhere"}, "nowhere"),
        ({"model": "dcgan31"}, "dcgan31"),
        ({"model": TINY.replace(":pair", ":alone")}, "gives a generator alone"),
        ({"model": TINY.replace(":pair", ":oblong")}, "training needs square ones, (1, n, n)"),
        ({"channels": 3}, "training needs square ones, (3, n, n)"),
        ({"threshold": 1e9}, "reaches the threshold 1e+09"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    tiny: Tiny, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(PBGenError) as refusal:
        train(tiny(**options), tmp_path / "run")
    assert message in one_line(refusal)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about a machine without CUDA")
def test_a_device_that_is_not_there_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(PBGenError, match="accelerator cuda: torch sees no CUDA device"):
        train(tiny(accelerator="cuda"), tmp_path)


@pytest.mark.parametrize("log_every", [1, 3, 50])
def test_divergence_stops_with_the_last_good_checkpoint(tiny: Tiny, tmp_path: Path, log_every: int) -> None:
    calm = tiny(generator="float", discriminator="float", steps=2)
    train(calm, tmp_path)
    good = (tmp_path / "checkpoint.pt").read_bytes()
    poison = replace(calm, steps=20, log_every=log_every, checkpoint_every=5)
    poison.save(tmp_path / "config.json")

    from pbgen.training import step

    ordinary = step.TrainingStep.__call__

    def poisoned(self: step.TrainingStep, number: int, feed: Any) -> torch.Tensor:
        if number == 3:
            with torch.no_grad():
                next(self.generator.module.parameters()).fill_(torch.nan)
        return ordinary(self, number, feed)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(PBGenError) as refusal:
        patch.setattr(step.TrainingStep, "__call__", poisoned)
        train(poison, tmp_path, resume=True)
    assert "the loss is no longer finite at step 4; the checkpoint of step 2 is kept" in one_line(refusal)
    assert (tmp_path / "checkpoint.pt").read_bytes() == good
    train(poison, tmp_path, resume=True)
    assert load_tiny(tmp_path).step == 20


def test_a_step_that_is_far_too_large_is_a_divergence(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(PBGenError, match=r"no longer finite at step .*; the checkpoint of step 0 is kept"):
        train(tiny(generator="float", discriminator="float", learning_rate=1e37, steps=20), tmp_path)
    assert load_tiny(tmp_path).step == 0


@pytest.mark.parametrize("name", ["config.json", "plan.json", "log.csv", "checkpoint.pt"])
@pytest.mark.parametrize("harm", ["removed", "emptied", "garbled"])
def test_damaged_folders_are_refused_by_name(tiny: Tiny, tmp_path: Path, name: str, harm: str) -> None:
    train(tiny(steps=1), tmp_path)
    path = tmp_path / name
    if harm == "removed":
        path.unlink()
    else:
        path.write_bytes(b"" if harm == "emptied" else b"\x93garbage,1\n2,3,4\n")
    with pytest.raises(PBGenError) as refusal:
        load_tiny(tmp_path)
    assert name in one_line(refusal)


def test_a_checkpoint_of_other_networks_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(steps=2), tmp_path / "partial")
    train(tiny(steps=2, generator="float"), tmp_path / "float")
    (tmp_path / "float" / "checkpoint.pt").replace(tmp_path / "partial" / "checkpoint.pt")
    with pytest.raises(PBGenError, match=r"checkpoint.pt: belongs to another generator"):
        load_tiny(tmp_path / "partial")
    with pytest.raises(PBGenError, match=r"checkpoint.pt: belongs to other networks"):
        train(tiny(steps=3), tmp_path / "partial", resume=True)


def test_a_log_that_was_cut_short_is_mended(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(steps=4), tmp_path)
    with (tmp_path / "log.csv").open("a") as file:
        file.write("6,1.2,3")
    assert [row["step"] for row in load_tiny(tmp_path).log] == [2, 4]
    train(tiny(steps=6), tmp_path, resume=True)
    assert [row["step"] for row in load_tiny(tmp_path).log] == [2, 4, 6]


def test_a_run_killed_before_its_first_checkpoint_starts_again(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(steps=2), tmp_path)
    (tmp_path / "checkpoint.pt").unlink()
    train(tiny(steps=2), tmp_path, resume=True)
    assert load_tiny(tmp_path).step == 2
    assert json.loads((tmp_path / "config.json").read_text())["steps"] == 2


class Viewing(nn.Module):
    """A user's generator that sees its convolution's output as a row of numbers, which channels last does not allow."""

    input_shape = (100,)

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 3, 5)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        row = self.convolution(z.view(-1, 1, 10, 10)).view(len(z), -1)
        return row.repeat(1, 29)[:, : 3 * 32 * 32].view(-1, 3, 32, 32)


class Noise:
    """Real images, for as long as nobody looks."""

    def next(self) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), np.uint8)


def test_a_teacher_may_see_its_images_as_rows() -> None:
    config = TrainConfig(model="dcgan32", width=16, batch_size=4, threshold=1)
    teacher = Viewing().requires_grad_(False).eval()
    step = TrainingStep(Fabric(accelerator="cpu"), config, build(config, teacher=teacher))
    assert step(0, Noise()).isfinite().all()
