"""Whatever a name holds, what is said of it stays on its line and moves no cursor."""

import pickle

import pytest

import pbgen
from pbgen.errors import PBGenError, PBGenWarning
from pbgen.redundancy import LayerDimensions, decide
from pbgen.visible import PLAIN, visible

SEEN = {
    "a\x1b[31mb": r"a\x1b[31mb",
    "two\nlines\r\ttab": r"two\nlines\r\ttab",
    "\x9b2J \x7f \0": r"\x9b2J \x7f \x00",
    "abc\u202egnp.exe \u2066 \u200f \u2028": r"abc\u202egnp.exe \u2066 \u200f \u2028",
    "\udcff.png": r"\udcff.png",  # a byte of a file's name that is no UTF-8
    r"C:\new [red] {x} 100%": r"C:\new [red] {x} 100%",
    "héllo 漢字 → עברית": "héllo 漢字 → עברית",
}


@pytest.mark.parametrize("text", SEEN)
def test_what_cannot_be_seen_is_escaped(text: str) -> None:
    assert visible(text) == visible(visible(text)) == SEEN[text]
    for kind in (PBGenError, PBGenWarning):
        assert str(kind(text)) == str(pickle.loads(pickle.dumps(kind(text)))) == SEEN[text]


def test_a_printed_plan_quotes_names() -> None:
    plan = decide([LayerDimensions("\x1b[2J\n", "Linear", (2,), (3,), 6, 6, 3, (), True)])
    assert r"\x1b[2J\n" in str(plan) and "\x1b" not in str(plan)


def test_a_missing_file_is_named_by_the_engine_on_one_line() -> None:
    with pytest.raises(PBGenError) as refused:
        pbgen.Engine(b"no\x1b[31m\n\xff\xc2\x9b\xe2\x80\xae\xc3\xa9.safetensors".decode("utf-8", "surrogateescape"))
    assert str(refused.value) == r"no\x1b[31m\x0a\xff\x9b\u202eé.safetensors: does not exist"


@pytest.mark.parametrize(
    "encoding, shown",
    [
        ("ascii", rb"8x4 -> 3 +-1 \u6f22 \udcff"),
        ("latin-1", b"8\xd74 -> 3 \xb11 \\u6f22 \\udcff"),
        ("cp1252", b"8\xd74 -> 3 \xb11 \\u6f22 \\udcff"),
        ("utf-8", b"8\xc3\x974 \xe2\x86\x92 3 \xc2\xb11 \xe6\xbc\xa2 \\udcff"),
    ],
)
def test_what_an_encoding_lacks_is_spelled(encoding: str, shown: bytes) -> None:
    assert "8×4 → 3 ±1 漢 \udcff".encode(encoding, PLAIN) == shown
