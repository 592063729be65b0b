"""pbgen-run, the program without Python: the pictures that `pbgen generate` makes, and one line for bad input."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from builds import CORE, core, needs_cmake
from generators import dcgan, every_operator
from packed_files import Layer, node, write
from PIL import Image

import pbgen
from pbgen import Engine
from pbgen.cli import main
from pbgen.latents import latents
from pbgen.pictures import Range, image_grid, to_pixels

pytestmark = needs_cmake

MOST_BYTES = 1_350_000


@pytest.fixture(scope="module")
def program() -> Path:
    return core() / "run" / "pbgen-run"


def start(program: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60)


def draw(program: Path, *arguments: object) -> None:
    outcome = start(program, *arguments)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        picture.load()  # checks the sums
        return np.asarray(picture)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("count", "seed"), [(1, 0), (3, 1), (8, 2), (9, 3), (37, 2**64 - 1)])
def test_the_same_picture_as_generate(count: int, seed: int, channels: int, program: Path, tmp_path: Path) -> None:
    file = every_operator(tmp_path / "g.safetensors", channels)
    draw(program, file, "--seed", seed, "--count", count, "-o", tmp_path / "c.png")
    arguments = [file, "--seed", seed, "-n", count, "-o", tmp_path / "python.png"]
    assert main(["generate", *map(str, arguments)]) == 0
    ours, theirs = pixels(tmp_path / "c.png"), pixels(tmp_path / "python.png")
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    # A latent vector may differ in its last bit, and by that a sum that lies between two of the 256 levels.
    assert np.abs(ours.astype(int) - theirs).max() <= 1 and (ours != theirs).mean() < 1e-3


@pytest.mark.parametrize("activations", ["float32", "int8"])
def test_activations_and_threads(activations: str, program: Path, tmp_path: Path) -> None:
    file = dcgan(tmp_path / "g.safetensors")
    draw(program, file, "-n", 20, "--activations", activations, "--threads=3", "-o", tmp_path / "c.png")
    images = to_pixels(Engine(file, activations=activations)(latents(0, 20, (20, 1, 1))))
    difference = np.abs(pixels(tmp_path / "c.png").astype(int) - np.asarray(image_grid(images)))
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-2


@pytest.mark.parametrize("ends", [Range(-1, 1), Range(0, 1), Range(0, 255), Range(-0.3, 2.5e3)], ids=str)
def test_every_level_and_what_lies_outside(ends: Range, program: Path, tmp_path: Path) -> None:
    """A generator of fixed pictures: values at, between and beyond the 256 levels become what NumPy makes of them."""
    within = np.concatenate([np.linspace(-0.1, 1.1, 4093), [0, 0.5, 1]])
    values = (ends.low + within * (ends.high - ends.low)).astype(np.float32)
    nodes = [node("constant", [], (1, 64, 64), tensor="values")]
    file = write(tmp_path / "g.safetensors", (1,), nodes, {"values": values.reshape(1, 1, 64, 64)})
    draw(program, file, "-n", 1, "--range", f"{ends.low:g}:{ends.high:g}", "-o", tmp_path / "c.png")
    assert (pixels(tmp_path / "c.png") == to_pixels(values, ends).reshape(64, 64)).all()


def test_a_picture_of_many_blocks(program: Path, tmp_path: Path) -> None:
    """A stored deflate block holds 65,535 bytes at most."""
    file = dcgan(tmp_path / "g.safetensors")
    draw(program, file, "--count=200", f"--output={tmp_path / 'c.png'}")
    images = to_pixels(Engine(file)(latents(0, 200, (20, 1, 1))))
    assert pixels(tmp_path / "c.png").shape == np.asarray(image_grid(images)).shape == (848, 270, 3)


def test_an_old_picture_is_replaced_whole_or_not_at_all(program: Path, tmp_path: Path) -> None:
    file, picture = every_operator(tmp_path / "g.safetensors"), tmp_path / "c.png"
    picture.write_text("old")
    draw(program, file, "-o", picture)
    assert pixels(picture).shape == (62, 142, 3)
    assert start(program, file, "-o", tmp_path / "none" / "c.png").returncode == 2
    assert {path.name for path in tmp_path.iterdir()} == {"g.safetensors", "c.png"}


@pytest.mark.parametrize("exists", [True, False])
def test_links_are_followed_and_names_may_be_long(exists: bool, program: Path, tmp_path: Path) -> None:
    file, picture = every_operator(tmp_path / "g.safetensors"), tmp_path / "folder" / ("a" * 251 + ".png")
    picture.parent.mkdir()
    if exists:
        picture.write_text("old")
    (tmp_path / "folder" / "near.png").symlink_to(picture.name)
    (tmp_path / "far.png").symlink_to("folder/near.png")
    draw(program, file, "-o", tmp_path / "far.png")
    assert pixels(picture).shape == (62, 142, 3) and (tmp_path / "far.png").is_symlink()
    assert {path.name for path in picture.parent.iterdir()} == {picture.name, "near.png"}


def test_modes(program: Path, tmp_path: Path) -> None:
    file, new, old = every_operator(tmp_path / "g.safetensors"), tmp_path / "new.png", tmp_path / "old.png"
    old.write_text("old")
    old.chmod(0o604)
    for picture in (new, old):
        subprocess.run([program, file, "-o", picture], umask=0o027, check=True)
    assert [picture.stat().st_mode & 0o777 for picture in (new, old)] == [0o640, 0o604]


def test_pipes_and_devices_stay(program: Path, tmp_path: Path) -> None:
    file, pipe, null = every_operator(tmp_path / "g.safetensors"), tmp_path / "pipe.png", tmp_path / "null.png"
    draw(program, file, "-o", tmp_path / "c.png")
    os.mkfifo(pipe)
    null.symlink_to(os.devnull)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_bytes)
        draw(program, file, "-o", pipe)
        assert read.result() == (tmp_path / "c.png").read_bytes()
    draw(program, file, "-o", null)
    assert pipe.is_fifo() and null.is_char_device()


def test_a_full_disk_keeps_the_old_picture(program: Path, tmp_path: Path) -> None:
    """The limit of a file's size stands in for a small disk."""
    file, picture = dcgan(tmp_path / "g.safetensors"), tmp_path / "c.png"
    picture.write_text("old")
    limited = f"ulimit -f 8; exec {program} {file} -o {picture}"
    outcome = subprocess.run(["bash", "-c", limited], capture_output=True, text=True)
    assert outcome.returncode == 2 and "c.png: cannot be written: File too large; make room" in outcome.stderr
    assert picture.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"g.safetensors", "c.png"}


def test_time_alone_needs_no_picture(program: Path, tmp_path: Path) -> None:
    outcome = start(program, every_operator(tmp_path / "g.safetensors"), "--time", "--threads", 1)
    one, sixteen = outcome.stdout.splitlines()
    assert one.startswith("1 image: ") and sixteen.startswith("16 images: ")
    assert outcome.returncode == 0 and all(float(line.split()[-2]) > 0 for line in (one, sixteen))


def test_help_and_version(program: Path) -> None:
    for option in ("-h", "--help"):
        assert start(program, option).stdout.startswith("Usage: pbgen-run FILE -o grid.png")
    assert start(program, "--version").stdout == f"pbgen-run {pbgen.__version__}\n"


def test_the_versions_agree() -> None:
    assert f"project(pbgen VERSION {pbgen.__version__} " in (CORE / "CMakeLists.txt").read_text()


WRONG_RANGES = ["1", "1:", ":1", ":", "1:1", "1:0", "0:1:2", "0:1x", "nan:1", "0:inf", "-1e7:1"]
BAD = [
    ("", "FILE is missing: give a packed generator"),
    ("FILE", "--output is missing: give the picture's name, -o grid.png"),
    ("FILE FILE -o g.png", "one file is enough"),
    ("none.safetensors -o g.png", "none.safetensors: does not exist"),
    (". -o g.png", ".: is no ordinary file"),
    ("noise -o g.png", "noise: "),
    ("FILE -o", "-o: needs a value"),
    ("FILE --output=", "--output: needs a value"),
    ("FILE -o g.jpg", "--output g.jpg: only PNG is written; give a name such as grid.png"),
    ("FILE -o none/g.png", "none/g.png: there is no folder none/.; make it first"),
    ("FILE -o folder.png", "folder.png: is a folder; give a file in it"),
    ("FILE -o loop.png", "loop.png: cannot be written: Too many levels of symbolic links"),
    ("FILE -o full.png", "full.png: cannot be written: No space left on device; make room"),
    ("FILE -o g.png --seed -1", "--seed `-1`: must be a whole number from 0 to 18446744073709551615"),
    ("FILE -o g.png --seed 18446744073709551616", "--seed `18446744073709551616`: must be"),
    ("FILE -o g.png --seed 1x", "--seed `1x`: must be"),
    ("FILE -o g.png --count 0", "--count `0`: must be a whole number from 1 to 1000000"),
    ("FILE -o g.png -n many", "-n `many`: must be"),
    ("BIG -o g.png -n 1000000", "--count 1000000: the picture would be larger than 512 MiB"),
    ("FILE -o g.png --threads 0", "--threads `0`: must be a whole number from 1 to 1024"),
    ("FILE -o g.png --activations int4", "--activations `int4`: must be float32 or int8"),
    *(
        (f"FILE -o g.png --range {text}", f"--range `{text}`: give the numbers for black and white")
        for text in WRONG_RANGES
    ),
    ("FILE -o g.png --time=yes", "--time: takes no value, and was given `yes`"),
    ("FILE -o g.png --fly", "--fly: no such option; see pbgen-run --help"),
    ("FILE -o g.png -x", "-x: no such option"),
    ("VECTOR -o g.png", "VECTOR: makes (5), no images of 1 or 3 channels"),
    ("TWO -o g.png", "TWO: makes (2, 5, 5), no images of 1 or 3 channels"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[arguments for arguments, _ in BAD])
def test_one_line_and_code_2(
    arguments: str, said: str, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    every_operator(Path("FILE"))
    dcgan(Path("BIG"))
    Layer(3, 5, ()).write(Path("VECTOR"))
    Layer(3, 2, (4, 4), (2, 2)).write(Path("TWO"))
    Path("noise").write_bytes(bytes(range(256)))
    Path("folder.png").mkdir()
    Path("loop.png").symlink_to("loop.png")
    Path("full.png").symlink_to("/dev/full")
    before = set(Path().iterdir())
    outcome = start(program, *arguments.split())
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert outcome.stderr.count("\n") == 1 and outcome.stderr.startswith("pbgen-run: ")
    assert said in outcome.stderr
    assert set(Path().iterdir()) == before


def test_whatever_a_name_holds_stays_on_its_line(program: Path) -> None:
    name = b"e\x1b[31m\n\xff\xc2\x9b\xe2\x80\xae\xc3\xa9"
    for arguments in ([name, "-o", "g.png"], [name, name], [b"--" + name], ["f", "-o", name]):
        outcome = subprocess.run([program, *arguments], capture_output=True)
        assert outcome.returncode == 2 and outcome.stderr.count(b"\n") == 1
        assert rb"e\x1b[31m\x0a\xff\x9b\u202e" + "é".encode() in outcome.stderr


def test_output_that_is_closed_full_or_read_by_nobody(program: Path, tmp_path: Path) -> None:
    file, picture = every_operator(tmp_path / "g.safetensors"), tmp_path / "c.png"

    def shell(script: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(["sh", "-c", script, program, file, picture], capture_output=True, text=True)

    full = shell('"$0" --help > /dev/full')
    assert full.returncode == 2
    assert full.stderr.startswith("pbgen-run: standard output: cannot be written: No space left on device")
    gone = shell('{ "$0" "$1" --time; echo $? >&2; } | true')
    assert gone.stderr == "141\n"
    closed = shell('"$0" "$1" -o "$2" --time <&- >&- 2>&-')
    assert (closed.returncode, closed.stdout, closed.stderr) == (0, "", "")
    assert pixels(picture).ndim == 3


def test_one_small_static_binary(program: Path) -> None:
    if "PBGEN_LINKS_STATICALLY:INTERNAL=1" not in (core() / "CMakeCache.txt").read_text():
        pytest.skip("this system links no static programs")
    assert program.stat().st_size <= MOST_BYTES
    linked = subprocess.run(["ldd", program], capture_output=True, text=True)
    assert "not a dynamic executable" in linked.stdout + linked.stderr
