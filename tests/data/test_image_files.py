"""Folders and zips: what is read, what is skipped and named, and the cache."""

import errno
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image

from pbgen.data import cache, files, open_images
from pbgen.errors import PBGenError, PBGenWarning
from pbgen.files import write_atomically

pytestmark = pytest.mark.filterwarnings("ignore::pbgen.errors.PBGenWarning")

SHARED = Path(__file__).parents[3] / "shared" / "data"


def picture(seed: int, size: tuple[int, int] = (24, 24)) -> np.ndarray:
    width, height = size
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def jpeg(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def bomb() -> bytes:
    """A PNG of a few bytes that says it is 60,000 pixels wide and high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


GOOD = {"b/10.png": 0, "b/9.PNG": 1, "a.bin": 2, "b/c/d e.png": 3}
BAD = {
    ".DS_Store": b"x",
    "__MACOSX/b/._10.png": b"x",
    "b/.hidden/1.png": png(picture(9)),
    "b/bomb.png": bomb(),
    "b/cut.jpg": jpeg(picture(9, (64, 64)))[:900],
    "b/empty.png": b"",
    "labels.csv": b"name,label\n",
    "noise.jpg": bytes(range(256)) * 4,
}


def fill(folder: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def zipped(path: Path, contents: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in contents.items():
            file.writestr(name, data)
    return path


def good_files() -> dict[str, bytes]:
    return {name: png(picture(seed)) for name, seed in GOOD.items()}


def expected_images() -> np.ndarray:
    return np.stack([picture(GOOD[name]).transpose(2, 0, 1) for name in sorted(GOOD)])


def test_a_folder_in_the_order_of_names(tmp_path: Path) -> None:
    source = open_images(fill(tmp_path / "pictures", good_files()), 24, 3)
    assert (source.name, source.size, source.channels, source.count, source.skipped) == ("pictures", 24, 3, 4, [])
    np.testing.assert_array_equal(source.images(np.arange(4)), expected_images())
    np.testing.assert_array_equal(source.images(np.array([3, 1, 1])), expected_images()[[3, 1, 1]])
    assert type(source.images(np.array([2]))) is np.ndarray
    with pytest.raises(IndexError):
        source.images(np.array([4]))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_is_the_folder_in_it(tmp_path: Path, compression: int) -> None:
    contents = good_files() | BAD
    folder = open_images(str(fill(tmp_path / "folder", contents)), 16, 3)
    packed = open_images(str(zipped(tmp_path / "packed.zip", contents, compression)), 16, 3)
    assert packed.name == "packed.zip"
    assert packed.skipped == folder.skipped
    np.testing.assert_array_equal(packed.images(np.arange(4)), folder.images(np.arange(4)))


def test_a_warning_counts_the_bad_files_and_names_some(tmp_path: Path) -> None:
    contents = good_files() | {f"{i}.txt": b"no image" for i in range(5)}
    with pytest.warns(
        PBGenWarning, match=r"x: 5 of \d+ files skipped: 0.txt: not an image; 1.txt: .*; 2.txt: .*; \.\.\.$"
    ):
        open_images(fill(tmp_path / "x", contents), 24, 3)


def test_bad_files_are_named_with_the_reason(tmp_path: Path) -> None:
    source = open_images(fill(tmp_path / "x", good_files() | BAD), 24, 3)
    np.testing.assert_array_equal(source.images(np.arange(4)), expected_images())
    assert [line.split(": ")[0] for line in source.skipped] == sorted(BAD)
    reasons = dict(line.split(": ", 1) for line in source.skipped)
    for name in (".DS_Store", "__MACOSX/b/._10.png", "b/.hidden/1.png"):
        assert reasons[name] == "hidden"
    for name in ("b/empty.png", "labels.csv", "noise.jpg"):
        assert reasons[name] == "not an image"
    assert "truncated" in reasons["b/cut.jpg"]
    assert "exceeds limit" in reasons["b/bomb.png"]
    again = open_images(tmp_path / "x", 24, 3)
    assert again.skipped == source.skipped


def test_a_damaged_member_of_a_zip_is_skipped(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", good_files(), zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(png(picture(2))) + 60] ^= 1
    path.write_bytes(data)
    source = open_images(path, 24, 3)
    assert source.count == 3
    assert source.skipped == ["a.bin: Bad CRC-32 for file 'a.bin'"]


def test_a_member_that_claims_too_much_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbgen.data.listing._MAX_BYTES", 10_000)
    source = open_images(zipped(tmp_path / "x.zip", good_files() | {"z.png": bytes(20_000)}), 24, 3)
    assert source.skipped == ["z.png: 20000 bytes unpacked; at most 10000 are read"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda p: p / "nowhere",
            r"nowhere: no such folder or zip; give 'faces', a folder of images or a zip of images",
        ),
        (
            lambda p: fill(p, {"a.zip": b"no zip"}) / "a.zip",
            r"a\.zip: not a readable zip \(.+\); give a folder or a zip",
        ),
        (lambda p: fill(p, {"a.png": png(picture(0))}) / "a.png", r"a\.png: not a readable zip"),
        (
            lambda p: fill(p / "e", {"a.txt": b"x", "b.txt": b"y"}) / "",
            r"e: none of its 2 files is an image, such as a\.txt",
        ),
        (lambda p: p, r": none of its 0 files is an image; give one with images, of PNG, JPEG, "),
        (lambda p: zipped(p / "none.zip", {}), r"none\.zip: none of its 0 files is an image"),
    ],
)
def test_nothing_to_read(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    for _ in range(2):  # the cache remembers no better
        with pytest.raises(PBGenError, match=message) as error:
            open_images(make(tmp_path), 24, 3)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("size", "channels"), [(15, 3), (513, 3), (0, 1), (-64, 1), (64, 2), (64, 0)])
def test_sizes_and_channels_out_of_range(size: int, channels: int, tmp_path: Path) -> None:
    for source in ("faces", fill(tmp_path, good_files())):
        with pytest.raises(PBGenError, match=r"choose 16 to 512 pixels|choose 3 \(colour\) or 1 \(grey\)"):
            open_images(source, size, channels)


def test_links_are_followed_and_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", good_files())
    outside = fill(tmp_path / "outside", {"deep/7.png": png(picture(7))})
    (folder / "linked").symlink_to(outside)
    (folder / "a linked.png").symlink_to(outside / "deep" / "7.png")
    (outside / "deep" / "back").symlink_to(folder)
    (folder / "again").symlink_to("b")
    (folder / "itself").symlink_to("itself")
    (folder / "nothing.png").symlink_to("nowhere.png")
    os.mkfifo(folder / "pipe.png")
    source = open_images(folder, 24, 3)
    assert source.count == 6
    np.testing.assert_array_equal(source.images(np.array([0, 5])), np.stack([picture(7).transpose(2, 0, 1)] * 2))
    told = "a link to a folder that is read already"
    assert source.skipped == [
        f"again: {told}",
        f"itself: {os.strerror(errno.ELOOP)}",
        f"linked/deep/back: {told}",
        "nothing.png: a link to nothing",
        "pipe.png: a device, pipe or socket",
    ]


AS_ANOTHER = """
import os, sys
import numpy
from pbgen.data import open_images
import pbgen.data.files, PIL.PngImagePlugin  # before this user may no longer read them
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(54321)
    os.setuid(54321)
os.environ.pop("HOME", None)
os.environ["XDG_CACHE_HOME"] = sys.argv[2]
source = open_images(sys.argv[1], 24, 3)
print(source.count, *source.skipped, sep="\\n")
"""


@pytest.mark.parametrize("cache_folder", ["", "relative", "unwritable"])
def test_a_user_without_home_and_rights(tmp_path: Path, cache_folder: str) -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are closed to others
        os.chmod(place, 0o755)  # noqa: PTH101
        folder = fill(Path(place, "x"), good_files() | {"secret/1.png": png(picture(8)), "closed.png": png(picture(8))})
        for name in ("secret", "closed.png"):
            (folder / name).chmod(0)
        cache = tmp_path / "none" if cache_folder == "unwritable" else cache_folder
        done = subprocess.run(
            [sys.executable, "-c", AS_ANOTHER, folder, cache], capture_output=True, text=True, cwd=place, check=True
        )
        (folder / "secret").chmod(0o700)
        assert done.stdout.splitlines() == [
            "4",
            "closed.png: may not be read",
            f"secret: a folder that cannot be read ({os.strerror(errno.EACCES)})",
        ]
        if os.getuid() == 0:
            assert "decoded images cannot be kept for the next time" in done.stderr
        assert not Path(place, "relative").exists()


def test_a_cache_is_fresh_by_what_no_tool_can_set(tmp_path: Path) -> None:
    """Other images of the same names, sizes and times of writing: put in place, and written into it."""
    folder, other = fill(tmp_path / "x", good_files()), tmp_path / "other"
    for seed in (7, 8):
        open_images(folder, 24, 3)
        times = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
        for path, time in times.items():
            other.write_bytes(png(picture(seed)))
            assert other.stat().st_size == path.stat().st_size
            if seed == 7:
                other.replace(path)
            else:
                path.write_bytes(other.read_bytes())
            os.utime(path, ns=(time, time))
        np.testing.assert_array_equal(
            open_images(folder, 24, 3).images(np.array([0, 3])), np.stack([picture(seed).transpose(2, 0, 1)] * 2)
        )


def test_a_replaced_zip_is_read_again(tmp_path: Path) -> None:
    path, other = tmp_path / "x.zip", tmp_path / "y.zip"
    zipped(path, {"a.png": png(picture(1))}, zipfile.ZIP_STORED)
    open_images(path, 24, 3)
    time = path.stat().st_mtime_ns
    zipped(other, {"a.png": png(picture(2))}, zipfile.ZIP_STORED)
    os.utime(other, ns=(time, time))
    other.replace(path)
    np.testing.assert_array_equal(open_images(path, 24, 3).images(np.arange(1))[0], picture(2).transpose(2, 0, 1))


def test_what_may_pass_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "x", good_files())

    def short_of_memory(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(files, "decode", short_of_memory)
        with pytest.raises(PBGenError, match=r"none of its 4 files is an image, such as a\.bin: not enough memory"):
            open_images(folder, 24, 3)
    assert open_images(folder, 24, 3).count == 4


def test_the_same_images_have_the_same_digest(tmp_path: Path) -> None:
    folder = open_images(fill(tmp_path / "x", good_files()), 24, 3)
    packed = open_images(zipped(tmp_path / "y.zip", good_files() | {"z.txt": b"no image"}), 32, 1)
    other = open_images(fill(tmp_path / "z", good_files() | {"a.bin": png(picture(5))}), 24, 3)
    assert folder.digest == packed.digest == open_images(tmp_path / "x", 24, 3).digest != other.digest


def zip_with(place: bytes, offset: int, value: bytes, contents: bytes = b"x") -> bytes:
    """A zip of which the bytes at `offset` behind the first `place` are others."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("a.png", contents)
    data = bytearray(file.getvalue())
    at = data.index(place) + offset
    data[at : at + len(value)] = value
    return bytes(data)


STRANGE = {
    "version 9.9": (zip_with(b"PK\1\2", 6, b"\x63"), r"not a readable zip \(zip file version 9\.9\)"),
    "encrypted": (zip_with(b"PK\1\2", 8, b"\x01"), r"such as a\.png: .*encrypted"),
    "unknown compression": (zip_with(b"PK\1\2", 10, b"\x61"), r"such as a\.png: That compression method is not supp"),
    "truncated": (zip_with(b"PK", 0, b"PK")[:-9], "not a readable zip"),
    "a folder that lies elsewhere": (zip_with(b"PK\5\6", 16, b"\xff\xff\xff\x7f"), r"a\.zip: "),
    "64 bits that are not there": (zip_with(b"PK\1\2", 20, b"\xff" * 8), r"a\.zip: "),
    "without a name": (zip_with(b"PK\1\2", 28, b"\0\0"), r"a\.zip: "),
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_zips(name: str, tmp_path: Path) -> None:
    data, message = STRANGE[name]
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(PBGenError, match=message) as error:
        open_images(tmp_path / "a.zip", 24, 3)
    assert "\n" not in str(error.value)


def test_a_pipe_is_no_zip(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PBGenError, match=r"not a readable zip \(a device, pipe or socket\)"):
        open_images(tmp_path / "pipe", 24, 3)


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(files, "decode", decode)


def test_each_file_is_decoded_once(tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "x", good_files() | BAD)
    first = open_images(folder, 20, 3)
    assert sorted(path.suffix for path in cache_home.iterdir()) == [".json", ".npy"]
    forbid_decoding(monkeypatch)
    second = open_images(folder, 20, 3)
    assert second.skipped == first.skipped
    np.testing.assert_array_equal(second.images(np.arange(4)), first.images(np.arange(4)))
    with pytest.raises(PBGenError, match="none of its"):  # another size is decoded, in vain
        open_images(folder, 21, 3)


def test_sizes_and_channels_do_not_mix(tmp_path: Path) -> None:
    folder = fill(tmp_path / "x", good_files())
    shapes = [(size, channels) for size in (16, 20) for channels in (1, 3)]
    for _ in range(2):
        for size, channels in shapes:
            assert open_images(folder, size, channels).images(np.arange(4)).shape == (4, channels, size, size)


def test_a_changed_source_is_read_again(tmp_path: Path, cache_home: Path) -> None:
    folder = fill(tmp_path / "x", good_files())
    open_images(folder, 24, 3)
    fill(folder, {"a.bin": png(picture(7)), "new.png": png(picture(8))})
    source = open_images(folder, 24, 3)
    assert source.count == 5
    np.testing.assert_array_equal(
        source.images(np.array([0, 4])), [picture(7).transpose(2, 0, 1), picture(8).transpose(2, 0, 1)]
    )
    (folder / "new.png").unlink()
    assert open_images(folder, 24, 3).count == 4
    assert len(list(cache_home.iterdir())) == 2  # the old ones are gone


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def wrong_shape(path: Path) -> None:
    np.save(path, np.zeros((4, 3, 9, 9), dtype=np.uint8))


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "images cut short": ("npy", cut),
    "images emptied": ("npy", lambda path: path.write_bytes(b"")),
    "images replaced": ("npy", lambda path: path.write_bytes(b"something else entirely")),
    "images of another shape": ("npy", wrong_shape),
    "images gone": ("npy", Path.unlink),
    "notes cut short": ("json", cut),
    "notes not ours": ("json", lambda path: path.write_bytes(b"[1, 2]")),
    "notes empty": ("json", lambda path: path.write_bytes(b"{}")),
    "notes gone": ("json", Path.unlink),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_cache_is_made_anew(
    name: str, tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix, damage = DAMAGE[name]
    folder = fill(tmp_path / "x", good_files())
    open_images(folder, 24, 3)
    damage(next(cache_home.glob(f"*.{suffix}")))
    np.testing.assert_array_equal(open_images(folder, 24, 3).images(np.arange(4)), expected_images())
    forbid_decoding(monkeypatch)
    np.testing.assert_array_equal(open_images(folder, 24, 3).images(np.arange(4)), expected_images())


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "x", good_files() | BAD)
    in_the_way = tmp_path / "file"
    in_the_way.write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(in_the_way))
    source = open_images(folder, 24, 3)
    assert len(source.skipped) == len(BAD)
    np.testing.assert_array_equal(source.images(np.arange(4)), expected_images())


def test_an_interruption_leaves_no_half_cache(
    tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path / "x", good_files())
    real = files.decode
    calls = []

    def interrupted(*arguments: object) -> np.ndarray:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(files, "decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_images(folder, 24, 3)
    assert list(cache_home.iterdir()) == []
    np.testing.assert_array_equal(open_images(folder, 24, 3).images(np.arange(4)), expected_images())


def test_old_notes_never_vouch_for_new_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between the two files of the cache, and then the source is put back as it was."""
    folder = fill(tmp_path / "x", good_files())
    changed = folder / "a.bin"
    before, status = changed.read_bytes(), changed.stat()
    open_images(folder, 24, 3)
    changed.write_bytes(png(picture(7)))

    def crash_at_the_notes(path: Path, write: Callable[[BinaryIO], object]) -> None:
        if path.suffix == ".json":
            raise KeyboardInterrupt
        write_atomically(path, write)

    monkeypatch.setattr(cache, "write_atomically", crash_at_the_notes)
    with pytest.raises(KeyboardInterrupt):
        open_images(folder, 24, 3)
    monkeypatch.setattr(cache, "write_atomically", write_atomically)
    changed.write_bytes(before)
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    np.testing.assert_array_equal(open_images(folder, 24, 3).images(np.arange(4)), expected_images())


def test_more_files_than_are_handed_out_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_TOGETHER", 4)
    contents = {f"{i:03}.png": png(picture(i)) if i % 10 else b"bad" for i in range(101)}  # 90 good: a shorter number
    source = open_images(fill(tmp_path / "x", contents), 24, 3)
    assert source.count == 90
    assert source.skipped == [f"{i:03}.png: not an image" for i in range(0, 101, 10)]
    good = [i for i in range(101) if i % 10]
    expected = np.stack([picture(i).transpose(2, 0, 1) for i in good])
    np.testing.assert_array_equal(source.images(np.arange(90)), expected)


@pytest.mark.parametrize(("name", "count"), [("cat-avatars", 10000), ("pbc-blood-cells", 14941)])
def test_real_images(name: str, count: int, tmp_path: Path) -> None:
    path = SHARED / name / f"{name}-64.zip"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    small = tmp_path / "few.zip"
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(small, "w") as few:
        members = sorted(whole.namelist())
        assert len(members) == count
        for member in members[::50]:
            few.writestr(member, whole.read(member))
        expected = np.asarray(Image.open(BytesIO(whole.read(members[50]))).convert("RGB"))
    source = open_images(small, 64, 3)
    assert source.skipped == []
    assert source.count == -(-count // 50)
    np.testing.assert_array_equal(source.images(np.array([1]))[0], expected.transpose(2, 0, 1))
    assert open_images(small, 32, 1).images(np.arange(5)).std() > 10


def test_a_folder_that_moved_keeps_its_images(tmp_path: Path) -> None:
    first = open_images(fill(tmp_path / "x", good_files()), 24, 3)
    shutil.rmtree(tmp_path / "x")
    np.testing.assert_array_equal(first.images(np.arange(4)), expected_images())
