"""Files that lie: each is a small good file with one thing wrong, and a part of the message that must name it."""

import copy
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from packed_files import Tensors, node, pack_bits

Json = dict[str, Any]


def tensors() -> Tensors:
    rng = np.random.default_rng(0)
    return {
        "bits": pack_bits(rng.standard_normal((5, 7, 3, 3))),  # 315 weights: the last byte has unused bits
        "floats": rng.standard_normal((2, 5, 2, 2)).astype(np.float32),
        "scale": rng.standard_normal(5).astype(np.float32),
        "shift": rng.standard_normal(2).astype(np.float16),
    }


def graph() -> Json:
    size = {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    first = node(
        "conv_transpose", [0], (5, 6, 4), weight="bits", scale="scale", activation="leaky_relu", slope=0.2, **size
    )
    size = {"kernel": [2, 2], "stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    second = node("conv", [1], (2, 7, 5), weight="floats", shift="shift", activation="tanh", **size)
    return {"version": 1, "input": [7, 3, 2], "nodes": [first, second], "output": 2}


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


def alone(op_node: Json, input_shape: list[int], **tensors: np.ndarray) -> bytes:
    """A graph of one node."""
    lone = {"version": 1, "input": input_shape, "nodes": [op_node], "output": 1}
    return assemble(header(lone, tensors), data(tensors))


def hostile_files() -> Iterator[tuple[str, bytes, str]]:
    """Names, contents, and what the message must contain."""
    yield from broken_containers()
    yield from broken_headers()
    yield from broken_tensors()
    yield from broken_graphs()
    yield from broken_convolutions()
    yield from broken_operators()
    yield from enormous_shapes()


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
    yield "graph is a list", with_header(lambda h: h.update(__metadata__={"pbgen": "[]"})), "must be an object"


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
    yield "scalar", entry("bits", shape=[]), "1 to 4 dimensions"
    yield "five dimensions", entry("bits", shape=[40, 1, 1, 1, 1]), "1 to 4 dimensions"
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


def broken_graphs() -> Iterator[tuple[str, bytes, str]]:
    yield "no version", with_graph(lambda g: g.pop("version")), "has no `version`"
    yield "version 2", with_graph(lambda g: g.update(version=2)), "version 2; this engine reads version 1"
    yield "version 1.0", with_graph(lambda g: g.update(version=1.0)), "`version`"
    yield "more in the graph", with_graph(lambda g: g.update(x=1)), "unknown attribute `x`"
    yield "nodes an object", with_graph(lambda g: g.update(nodes={})), "`nodes` must be a list"
    yield "node a number", with_graph(lambda g: g["nodes"].append(3)), "node 2: must be an object"
    yield "no output", with_graph(lambda g: g.pop("output")), "has no `output`"
    yield "output dangling", with_graph(lambda g: g.update(output=3)), "`output` has 3"
    yield "output negative", with_graph(lambda g: g.update(output=-1)), "`output` has -1"
    yield "reads itself", with_node(0, inputs=[1]), "node 0 `the conv_transpose`: reads value 1"
    yield "reads a later node", with_node(0, inputs=[2]), "reads value 2"
    yield "reads value 2^62", with_node(1, inputs=[2**62]), "reads value 4611686018427387904"
    yield "reads value -1", with_node(1, inputs=[-1]), "`inputs` has -1"
    yield "reads nothing", with_node(1, inputs=[]), "reads 0 values instead of one"
    yield "reads two", with_node(1, inputs=[1, 1]), "reads 2 values instead of one"
    yield "inputs a number", with_node(1, inputs=1), "`inputs` must be a list"
    yield "no name", with_graph(lambda g: g["nodes"][0].pop("name")), "has no `name`"
    yield "name a number", with_node(0, name=1), "`name` must be a string"
    yield "unknown op", with_node(0, op="softmax"), "unknown op `softmax`"
    yield "unknown attribute", with_node(0, bias="shift"), "unknown attribute `bias`"
    yield "unknown activation", with_node(0, activation="gelu"), "unknown activation `gelu`"
    yield "slope without leaky ReLU", with_node(1, slope=0.1), "unknown attribute `slope`"
    yield "no slope", with_graph(lambda g: g["nodes"][0].pop("slope")), "has no `slope`"
    yield "slope a string", with_node(0, slope="0.2"), "`slope` must be made of numbers"
    yield "slope 1e300", with_node(0, slope=1e300), "`slope`"
    yield "shape empty", with_node(0, shape=[]), "one to three dimensions"
    yield "shape of four", with_node(0, shape=[5, 6, 4, 1]), "one to three dimensions"
    yield "shape with 0", with_node(0, shape=[5, 0, 4]), "`shape` has 0"
    yield "shape 2^63", with_node(0, shape=[5, 2**63, 4]), "out of range"
    yield "input 2^29", with_graph(lambda g: g.update(input=[2**29])), "`input` has 536870912"
    yield "input too large", with_graph(lambda g: g.update(input=[2**10, 2**10, 2**10])), "more than 268435456 elements"
    yield "input overflows", with_graph(lambda g: g.update(input=[2**28, 2**28, 2**28])), "more than 268435456 elements"


def broken_convolutions() -> Iterator[tuple[str, bytes, str]]:
    yield "kernel of one", with_node(0, kernel=[3]), "one integer a spatial dimension"
    yield "kernel of three", with_node(0, kernel=[3, 3, 3]), "one integer a spatial dimension"
    yield "kernel 0", with_node(0, kernel=[0, 3]), "`kernel` has 0"
    yield "kernel 2^20", with_node(0, kernel=[2**20, 2**20]), "too many weights"
    yield "kernel 2^60", with_node(0, kernel=[2**60, 3]), "`kernel` has"
    yield "kernel 2", with_node(0, kernel=[2, 3]), "`bits` has the wrong shape"
    yield "stride 0", with_node(0, stride=[0, 2]), "`stride` has 0"
    yield "stride negative", with_node(0, stride=[-2, 2]), "`stride` has -2"
    yield "stride 2^62", with_node(0, stride=[2**62, 2]), "`stride` has"
    yield "padding negative", with_node(0, padding=[-1, 1]), "`padding` has -1"
    yield "padding beyond the kernel", with_node(0, padding=[3, 1]), "`padding` has 3"
    yield "padding 2^62", with_node(1, padding=[2**62, 1]), "`padding` has"
    yield "dilation 0", with_node(0, dilation=[0, 1]), "`dilation` has 0"
    yield "dilation 2^40", with_node(0, dilation=[2**40, 1]), "`dilation` has"
    yield "groups 0", with_node(0, groups=0), "`groups` has 0"
    yield "groups 2", with_node(0, groups=2), "`groups` 2 does not divide"
    yield "value too tall", with_node(0, shape=[5, 9, 4]), "`shape` has 9"
    yield "convolution too tall", with_node(1, shape=[2, 10, 5]), "`shape` has 10"
    yield "value of fewer dimensions", with_node(0, shape=[5, 6]), "[C, L] or [C, H, W]"
    yield "more output channels", with_node(0, shape=[6, 6, 4]), "wrong shape"
    yield "weights beyond any file", with_node(0, kernel=[2**20, 2**20], shape=[2**20, 6, 4]), "too many weights"
    yield "weight not found", with_node(0, weight="nobits"), "tensor `nobits` not found"
    yield "weight a number", with_node(0, weight=1), "`weight` must be a string"

    def share(g: Json) -> None:
        g["nodes"].append(copy.deepcopy(g["nodes"][1]))
        g["nodes"][2].update(inputs=[2], shape=[5, 8, 6], kernel=[2, 2], groups=1, weight="floats")
        g["nodes"][2].pop("shift")

    yield "weight shared as another shape", with_graph(share), "wrong shape"


def broken_operators() -> Iterator[tuple[str, bytes, str]]:
    def image(op: str, shape: list[int], **attributes: Any) -> bytes:
        return alone(node(op, [0], tuple(shape), **attributes), [4, 2, 3])

    yield "linear of an image", image("linear", [4], weight="w"), "must both be [C]"
    yield "affine to another shape", image("affine", [4, 3, 2]), "must have the input's shape"
    yield "reshape to more", image("reshape", [25]), "as many elements"
    yield "add of one", image("add", [4, 2, 3]), "reads 1 values instead of two or more"
    yield "shuffle by 0", image("pixel_shuffle", [1, 4, 6], factor=0), "`factor` has 0"
    yield "shuffle by 3", image("pixel_shuffle", [1, 6, 9], factor=3), "[C f f, H, W]"
    yield "shuffle to a vector", image("pixel_shuffle", [24], factor=2), "[C f f, H, W]"
    yield "upsample channels", image("upsample", [5, 4, 6], mode="nearest", step=[0.5, 0.5]), "same channels"
    yield "upsample cubic", image("upsample", [4, 4, 6], mode="cubic", step=[0.5, 0.5]), "unknown mode `cubic`"
    yield "upsample step of one", image("upsample", [4, 4, 6], mode="nearest", step=[0.5]), "`step` needs one number"
    yield (
        "upsample step negative",
        image("upsample", [4, 4, 6], mode="nearest", step=[-0.5, 1]),
        "`step` has a number outside 0 .. 268435456",
    )
    yield "upsample step 1e300", image("upsample", [4, 4, 6], mode="nearest", step=[1e300, 1]), "`step`"
    yield (
        "nearest with corners",
        image("upsample", [4, 4, 6], mode="nearest", step=[1, 1], align_corners=True),
        "unknown attribute",
    )
    yield (
        "bilinear without corners",
        image("upsample", [4, 4, 6], mode="bilinear", step=[1, 1]),
        "has no `align_corners`",
    )
    corners = {"mode": "bilinear", "step": [1, 1], "align_corners": 1}
    yield "corners a number", image("upsample", [4, 4, 6], **corners), "must be true or false"
    line = node("upsample", [0], (4, 6), mode="bilinear", step=[0.5], align_corners=False)
    yield "bilinear of a line", alone(line, [4, 3]), "bilinear needs [C, H, W]"
    two = {"op": "concat", "name": "c", "inputs": [0, 0]}
    yield "concat axis 3", alone(two | {"shape": [8, 2, 3], "axis": 3}, [4, 2, 3]), "`axis` has 3"
    yield "concat too short", alone(two | {"shape": [7, 2, 3], "axis": 0}, [4, 2, 3]), "as long along `axis`"
    yield "concat along another axis", alone(two | {"shape": [8, 2, 3], "axis": 1}, [4, 2, 3]), "along `axis`"
    yield "add to another shape", alone({"op": "add", "name": "a", "inputs": [0, 0], "shape": [5]}, [4]), "same shape"


def enormous_shapes() -> Iterator[tuple[str, bytes, str]]:
    """Small files whose values would be enormous: refused when opened, before any memory is taken."""
    large = [2**8, 2**10, 2**10]
    chain = [node("affine", [i], tuple(large)) for i in range(20)]
    total = {"op": "add", "name": "all", "inputs": list(range(21)), "shape": large}
    yield (
        "values too large together",
        assemble(header({"version": 1, "input": large, "nodes": [*chain, total], "output": 21}, {}), b""),
        "MiB to make one image",
    )
    shape = [2**28]
    halves = {"op": "concat", "name": "c", "inputs": [0, 0], "axis": 0, "shape": [2**29]}
    yield "doubled beyond the limit", alone(halves, shape), "`shape` has 536870912"
    wide = node("linear", [0], (2**28,), weight="w")
    yield "a linear layer without its weights", alone(wide, [2**28], w=np.zeros(1, np.uint8)), "too many weights"
