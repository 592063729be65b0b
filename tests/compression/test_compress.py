"""The whole: a float module in, a small file out that makes nearly its images."""

import os
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import pbgen
from pbgen.compression import CompressionStopped, compress
from pbgen.errors import PBGenError, PBGenWarning
from pbgen.report.html import page


def stop_at(step: int) -> Callable[[int, int, Mapping[str, float]], None]:
    """Progress that presses Ctrl-C."""

    def progress(done: int, total: int, row: Mapping[str, float]) -> None:
        if row and done == step:
            os.kill(os.getpid(), signal.SIGINT)

    return progress


def test_a_file_that_makes_nearly_the_same(network: nn.Module, batches: list[Tensor], tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    info = pbgen.compress(network, batches, tmp_path / "g.safetensors", bits=4, steps=40)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert info.packed_bytes == (tmp_path / "g.safetensors").stat().st_size and info.finished
    assert info.psnr.worst <= info.psnr.median and info.psnr.median > 32
    assert info.curve[-1].step == 40 and max(point.psnr.median for point in info.curve) > info.curve[0].psnr.median
    assert {layer.name: layer.bits for layer in info.layers} == {k: min(b, 16) for k, b in info.bits.items()}
    x = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        made, right = torch.from_numpy(pbgen.Engine(tmp_path / "g.safetensors")(x.numpy())), network(x)
    assert -10 * (made - right).square().mean().log10() > 28


def test_as_large_as_asked(network: nn.Module, batches: list[Tensor], tmp_path: Path) -> None:
    with pytest.raises(PBGenError, match=r"^target_bytes 100: below what is possible; .* the file has \d+$") as caught:
        compress(network, batches, tmp_path / "g.safetensors", target_bytes=100, steps=1)
    least = int(str(caught.value).split()[-1])
    sizes = []
    for more in (0, 300, 5000):
        info = compress(network, batches, tmp_path / "g.safetensors", target_bytes=least + more, steps=1)
        assert info.packed_bytes <= least + more
        sizes.append(info.packed_bytes)
    assert sizes == sorted(sizes) and info.bits == {"0": 32, "2": 32, "5": 32}


def test_as_near_as_asked(network: nn.Module, batches: list[Tensor], tmp_path: Path) -> None:
    sizes = []
    for psnr in (20, 30, 40):
        info = compress(network, batches, tmp_path / "g.safetensors", target_psnr=psnr, steps=1)
        assert info.curve[0].psnr.median >= psnr
        sizes.append(info.packed_bytes)
    assert sizes == sorted(set(sizes))
    with pytest.raises(PBGenError, match=r"^target_psnr 119: above what is possible; in float16 it has \d+\.\d dB$"):
        compress(network, batches, tmp_path / "g.safetensors", target_psnr=119, steps=1)


def test_stopped_and_resumed_it_ends_the_same(network: nn.Module, batches: list[Tensor], tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    info = compress(network, batches, whole, bits=2, steps=30)
    with pytest.raises(CompressionStopped) as stopped:
        compress(network, batches, parts, bits=2, steps=30, progress=stop_at(11))
    assert not stopped.value.info.finished and stopped.value.state.exists()
    step = stopped.value.info.curve[-1].step
    assert step in (11, 12) and parts.exists()  # the best so far is packed
    (told,) = traceback.format_exception_only(stopped.value)
    psnr = stopped.value.info.psnr
    assert told.endswith(f": stopped at step {step}, PSNR {psnr}; {parts} is the best so far; go on with resume=True\n")
    again = compress(network, batches, parts, bits=2, steps=30, resume=True)
    assert [point.step for point in again.curve] == [point.step for point in info.curve] and again.psnr == info.psnr
    assert parts.read_bytes() == whole.read_bytes() and not stopped.value.state.exists()


def test_latents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbgen.compression.judge._JUDGED_BY", 128)
    torch.manual_seed(0)
    generator = pbgen.models.create("dcgan32", width=16, latent=8, kernel_size=4)[0].eval()
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    info = compress(generator, "noise", whole, bits=2, steps=3)
    assert info.distances.swd is not None and info.distances.floor is not None
    assert 0 < info.distances.floor < info.distances.swd
    with pytest.raises(CompressionStopped):
        compress(generator, "noise", parts, bits=2, steps=3, progress=stop_at(1))
    compress(generator, "noise", parts, bits=2, steps=3, resume=True)
    assert parts.read_bytes() == whole.read_bytes()


class Logistic(nn.Module):
    """Comes to rest with its rates, 2, and never does with rates above 3.57."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.rates = nn.Conv2d(3, 16, 3, padding=1), nn.Parameter(torch.full((16, 1, 1), 2.0))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.sigmoid(self.layer(x))
        for _ in range(60):
            y = (self.rates * y * (1 - y)).clamp(0, 1)
        return y + self.layer(x)


def test_chaos_in_random_numbers_is_none_of_the_module_s(batches: list[Tensor], tmp_path: Path) -> None:
    torch.manual_seed(0)
    info = compress(Logistic().eval(), batches, tmp_path / "g.safetensors", steps=1)
    assert info.psnr.median > 20


def test_as_large_as_asked_where_layers_begin_alike(tmp_path: Path) -> None:
    """Shifts that all begin at 0, and norms of ones: a file has each of these once, until they have learned."""
    torch.manual_seed(0)
    parts = [part for _ in range(6) for part in (nn.Conv2d(8, 8, 3, bias=False), nn.GroupNorm(2, 8), nn.ReLU())]
    network, batches = nn.Sequential(*parts).eval(), [torch.randn(8, 8, 16, 16)]
    info = compress(network, batches, tmp_path / "g.safetensors", target_bytes=12_000, steps=30)
    assert info.packed_bytes <= 12_000


class Vocoder(nn.Module):
    input_shape = (4, 64)

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose1d(4, 6, 32, 16, 8)
        self.out = nn.ConvTranspose1d(6, 1, 8, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.out(torch.relu(self.up(x))))


class Two(nn.Module):
    """Two inputs, two outputs, and a weight in code of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 5))
        self.last = nn.Linear(6, 4)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.relu(nn.functional.linear(x, self.weight))
        return self.last(h), h + y


def test_so_many_minutes_of_batches_without_end(network: nn.Module, tmp_path: Path) -> None:
    def batches() -> Iterator[Tensor]:
        while True:
            yield torch.rand(512, 3, 8, 8)

    info = compress(network, batches(), tmp_path / "g.safetensors", minutes=0.005)
    assert info.finished and info.curve[-1].step > 0 and info.seconds >= 0.3


@pytest.fixture
def factors(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """Of the losses of some steps, as a flat picture before many instance norms has them."""
    factors: dict[int, float] = {}
    steps: list[int] = []

    def distance(made: Tensor, right: Tensor, variance: float) -> Tensor:
        steps.append(0)
        return (made - right).square().mean() / variance * factors.get(len(steps), 1.0)

    monkeypatch.setattr("pbgen.compression.lesson._loss", distance)
    return factors


@pytest.mark.parametrize("factor", [float("nan"), 1e12])
def test_a_gradient_without_measure_does_not_stop_the_learning(
    factor: float,
    factors: dict[int, float],
    network: nn.Module,
    batches: list[Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pbgen.compression.closed_form._MOST_MET", 0)  # so that there is something left to learn
    factors.update({3: factor, 20: factor})  # longer than 1e19, a length is not finite
    info = compress(network, batches, tmp_path / "g.safetensors", steps=60)
    assert info.psnr.median > info.curve[0].psnr.median + 1.5


def test_what_is_not_finite_is_not_learned(
    factors: dict[int, float], network: nn.Module, batches: list[Tensor], tmp_path: Path
) -> None:
    factors.update(dict.fromkeys(range(5, 30), float("nan")))
    with pytest.warns(PBGenWarning, match="the gradient is no longer finite at step 23; the best before is kept"):
        info = compress(network, batches, tmp_path / "g.safetensors", steps=40)
    assert info.psnr.median > 10 and (tmp_path / "g.safetensors").exists()


class Noisy(nn.Module):
    """Draws random numbers, as StyleGAN does."""

    input_shape = (8,)

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 32), nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.relu(self.a(x) + torch.randn(len(x), 32)))


def test_random_numbers_are_the_same_for_both(tmp_path: Path) -> None:
    torch.manual_seed(0)
    info = compress(Noisy(), "noise", tmp_path / "n.safetensors", bits=4, steps=20)
    assert info.psnr.median > 25


@pytest.fixture
def few_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbgen.compression.quick_engines", lambda: ["pbgen"])


@pytest.mark.usefixtures("few_engines")
def test_sounds(tmp_path: Path) -> None:
    torch.manual_seed(0)
    info = compress(Vocoder(), "noise", tmp_path / "v.safetensors", bits=3, steps=2, report=tmp_path / "v.html")
    assert info.distances.log_mel is not None and info.distances.log_mel > 0 and info.distances.swd is None
    assert "nobody has listened" in (tmp_path / "v.html").read_text()


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    given = [(torch.randn(4, 5), torch.randn(4, 6)) for _ in range(4)]
    info = compress(Two(), given, tmp_path / "t.safetensors", bits=2, steps=2)
    assert set(info.bits) == {"weight", "last"}


def test_a_report_where_engines_disagree(
    network: nn.Module, batches: list[Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disagree(*_: object, **__: object) -> None:
        raise PBGenError("PBGen int8 makes other images than PBGen")

    monkeypatch.setattr("pbgen.compression.compare", disagree)
    with pytest.warns(PBGenWarning, match="^the report compares no engines, as on noise PBGen int8 makes other images"):
        compress(network, batches, tmp_path / "g.safetensors", steps=1, report=tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "How it learned" in text and "What it needs" not in text


@pytest.mark.usefixtures("few_engines")
def test_the_report(network: nn.Module, batches: list[Tensor], tmp_path: Path) -> None:
    from html.parser import HTMLParser

    compress(network, batches, tmp_path / "g.safetensors", steps=2, report=tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    seen: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append(tag)
            for name, value in attrs:
                assert not (name in ("src", "href") and value and not value.startswith(("data:", "#"))), (
                    "self-contained"
                )

    Parser().feed(text)
    assert (
        seen.count("img") == 3
        and "svg" in seen
        and "What it needs" in text
        and "table" in seen
        and page("", "", [])[:15] == text[:15]
    )


def test_norms_and_pruning_are_taken_as_they_are(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 4)
    torch.nn.utils.parametrizations.weight_norm(layers[0])
    torch.nn.utils.parametrizations.spectral_norm(layers[1])
    torch.nn.utils.prune.random_unstructured(layers[2], "weight", 0.5)
    module = nn.Sequential(*layers).eval()
    info = compress(module, [torch.randn(16, 6)], tmp_path / "g.safetensors", bits=3, steps=2)
    assert len(info.bits) == 3 and info.psnr.median > 15


class Standardized(nn.Conv2d):
    """Its weight is derived as it runs: what would be binary is not what it computes with."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight / weight.std((1, 2, 3), keepdim=True), self.bias)


def test_derived_weights_stay_in_float(network: nn.Sequential, batches: list[Tensor], tmp_path: Path) -> None:
    network[2] = Standardized(8, 12, 3, padding=1)
    info = compress(network, batches, tmp_path / "g.safetensors", bits=2, steps=2)
    assert info.bits["2"] == 32 and info.bits["0"] < 32 and "2" not in info.errors
    with pytest.raises(PBGenError, match=r"^Sequential: no layer to compress; layer '0': its binary weights are not"):
        compress(nn.Sequential(network[2]), [torch.rand(4, 8, 8, 8)], tmp_path / "g.safetensors", steps=2)


class Shared(nn.Module):
    """All its weights are one, which cannot become binary."""

    input_shape = (4,)

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x))


class Ungraded(nn.Module):
    """Makes of its outputs what has no gradient."""

    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.end = nn.Linear(3, 2), end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.layer(x))


class Gate(nn.Module):
    """Of its input, in place on what the gradient of its last operator needs, or not."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.layers, self.in_place = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 6)), in_place

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x).sigmoid()
        return y.mul_(x) if self.in_place else y * x


def test_what_is_written_in_place_is_learned_like_what_is_not(tmp_path) -> None:
    batches = [torch.randn(16, 6) for _ in range(3)]
    found = []
    for in_place in (True, False):
        torch.manual_seed(0)
        found.append(compress(Gate(in_place), batches, tmp_path / "g.safetensors", bits=2, steps=4))
    assert found[0].psnr == found[1].psnr


def classed() -> nn.Module:
    module = nn.Bilinear(3, 1, 2)
    module.example_input = torch.zeros(1, 3), torch.tensor([[3]])
    return module


@torch.no_grad()
def cut(x: Tensor) -> Tensor:
    return x + 1


@pytest.mark.parametrize(
    ("make", "inputs", "options", "message"),
    [
        (
            lambda: Ungraded(torch.round),
            [torch.randn(4, 3)],
            {},
            r"^Ungraded: nothing can be learned, as its output has",
        ),
        (
            lambda: Ungraded(Tensor.byte),
            [torch.ones(4, 3)],
            {},
            r"^Ungraded: nothing can be learned, as its output has",
        ),
        (lambda: Ungraded(cut), [torch.ones(4, 3)], {}, r"^Ungraded: nothing can be learned, as its output has no"),
        (lambda: nn.Linear(3, 2), "noise", {}, r"^inputs noise: Linear has no input_shape"),
        (
            classed,
            "noise",
            {},
            r"^inputs noise: input 2 of Bilinear takes integers, and noise is none; give batches, or",
        ),
        (lambda: nn.Linear(3, 2), "pictures", {}, r"^inputs 'pictures': give \"noise\" or batches"),
        (lambda: nn.Linear(3, 2), 3, {}, r"^inputs: got int; give \"noise\" or batches"),
        (lambda: nn.Linear(3, 2), [], {}, r"^inputs: 0 of them; give two or more"),
        (lambda: nn.Linear(3, 2), [torch.ones(1, 3)], {}, r"^inputs: 1 of them; give two or more"),
        (lambda: nn.Linear(3, 2), ["a"], {}, r"^inputs: batch 0 is str; give tensors"),
        (lambda: nn.Linear(3, 2), [(torch.ones(2, 3), torch.ones(3, 3))], {}, r"^inputs: batch 0 holds \[2, 3\]"),
        (lambda: nn.Linear(3, 2), [torch.ones(4, 5)], {}, r"^inputs: Linear fails on an input of shape \[1, 5\]: "),
        (
            Vocoder,
            [torch.ones(4, 5, 9)],
            {},
            r"^inputs: Vocoder fails on an input of .*; its input_shape is \(\d+, \d+\)$",
        ),
        (
            lambda: nn.Linear(3, 2),
            [torch.full((4, 3), torch.inf)],
            {},
            r"^inputs: Linear makes of them numbers that are not finite; give what it was trained on, such as",
        ),
        (lambda: nn.PReLU(3), [torch.ones(4, 3)], {}, r"^PReLU: nothing to plan"),
        (Shared, "noise", {}, r"^Shared: no layer to compress; layer 'a': shares its weight with 'b'"),
        (lambda: nn.Linear(3, 2), [torch.ones(4, 3)], {"bits": 5}, r"^bits 5: must be 1 to 4"),
        (lambda: nn.Linear(3, 2), [torch.ones(4, 3)], {"bits": 1, "target_bytes": 9}, r"^bits, target_bytes: give one"),
        (lambda: nn.Linear(3, 2), [torch.ones(4, 3)], {"target_bytes": 0}, r"^target_bytes 0: must be"),
        (lambda: nn.Linear(3, 2), [torch.ones(4, 3)], {"target_psnr": 30, "bits": 2}, r"^bits, target_psnr: give one"),
        (lambda: nn.Linear(3, 2), [torch.ones(4, 3)], {"target_psnr": 0}, r"^target_psnr 0: must be"),
        (lambda: nn.Linear(3, 2), [torch.ones(4, 3)], {"target_psnr": float("nan")}, r"^target_psnr nan: must be"),
        (lambda: nn.Linear(3, 2), [torch.ones(4, 3)], {"steps": 0}, r"^steps 0: must be"),
        (lambda: nn.Linear(3, 2), [torch.ones(4, 3)], {"minutes": float("nan")}, r"^minutes nan: must be"),
        (lambda: nn.Linear(3, 2), [torch.ones(4, 3)], {"steps": 1, "minutes": 1}, r"^steps, minutes: give one"),
        (lambda: nn.Linear(3, 2), [torch.randn(8, 3)], {"steps": 1, "resume": True}, r"there is nothing to go on from"),
    ],
)
def test_refused(make, inputs, options, message, tmp_path):
    with pytest.raises(PBGenError, match=message) as caught:
        compress(make(), inputs, tmp_path / "g.safetensors", **options)
    assert "\n" not in str(caught.value) and not (tmp_path / "g.safetensors").exists()


def test_binary_modules_are_refused(network: nn.Module, batches: list[Tensor], tmp_path: Path) -> None:
    pbgen.binarize(network, ["2"])
    with pytest.raises(PBGenError, match=r"^layer '2': binary already; pbgen\.pack makes it small"):
        compress(network, batches, tmp_path / "g.safetensors")


def test_a_state_of_something_else(network: nn.Module, batches: list[Tensor], tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    with pytest.raises(CompressionStopped) as stopped:
        compress(network, batches, path, bits=2, steps=30, progress=stop_at(3))
    with pytest.raises(
        PBGenError, match=r"g\.safetensors\.resume: was begun with another module, other inputs or other"
    ):
        compress(network, batches, path, target_bytes=10**6, steps=30, resume=True)
    stopped.value.state.write_bytes(b"junk")
    with pytest.raises(PBGenError, match=r"g\.safetensors\.resume: damaged; remove it"):
        compress(network, batches, path, bits=2, steps=30, resume=True)
