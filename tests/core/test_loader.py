"""The loader trusts nothing: every lie in a file gets its own one-line error."""

from pathlib import Path

import pytest
from hostile_files import good_file, hostile_files

from pbgen import Engine, PBGenError

HOSTILE = {name: (content, message) for name, content, message in hostile_files()}


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
