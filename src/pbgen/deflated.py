"""Text compressed by deflate (RFC 1951, without a wrapper), in base64: how a packed file keeps its graph."""

import base64
import zlib

LIMIT = 4 << 20
"""Bytes of text that a packed file may hold so: docs/format.md."""


def deflated(text: str) -> str:
    """The compressed text. Another version of zlib may write other characters for it."""
    compressor = zlib.compressobj(9, wbits=-15)
    return base64.b64encode(compressor.compress(text.encode()) + compressor.flush()).decode()


def inflated(compressed: str) -> str:
    """The text. Raises ValueError where `compressed` is damaged, or the text would be longer than LIMIT."""
    decompressor = zlib.decompressobj(wbits=-15)
    try:
        text = decompressor.decompress(base64.b64decode(compressed, validate=True), LIMIT)
    except zlib.error as error:
        raise ValueError(f"compressed text is damaged: {error}") from None
    if not decompressor.eof or decompressor.unused_data:
        raise ValueError(f"compressed text is damaged, or longer than {LIMIT} bytes")
    return text.decode()


def graph_text(stored: str) -> str:
    """The JSON of a graph as a packed file keeps it: as it is, or compressed. Raises ValueError where it is damaged."""
    return stored if stored.startswith("{") else inflated(stored)
