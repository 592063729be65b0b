"""Files that lie: each is a small good file with one thing wrong, and a part of the message that must name it.

Here what is wrong is the file; hostile_graphs.py has those whose graph is.
"""

import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from packed_files import Tensors, pack_bits

from pbgen.deflated import LIMIT, deflated

Json = dict[str, Any]


def tensors() -> Tensors:
    rng = np.random.default_rng(0)
    return {
        "bits": pack_bits(rng.standard_normal((5, 7, 3, 3))),  # 315 weights: the last byte has unused bits
        "floats": rng.standard_normal((2, 5, 2, 2)).astype(np.float32),
        "scale": rng.standard_normal(5).astype(np.float32),
        "shift": rng.standard_normal(2).astype(np.float16),
    }


def node(op: str, inputs: list[int], shape: list[Any], **attributes: Any) -> Json:
    return {"op": op, "name": f"the {op}", "inputs": inputs, "shape": shape, **attributes}


def graph() -> Json:
    size = {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    program: Json = {"program": [["leaky", 0, 1]], "numbers": [0.2]}
    first = node("conv_transpose", [0], [1, 5, 6, 4], weight="bits", scale="scale", **program, **size)
    size = {"kernel": [2, 2], "stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    second = node("conv", [1], [1, 2, 7, 5], weight="floats", shift="shift", program=[["tanh", 0]], **size)
    inputs = [{"name": "z", "shape": [1, 7, 3, 2]}]
    return {"version": 2, "inputs": inputs, "sizes": [], "nodes": [first, second], "outputs": [["image", 2]]}


def header(graph: Json, tensors: Tensors) -> Json:
    names = {np.dtype(np.uint8): "U8", np.dtype(np.float16): "F16", np.dtype(np.float32): "F32"}
    result: Json = {"__metadata__": {"pbgen": json.dumps(graph)}}
    at = 0
    for name, tensor in tensors.items():
        offsets = [at, at + tensor.nbytes]
        result[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        at += tensor.nbytes
    return result


def assemble(header: bytes | Json, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def data(tensors: Tensors) -> bytes:
    return b"".join(tensor.tobytes() for tensor in tensors.values())


def good_file() -> bytes:
    return assemble(header(graph(), tensors()), data(tensors()))


def with_graph(change: Callable[[Json], object]) -> bytes:
    changed = graph()
    change(changed)
    return assemble(header(changed, tensors()), data(tensors()))


def with_header(change: Callable[[Json], object]) -> bytes:
    changed = header(graph(), tensors())
    change(changed)
    return assemble(changed, data(tensors()))


def with_tensors(change: Callable[[Tensors], object]) -> bytes:
    changed = tensors()
    change(changed)
    return assemble(header(graph(), changed), data(changed))


def with_node(index: int, **attributes: Any) -> bytes:
    return with_graph(lambda g: g["nodes"][index].update(attributes))


def some(
    nodes: list[Json], *shapes: list[Any], sizes: list[Any] | None = None, inputs: Any = None, **tensors: np.ndarray
) -> bytes:
    """A graph of these nodes, its inputs of these shapes, or `inputs` as they stand; the last value is its output."""
    inputs = inputs or [{"name": f"in{i}", "shape": shape} for i, shape in enumerate(shapes)]
    outputs = [["out", len(inputs) + len(nodes) - 1]]
    made = {"version": 2, "inputs": inputs, "sizes": sizes or [], "nodes": nodes, "outputs": outputs}
    return assemble(header(made, tensors), data(tensors))


def hostile_containers() -> Iterator[tuple[str, bytes, str]]:
    """Names, contents, and what the message must contain."""
    yield from broken_containers()
    yield from broken_headers()
    yield from broken_tensors()


def broken_containers() -> Iterator[tuple[str, bytes, str]]:
    good = good_file()
    yield "empty", b"", "truncated: 0 bytes"
    yield "three bytes", good[:3], "truncated: 3 bytes"
    yield "no header", struct.pack("<Q", 0), "does not begin with `{`"
    yield "no data", good[:-1], "outside the file"
    yield "data too long", good + b"\0" * 8, "8 bytes after its last tensor"
    yield "a picture", b"\x89PNG\r\n\x1a\n" + bytes(100), "header of"
    yield "header length 2^64 - 1", b"\xff" * 8 + good[8:], "header of 18446744073709551615 bytes"
    yield "header length 2^63", struct.pack("<Q", 2**63) + good[8:], "header of"
    yield "header too long", struct.pack("<Q", 2**22 + 8) + b"{" * (2**22 + 8), "at most 4194304"
    yield "header beyond the end", struct.pack("<Q", 2**20) + good[8:], "truncated"
    yield "header not padded", struct.pack("<Q", 1) + b"{", "multiple of 8"


def broken_headers() -> Iterator[tuple[str, bytes, str]]:
    def text(value: bytes) -> bytes:
        return assemble(value, b"")

    yield "array", text(b"[]"), "does not begin with `{`"
    yield "deep arrays", text(b'{"a":' + b"[" * 10**6), "nested too deep"
    yield "deep objects", text(b'{"a":' * 10**5), "nested too deep"
    yield "a million values", text(b'{"a":[' + b"0," * 10**6 + b"0]}"), "too many values"
    yield "a million keys", text(b"{" + b",".join(b'"%d":0' % i for i in range(3 * 10**5)) + b"}"), "too many values"
    yield "text after the end", text(b"{}{}"), "after the end"
    yield "no end", text(b'{"a":1'), "expected `,` or `}`"
    yield "string without an end", text(b'{"a'), "without an end"
    yield "escape without an end", text(b'{"\\'.ljust(4)), "unknown escape"
    yield "not UTF-8", text(b'{"\xff\xfe":1}'), "not UTF-8"
    yield "overlong UTF-8", text(b'{"\xc0\x80":1}'), "not UTF-8"
    yield "surrogate in UTF-8", text(b'{"\xed\xa0\x80":1}'), "not UTF-8"
    yield "cut UTF-8", assemble(b'{"a":1,"\xf0\x9f\x98'.ljust(16, b"\xf0"), b""), "not UTF-8"
    yield "half a surrogate pair", text(b'{"\\ud800":1}'), "surrogate"
    yield "two high surrogates", text(b'{"\\ud800\\ud800":1}'), "surrogate"
    yield "bad hexadecimal", text(b'{"\\u12g4":1}'), "hexadecimal"
    yield "control character", text(b'{"a\nb":1}'), "control character"
    yield "leading zero", text(b'{"a":01}'), "leading zero"
    yield "number out of range", text(b'{"a":1e999}'), "out of range"
    yield "integer out of range", text(b'{"a":123456789012345678901234567890}'), "out of range"
    yield "lone minus", text(b'{"a":-}'), "unexpected character"
    yield "NaN", text(b'{"a":NaN}'), "unexpected character"
    yield "duplicate key", text(b'{"a":1,"b":2,"a":3}'), "`a` appears twice"
    yield "duplicate key, escaped", text(b'{"ab":1,"\\u0061b":3}'), "`ab` appears twice"
    yield "no metadata", with_header(lambda h: h.pop("__metadata__")), "no packed generator"
    yield "metadata is a list", with_header(lambda h: h.update(__metadata__=[])), "must be an object"
    yield "another program's", with_header(lambda h: h.update(__metadata__={"format": "pt"})), "no packed generator"
    yield "graph is a number", with_header(lambda h: h.update(__metadata__={"pbgen": 1})), "must be a string"
    yield "graph is no JSON", with_header(lambda h: h.update(__metadata__={"pbgen": "{"})), "JSON"
    yield (
        "graph is a list",
        with_header(lambda h: h.update(__metadata__={"pbgen": deflated("[]")})),
        "must be an object",
    )
    yield "graph is no base64", with_header(lambda h: h.update(__metadata__={"pbgen": "[]"})), "graph: compressed text"
    bomb = deflated(" " * (LIMIT + 1))
    yield "graph is a bomb", with_header(lambda h: h.update(__metadata__={"pbgen": bomb})), "longer than 4194304 bytes"


def broken_tensors() -> Iterator[tuple[str, bytes, str]]:
    def entry(name: str, **fields: Any) -> bytes:
        return with_header(lambda h: h[name].update(fields))

    yield "entry is a number", with_header(lambda h: h.update(scale=1)), "tensor `scale`: must have `dtype`"
    yield "entry with more", entry("scale", more=1), "tensor `scale`: must have `dtype`"
    yield "dtype F64", entry("scale", dtype="F64"), "`F64` is not U8"
    yield "dtype I8", entry("bits", dtype="I8"), "`I8` is not U8"
    yield "U8 as F32", entry("bits", dtype="F32"), "tensor `bits`: shape and `data_offsets` disagree"
    yield "shape too large", entry("bits", shape=[41]), "tensor `bits`: shape and `data_offsets` disagree"
    yield "dimension 0", entry("bits", shape=[0]), "dimensions must be positive"
    yield "dimension negative", entry("bits", shape=[-40]), "dimensions must be positive"
    yield "dimension a real", entry("bits", shape=[40.0]), "dimensions must be positive"
    yield "scalar", entry("bits", shape=[]), "1 to 8 dimensions"
    yield "nine dimensions", entry("bits", shape=[40, 1, 1, 1, 1, 1, 1, 1, 1]), "1 to 8 dimensions"
    yield "dimension 2^62", entry("bits", shape=[2**62]), "larger than the file"
    yield "shape overflows to 40", entry("bits", shape=[2**32, 2**32, 1, 40]), "larger than the file"
    yield "offsets reversed", entry("bits", data_offsets=[40, 0]), "outside the file"
    yield "offset negative", entry("bits", data_offsets=[-1, 39]), "neither negative"
    yield "offset beyond the end", entry("shift", data_offsets=[2**40, 2**40 + 4]), "outside the file"
    yield "three offsets", entry("bits", data_offsets=[0, 20, 40]), "two integers"
    yield "overlap", entry("floats", data_offsets=[0, 160]), "overlaps"
    yield "a gap", with_tensors(lambda t: t.update(bits=t["bits"][:39])).replace(b"[39, 199]", b"[40, 200]"), "tensor"
    for name, value in (("NaN", np.nan), ("infinity", np.inf), ("-infinity", -np.inf)):
        yield (
            f"{name} weight",
            with_tensors(lambda t, v=value: t["floats"].fill(v)),
            "`floats`: element 0 is not finite",
        )
        yield f"{name} shift", with_tensors(lambda t, v=value: t["shift"].fill(v)), "`shift`: element 0 is not finite"
    yield "unused bits", with_tensors(lambda t: t["bits"].fill(255)), "`bits`: the unused bits"
    yield "a byte too many", with_tensors(lambda t: t.update(bits=np.zeros(41, np.uint8))), "`bits` has the wrong shape"
    yield from broken_planes()
    yield "another tensor", with_tensors(lambda t: t.update(x=np.zeros(3, np.uint8))), "`x` is used by no node"
    yield "missing tensor", with_tensors(lambda t: t.pop("shift")), "tensor `shift` not found"
    yield "scale of U8", with_tensors(lambda t: t.update(scale=np.zeros(5, np.uint8))), "`scale` has the wrong shape"
    yield (
        "scale too short",
        with_tensors(lambda t: t.update(scale=np.zeros(4, np.float32))),
        "`scale` has the wrong shape",
    )
    yield "weight as scale", with_node(0, scale="floats"), "`floats` has the wrong shape"
    yield "scale as weight", with_node(0, weight="scale"), "`scale` has the wrong shape"
    odd = "a\nb\x1b[31m\0" + "\u4e2d" * 100
    yield "unprintable name", with_tensors(lambda t: t.update({odd: np.zeros(3, np.uint8)})), "used by no node"


def broken_planes() -> Iterator[tuple[str, bytes, str]]:
    """Weights of more bits than one, in rows of 40 bytes that hold 315 weights each."""

    def planes(*shape: int, unused: int | None = None) -> bytes:
        bits = np.zeros(shape, np.uint8)
        if unused is not None:
            bits[unused, -1] = 8
        return with_tensors(lambda t: t.update(bits=bits))

    yield "five planes", planes(5, 40), "tensor `bits` has 5 planes"
    yield "one plane in two dimensions", planes(1, 40), "tensor `bits` has 1 planes; the shape of 2 to 4 planes is"
    yield "no plane", with_header(lambda h: h["bits"].update(shape=[0, 40])), "dimensions must be positive"
    yield "planes a byte too long", planes(2, 41), "`bits` has the wrong shape"
    yield "planes a byte too short", planes(2, 39), "`bits` has the wrong shape"
    yield "planes the other way", planes(40, 2), "`bits` has the wrong shape"
    yield "planes of the weights' shape", planes(2, 5, 8), "`bits` has the wrong shape"
    yield "planes one after another", planes(80), "`bits` has the wrong shape"
    for plane in range(4):
        yield f"unused bits of plane {plane}", planes(4, 40, unused=plane), "`bits`: the unused bits of a plane's last"
    yield "more planes than there are bytes", with_header(lambda h: h["bits"].update(shape=[4, 40])), "disagree"
