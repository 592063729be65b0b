"""pbgen run: pictures, sounds and arrays through packed networks, each against torch."""

import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_runs import Command, finish, start
from PIL import Image
from torch import Tensor, nn

import pbgen as package

soundfile = pytest.importorskip("soundfile")


class Doubling(nn.Module):
    """A picture of twice the height and width."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 3, padding=1)
        self.up = nn.Conv2d(8, 4 * channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(nn.functional.pixel_shuffle(self.up(torch.relu(self.conv(x))), 2))


class Vocoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose1d(4, 1, 8, 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.up(x))


class Halving(nn.Module):
    """A sound of half the rate."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv1d(1, 1, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.down(x))


class Mixed(nn.Module):
    """Two inputs and noise, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.picture, self.vector = nn.Conv2d(1, 6, 3, padding=1), nn.Linear(5, 6)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        both = self.picture(x) + self.vector(y)[:, :, None, None] + torch.randn_like(x)
        return both, both.mean((2, 3))


class Normed(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.InstanceNorm2d(3), nn.Conv2d(3, 3, 3, padding=1))


class Signed(nn.Module):
    """The picture itself, black as -1 and white as 1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.conv.weight.data.copy_(2 * torch.eye(3)[:, :, None, None])
        self.conv.bias.data.fill_(-1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


MODULES = {
    "doubling": (Doubling, torch.rand(1, 3, 8, 10)),
    "grey": (lambda: Doubling(1), torch.rand(1, 1, 8, 10)),
    "vocoder": (Vocoder, torch.rand(1, 4, 9)),
    "halving": (Halving, torch.rand(1, 1, 32)),
    "mixed": (Mixed, (torch.rand(1, 1, 8, 10), torch.rand(1, 5))),
    "normed": (Normed, torch.rand(1, 3, 8, 10)),
    "signed": (Signed, torch.rand(1, 3, 8, 10)),
    "vector": (lambda: nn.Linear(5, 7), torch.rand(1, 5)),
}


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {name: make().eval() for name, (make, _) in MODULES.items()}


@pytest.fixture(scope="module")
def files(networks: dict[str, nn.Module], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("networks")
    for name, module in networks.items():
        package.pack(module, MODULES[name][1], folder / f"{name}.safetensors")
    return {name: folder / f"{name}.safetensors" for name in networks}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pixels(height: int, width: int, *channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, *channels), dtype=np.uint8)


@torch.no_grad()
def expected_pixels(module: nn.Module, picture: np.ndarray, low: float = 0, high: float = 1) -> np.ndarray:
    x = torch.from_numpy(picture.reshape(*picture.shape[:2], -1)).permute(2, 0, 1)[None] / 255 * (high - low) + low
    made = (module(x)[0] - low) / (high - low) * 255
    return made.clamp(0, 255).round().to(torch.uint8).permute(1, 2, 0).numpy().squeeze()


def assert_like(path: Path, expected: np.ndarray, tolerance: int = 1) -> None:
    made = np.asarray(Image.open(path))
    assert made.shape == expected.shape
    assert np.abs(made.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("ending", ["png", "PNG", "bmp", "tif", "webp", "ppm"])
@pytest.mark.parametrize("options", [[], ["--tile", 16], ["--range=-1:1"], ["--activations", "int8", "--threads", 1]])
def test_a_picture_becomes_a_picture(
    ending: str,
    options: list[object],
    networks: dict[str, nn.Module],
    files: dict[str, Path],
    here: Path,
    pbgen: Command,
) -> None:
    picture = pixels(21, 33, 3)
    Image.fromarray(picture).save("in.png")
    outcome = pbgen("run", files["doubling"], "in.png", "-o", f"out.{ending}", *options)
    assert outcome.code == 0 and outcome.out == f"out.{ending}: 1 file\n", outcome.err
    scale = (-1, 1) if "--range=-1:1" in options else (0, 1)
    lossy = 40 if ending == "webp" else 4 if "int8" in options else 1
    assert_like(here / f"out.{ending}", expected_pixels(networks["doubling"], picture, *scale), lossy)


def test_a_range_that_is_not_the_networks(files: dict[str, Path], here: Path, pbgen: Command) -> None:
    folder = here / "in"
    folder.mkdir()
    for number, dark in enumerate((1, 2)):
        Image.fromarray(pixels(20, 30, 3) // dark).save(folder / f"{number}.png")
    outcome = pbgen("run", files["signed"], "in", "-o", "out")
    assert outcome.code == 0 and outcome.out == "out: 2 files\n"
    (line,) = outcome.err.splitlines()[-1:]
    assert line.startswith("pbgen: --range 0:1: 89%") and "of out/1.png lie outside it" in line and "-1:1" in line
    assert outcome.err.count("--range") == 1
    assert "--range" not in pbgen("run", files["doubling"], "in/0.png", "-o", "out.png").err


def test_channels_transparency_and_turns(
    networks: dict[str, nn.Module], files: dict[str, Path], here: Path, pbgen: Command
) -> None:
    picture = pixels(12, 17, 3)
    Image.fromarray(picture).save("colour.png")
    grey = np.asarray(Image.fromarray(picture).convert("L"))
    assert pbgen("run", files["grey"], "colour.png", "-o", "grey.png").code == 0
    assert_like(here / "grey.png", expected_pixels(networks["grey"], grey))
    Image.fromarray(grey).save("in.png")
    assert pbgen("run", files["doubling"], "in.png", "-o", "three.png").code == 0
    assert_like(here / "three.png", expected_pixels(networks["doubling"], np.stack([grey] * 3, 2)))
    clear = np.dstack([picture, np.zeros((12, 17), np.uint8)])
    exif = Image.Exif()
    exif[0x112] = 6  # to be turned to the right
    Image.fromarray(clear).save("in.png", exif=exif)
    assert pbgen("run", files["doubling"], "in.png", "-o", "white.png").code == 0
    assert_like(here / "white.png", expected_pixels(networks["doubling"], np.full((17, 12, 3), 255, np.uint8)))


@torch.no_grad()
def test_arrays(networks: dict[str, nn.Module], files: dict[str, Path], here: Path, pbgen: Command) -> None:
    batch = np.random.default_rng(0).random((3, 3, 9, 11), np.float32)
    expected = networks["doubling"](torch.from_numpy(batch)).numpy()
    for given, wanted in ((batch, expected), (batch[0], expected[0]), (batch[:0], expected[:0])):
        np.save("in.npy", given)
        assert pbgen("run", files["doubling"], "in.npy", "-o", "out.npy").code == 0
        made = np.load("out.npy")
        assert made.dtype == np.float32 and made.shape == wanted.shape
        np.testing.assert_allclose(made, wanted, rtol=0, atol=1e-5)
    np.save("in.npy", batch[:1])
    assert pbgen("run", files["doubling"], "in.npy", "-o", "out.png").code == 0, "a batch of one is a picture"


def test_several_inputs_noise_and_outputs(files: dict[str, Path], here: Path, pbgen: Command) -> None:
    engine = package.Engine(files["mixed"])
    (drawn,) = engine.noise
    x, y = np.random.default_rng(0).random((1, 8, 9), np.float32), np.zeros(5, np.float32)
    names = [source.name for source in engine.inputs]
    np.savez("in.npz", **dict(zip(names, (x, y), strict=True)))
    assert pbgen("run", files["mixed"], "in.npz", "-o", "out.npz", "--seed", 4).code == 0
    for name, value in zip(engine.outputs, engine(x[None], y[None], seed=4), strict=True):
        assert np.array_equal(np.load("out.npz")[name], value[0])
    still = np.zeros((1, 8, 9), np.float32)
    np.savez("in.npz", **dict(zip([*names, drawn.name], (x, y, still), strict=True)))
    assert pbgen("run", files["mixed"], "in.npz", "-o", "out.npz").code == 0
    made = engine(x[None], y[None], noise={drawn.name: still[None]})
    assert np.array_equal(np.load("out.npz")[next(iter(engine.outputs))], made[0][0])


@torch.no_grad()
def test_sounds(networks: dict[str, nn.Module], files: dict[str, Path], here: Path, pbgen: Command) -> None:
    mel = np.random.default_rng(0).standard_normal((4, 50)).astype(np.float32)
    np.save("mel.npy", mel)
    assert pbgen("run", files["vocoder"], "mel.npy", "-o", "out.wav", "--rate", 16000).code == 0
    with wave.open("out.wav") as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getnframes()) == (16000, 1, 200)
        samples = np.frombuffer(sound.readframes(200), np.int16) / 2**15
    np.testing.assert_allclose(samples, networks["vocoder"](torch.from_numpy(mel)[None])[0, 0], atol=1e-4)
    stereo = np.random.default_rng(0).uniform(-1, 1, (1000, 2)).astype(np.float32)
    soundfile.write("in.wav", stereo, 8000, subtype="FLOAT")
    for ending, tolerance in (("wav", 1e-4), ("flac", 1e-4)):
        assert pbgen("run", files["halving"], "in.wav", "-o", f"out.{ending}").code == 0
        samples, rate = soundfile.read(f"out.{ending}")
        expected = networks["halving"](torch.from_numpy(stereo.mean(1))[None, None])[0, 0]
        assert rate == 4000
        np.testing.assert_allclose(samples, expected, atol=tolerance)
    assert pbgen("run", files["halving"], "in.wav", "-o", "out.ogg").code == 0
    assert soundfile.info("out.ogg").frames == 500


def test_a_folder(networks: dict[str, nn.Module], files: dict[str, Path], here: Path, pbgen: Command) -> None:
    Path("in").mkdir()
    given = {"a": pixels(8, 9, 3), "b": pixels(13, 7, 3)}
    Image.fromarray(given["a"]).save("in/a.png")
    Image.fromarray(given["b"]).save("in/b.gif")
    Path("in/notes.txt").write_text("no picture")
    outcome = pbgen("run", files["doubling"], "in", "-o", "out")
    assert outcome.code == 2 and "b.gif: its name must end in one of .png" in outcome.err and not Path("out").exists()
    outcome = pbgen("run", files["doubling"], "in", "-o", "out", "--ending", ".png")
    assert outcome.code == 0 and outcome.out == "out: 2 files\n"
    assert "running 1/2" in outcome.err and "running 2/2" in outcome.err
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "b.png"]
    assert_like(Path("out/a.png"), expected_pixels(networks["doubling"], given["a"]))
    assert_like(
        Path("out/b.png"), expected_pixels(networks["doubling"], np.asarray(Image.open("in/b.gif").convert("RGB")))
    )


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs the most memory that a process had, as Linux tells it"
)
def test_a_large_picture_is_made_in_tiles_by_itself(files: dict[str, Path], here: Path) -> None:
    """6 million pixels; the whole would take 16 channels of 4 bytes each for the layers between."""
    picture = np.zeros((2000, 3000, 3), np.uint8)
    picture[::7, ::5] = 200
    Image.fromarray(picture).save("in.png", compress_level=1)
    # Not getrusage's, which begins with what the process that started this one had.
    report = (
        "import atexit, pathlib, re, sys\n"
        "status = pathlib.Path('/proc/self/status')\n"
        "most = lambda: int(re.search('VmHWM: *\\t* *([0-9]+)', status.read_text())[1])\n"
        "atexit.register(lambda: print(most() // 1024, file=sys.stderr))"
    )
    outcome = finish(start("run", files["doubling"], "in.png", "-o", "out.png", before=report))
    assert outcome.code == 0, outcome.err
    with Image.open("out.png") as made:
        assert made.size == (6000, 4000)
        part = np.asarray(made.crop((700, 700, 900, 900))).astype(int)
    whole = package.Engine(files["doubling"])(
        np.ascontiguousarray(picture[300:500, 300:500].transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    )[0, :, 100:300, 100:300]
    assert np.abs(part - (whole * 255).round().transpose(1, 2, 0)).max() <= 1
    arrays = (2000 * 3000 + 4000 * 6000) * 3 * 4 + 4000 * 6000 * 3 * 2
    peak = int(outcome.err.split()[-1])
    assert peak < arrays / 2**20 + 250, "MB: input and output, the picture, Python, and not the layers between"
    assert "running 48/48" in outcome.err


def test_what_is_not_local_is_made_whole(files: dict[str, Path], here: Path, pbgen: Command) -> None:
    np.save("in.npy", np.random.default_rng(0).random((3, 800, 700), np.float32))
    assert pbgen("run", files["normed"], "in.npy", "-o", "out.npy").code == 0
    outcome = pbgen("run", files["normed"], "in.npy", "-o", "out.npy", "--tile", 100)
    assert outcome.code == 2 and outcome.err.startswith("pbgen: in.npy: ") and outcome.err.count("\n") == 1


REFUSED = [
    ("doubling in.png", "Missing option '--output'"),
    ("doubling missing.png -o out.png", "missing.png: there is no such file or folder"),
    ("doubling in.png -o out", "out: its name must end in one of .png"),
    ("doubling in.png -o out.gif", "out.gif: its name must end in one of .png"),
    ("doubling in.png -o out.wav", "out.wav: the network makes (3, any, any), no sound; give a name that ends in .npy"),
    ("doubling in.png -o in.png", "--output in.png: is what is read; give another"),
    ("doubling in.png -o none/out.png", "--output none/out.png: there is no folder none; make it first"),
    ("doubling in.png -o folder.png", "--output folder.png: is a folder"),
    ("doubling in.png -o out.png --ending .png", "--ending: is for folders"),
    ("doubling in.png -o out.png --range 1", "--range 1: give the numbers for black and white, such as 0:1"),
    ("doubling in.png -o out.png --range 1:1", "--range 1:1: give"),
    ("doubling in.png -o out.png --range nan:1", "--range nan:1: give"),
    ("doubling in.png -o out.png --tile 0", "Invalid value for '--tile'"),
    ("doubling in.png -o out.png --threads 5000", "threads=5000: must be 1 to 1024"),
    ("doubling in.png -o out.png --activations int4", "'int4' is not one of"),
    ("doubling notes.txt -o out.png", "notes.txt: its name must end in one of .png"),
    ("doubling noise.png -o out.png", "noise.png: is no picture that can be read"),
    ("doubling half.png -o out.png", "half.png: cannot be read as a picture: "),
    ("doubling noise.npy -o out.png", "noise.npy: cannot be read as arrays of numbers: "),
    ("doubling noise.npz -o out.npz", "noise.npz: cannot be read as arrays of numbers: "),
    ("doubling objects.npy -o out.npy", "objects.npy: cannot be read as arrays of numbers: "),
    ("doubling in.wav -o out.png", "in.wav: the network takes (3, any, any), no sound of (channels, samples)"),
    ("doubling grey.npy -o out.npy", "grey.npy: x: has the shape (1, 1, 9, 9); it must be (N, 3, any, any)"),
    ("doubling two.npy -o out.png", "out.png: holds one image or sound; give a name that ends in .npy for several"),
    ("doubling nan.npy -o out.png", "out.png: the network makes values that are no numbers (NaN)"),
    ("doubling words.npy -o out.npy", "words.npy: x: holds <U1, not real numbers"),
    ("halving noise.wav -o out.wav", "noise.wav: cannot be read as a sound: "),
    ("halving empty.wav -o out.wav", "empty.wav: "),
    ("halving in.png -o out.wav", "in.png: the network takes (1, any), no picture; give a .npy"),
    ("halving in.npy -o out.wav", "in.npy: "),
    ("vocoder mel.npy -o out.png", "out.png: the network makes (1, any), no picture"),
    ("vocoder mel.npy -o out.wav --rate 0", "Invalid value for '--rate'"),
    ("mixed in.png -o out.npz", "in.png: the network takes x, y; give a .npz with these"),
    ("mixed lacking.npz -o out.npz", "lacking.npz: has no 'y'; the network takes x, y"),
    ("mixed uneven.npz -o out.npz", "uneven.npz: some arrays have the dimension of the batch and others have not"),
    ("mixed lacking.npz -o out.npy", "out.npy: the network makes output_0, output_1; give a name that ends in .npz"),
    ("vector in.npy -o out.png", "out.png: the network makes (7), no picture"),
    ("doubling bare -o out", "bare: holds no picture, sound or array; their names end in .png"),
    ("doubling twins -o out --ending .png", "would both become out/a.png; rename one, or leave out --ending"),
    ("doubling twins -o out --ending png", "--ending png: give one of .png"),
    ("doubling twins -o in.png", "--output in.png: is a file; IN is a folder, so give a folder"),
    ("doubling twins -o twins", "--output twins: is what is read; give another"),
    ("doubling twins -o none/out", "--output none/out: cannot make this folder: No such file or directory"),
    ("missing in.png -o out.png", "missing: does not exist"),
]


@pytest.fixture
def workplace(here: Path) -> None:
    """Files that are what they should be, and others."""
    Image.fromarray(pixels(9, 9, 3)).save("in.png")
    Path("half.png").write_bytes(Path("in.png").read_bytes()[:150])
    Path("folder.png").mkdir()
    for folder in ("bare", "twins"):
        Path(folder).mkdir()
    for name in ("twins/a.png", "twins/a.bmp"):
        Image.fromarray(pixels(9, 9, 3)).save(name)
    for name in ("notes.txt", "noise.png", "noise.npy", "noise.npz", "noise.wav"):
        Path(name).write_bytes(bytes(range(256)))
    np.save("in.npy", np.zeros((3, 9, 9), np.float32))
    np.save("grey.npy", np.zeros((1, 9, 9), np.float32))
    np.save("two.npy", np.zeros((2, 3, 9, 9), np.float32))
    np.save("nan.npy", np.full((3, 9, 9), np.nan, np.float32))
    np.save("words.npy", np.full((3, 9, 9), "a"))
    np.save("objects.npy", np.array([{}], object), allow_pickle=True)
    np.save("mel.npy", np.zeros((4, 9), np.float32))
    np.savez("lacking.npz", x=np.zeros((1, 9, 9), np.float32))
    np.savez("uneven.npz", x=np.zeros((1, 9, 9), np.float32), y=np.zeros((1, 5), np.float32))
    soundfile.write("in.wav", np.zeros((100, 1)), 8000)
    soundfile.write("empty.wav", np.zeros((0, 1)), 8000)


@pytest.mark.parametrize("arguments, said", REFUSED, ids=[arguments for arguments, _ in REFUSED])
def test_one_line_and_code_2(
    arguments: str, said: str, workplace: None, files: dict[str, Path], pbgen: Command, here: Path
) -> None:
    network, *rest = arguments.split()
    before = sorted(here.rglob("*"))
    outcome = pbgen("run", files.get(network, network), *rest)
    assert outcome.code == 2 and said in outcome.err, outcome.err
    lines = [line for line in outcome.err.splitlines() if not line.startswith("running ")]
    assert len(lines) == 1 and lines[0].startswith("pbgen: ")
    assert sorted(here.rglob("*")) == before


def test_no_torch_is_needed(files: dict[str, Path], here: Path) -> None:
    Image.fromarray(pixels(9, 9, 3)).save("in.png")
    blocked = "import sys\nfor name in ('torch', 'safetensors', 'matplotlib'): sys.modules[name] = None"
    outcome = finish(start("run", files["doubling"], "in.png", "-o", "out.png", before=blocked))
    assert outcome.code == 0, outcome.err
