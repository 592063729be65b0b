"""Compressed text becomes what zlib makes of it, however it was compressed, and what is damaged is refused."""

import base64
import random
import subprocess
import zlib
from itertools import product

import pytest
from builds import core, needs_cmake

LIMIT = 1 << 17

RANDOM = random.Random(0)
TEXTS = {
    "nothing": b"",
    "a letter": b"x",
    "every byte": bytes(range(256)) * 3,
    "one run": b"a" * 70_000,
    "noise": RANDOM.randbytes(70_000),
    "few letters": bytes(RANDOM.choices(b"ab c", k=40_000)),
    "far repeats": (far := RANDOM.randbytes(32_768)) + far[:300] + far,
    "a graph": b"".join(b'{"op":"conv","name":"layers.%d.conv","inputs":[%d]},' % (i, i) for i in range(2000)),
}
STRATEGIES = {
    "default": zlib.Z_DEFAULT_STRATEGY, "filtered": zlib.Z_FILTERED, "huffman": zlib.Z_HUFFMAN_ONLY,
    "rle": zlib.Z_RLE, "fixed": zlib.Z_FIXED,
}  # fmt: skip

pytestmark = needs_cmake


def deflate(text: bytes, level: int = 9, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    half = len(text) // 2  # so that there are several blocks, one of them empty
    parts = [compressor.compress(text[:half]), compressor.flush(zlib.Z_FULL_FLUSH), compressor.compress(text[half:])]
    return b"".join([*parts, compressor.flush()])


def inflate(written: bytes, limit: int = LIMIT) -> bytes | str:
    """What the program made of text in base64: the text, or the message that refuses it."""
    done = subprocess.run([core() / "tests" / "pbgen_inflate", str(limit)], input=written, capture_output=True)
    assert done.returncode in (0, 1), done.stderr
    return done.stderr.decode().strip() if done.returncode else done.stdout


@pytest.mark.parametrize(("level", "strategy"), [(0, "default"), (1, "default"), *product([6, 9], STRATEGIES)])
def test_as_zlib(level: int, strategy: str) -> None:
    for name, text in TEXTS.items():
        assert inflate(base64.b64encode(deflate(text, level, STRATEGIES[strategy]))) == text, name


def test_the_limit_is_kept() -> None:
    for text in TEXTS.values():
        written = base64.b64encode(deflate(text))
        assert inflate(written, len(text)) == text
        assert not text or "becomes longer than" in inflate(written, len(text) - 1)


def test_every_truncation_is_refused() -> None:
    compressed = deflate(TEXTS["a graph"][:600])
    for length in range(len(compressed)):
        assert "ends too soon" in inflate(base64.b64encode(compressed[:length]))


def test_damage_is_refused_or_read_as_zlib_does() -> None:
    good = {name: deflate(TEXTS[name][:3000], level) for name, level in product(TEXTS, (0, 9)) if TEXTS[name]}
    for compressed in good.values():
        for _ in range(20):
            damaged = bytearray(compressed)
            damaged[RANDOM.randrange(min(100, len(damaged)))] ^= 1 << RANDOM.randrange(8)
            decompressor, found = zlib.decompressobj(wbits=-15), inflate(base64.b64encode(damaged))
            try:
                text = decompressor.decompress(damaged, LIMIT)
            except zlib.error:
                continue  # a code that zlib does not take may do for us, who need no complete ones
            if decompressor.eof and not decompressor.unused_data:
                assert found == text
            else:
                assert isinstance(found, str)


@pytest.mark.parametrize(
    ("compressed", "message"),
    [
        (b"", "ends too soon"),
        (b"\x07", "no such block"),
        (b"\x01\x01\x00\x00\x00", "a block's length"),
        (b"\x03\x02", "lies before it"),
        (b"\x01\x00\x00\xff\xff\x00", "goes on after its end"),
        (b"\x05\x00\x00\x00", "ends too soon"),
        (b"\x05\x00\x92\x04", "too many symbols"),
    ],
)
def test_what_is_wrong_is_named(compressed: bytes, message: str) -> None:
    assert message in inflate(base64.b64encode(compressed))


@pytest.mark.parametrize("written", [b"A", b"AAAA!AAA", b"AA=A", b"AAAA\n", b"A===", b"===="])
def test_only_base64_is_taken(written: bytes) -> None:
    assert "base64" in inflate(written) or "ends too soon" in inflate(written)
