"""The loader trusts nothing: every lie in a file gets its own one-line error."""

from pathlib import Path

import numpy as np
import pytest
from hostile_files import good_file, node, some
from hostile_graphs import hostile_files, hostile_sizes, strange_files

from pbgen import Engine, PBGenError

HOSTILE = {name: (content, message) for name, content, message in hostile_files()}
SIZES = {name: rest for name, *rest in hostile_sizes()}
STRANGE = dict(strange_files())


def message_of(path: Path) -> str | None:
    """What the engine says to the file; None where it opens it."""
    try:
        Engine(path, threads=1)
    except PBGenError as error:
        return str(error)
    return None


def test_the_good_file_is_good(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    path.write_bytes(good_file())
    assert message_of(path) is None


@pytest.mark.parametrize("name", HOSTILE)
def test_one_line_names_what_is_wrong(name: str, tmp_path: Path) -> None:
    content, expected = HOSTILE[name]
    path = tmp_path / "g.safetensors"
    path.write_bytes(content)
    message = message_of(path)
    assert message is not None
    assert message.startswith(f"{path}: ")
    assert expected in message
    assert message.isprintable()
    assert len(message) < len(str(path)) + 250


@pytest.mark.parametrize("name", SIZES)
def test_sizes_that_make_no_sense(name: str, tmp_path: Path) -> None:
    content, shapes, expected = SIZES[name]
    path = tmp_path / "g.safetensors"
    path.write_bytes(content)
    engine = Engine(path, threads=1)
    for _ in range(2):  # nothing is kept of what was refused
        with pytest.raises(PBGenError) as error:
            engine.output_shape_for(*shapes)
        assert expected in str(error.value)
        assert str(error.value).isprintable()


@pytest.mark.parametrize("name", STRANGE)
def test_strange_files_open(name: str, tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    path.write_bytes(STRANGE[name])
    assert message_of(path) is None


@pytest.mark.parametrize("index", [-1, 3, 2**24, float("inf"), float("nan")])
def test_an_index_outside(index: float, tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    nodes = [node("reshape", [0], [3]), node("take", [2, 1], [1, 2], axis=0)]
    path.write_bytes(some(nodes, [1, 3], [1, 2]))
    engine = Engine(path, threads=1)
    values = np.float32([[5, 6, 7]])
    np.testing.assert_array_equal(engine(values, np.float32([[2, 0]])), [[7, 5]])
    held = engine.resident_bytes
    for _ in range(3):
        with pytest.raises(PBGenError, match=r"^layer `the take`: is given an index that is not in 0 \.\. 2$"):
            engine(values, np.float32([[0, index]]))
    assert engine.resident_bytes == held


def test_truncation_at_every_byte(tmp_path: Path) -> None:
    content, path = good_file(), tmp_path / "g.safetensors"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert message_of(path) is not None, length


def test_a_flipped_bit_in_the_weights_is_another_generator_and_elsewhere_mostly_an_error(tmp_path: Path) -> None:
    content, path = good_file(), tmp_path / "g.safetensors"
    header = 8 + int.from_bytes(content[:8], "little")
    opened = 0
    for byte in range(header):
        flipped = bytearray(content)
        flipped[byte] ^= 1 << byte % 8
        path.write_bytes(flipped)
        opened += message_of(path) is None
    # What may change unseen: a few digits of numbers, letters of names, the padding's length.
    assert opened < header / 10
    flipped = bytearray(content)
    flipped[header] ^= 1
    path.write_bytes(flipped)
    assert message_of(path) is None


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert message_of(tmp_path / "none.safetensors") == f"{tmp_path}/none.safetensors: does not exist"
    assert message_of(tmp_path) == f"{tmp_path}: is no ordinary file"
    assert message_of(Path("/dev/null")) == "/dev/null: is no ordinary file"


def test_a_path_that_is_not_utf_8(tmp_path: Path) -> None:
    message = message_of(Path(str(tmp_path) + "/\udcff.safetensors"))
    assert message is not None
    assert message.endswith("does not exist")
