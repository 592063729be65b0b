"""Graphs that lie: each a small file with one thing wrong, for every check of the graph and of its sizes."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from hostile_files import Json, hostile_containers, node, some, with_graph, with_node

Hostile = Iterator[tuple[str, bytes, str]]

LARGE = 2**28  # numbers that a value may have


def hostile_files() -> Hostile:
    """Names, contents, and what the message must contain: those that no engine opens."""
    yield from hostile_containers()
    yield from broken_graphs()
    yield from broken_ends()
    yield from broken_sizes()
    yield from broken_programs()
    yield from broken_layers()
    yield from broken_views()
    yield from broken_operators()
    yield from broken_fixed_sizes()
    yield from enormous_shapes()


def broken_graphs() -> Hostile:
    yield "no version", with_graph(lambda g: g.pop("version")), "has no `version`"
    yield "version 1", with_graph(lambda g: g.update(version=1)), "version 1; this engine reads version 2"
    yield "version 2.0", with_graph(lambda g: g.update(version=2.0)), "`version`"
    yield "more in the graph", with_graph(lambda g: g.update(x=1)), "unknown attribute `x`"
    yield "nodes an object", with_graph(lambda g: g.update(nodes={})), "`nodes` must be a list"
    yield "node a number", with_graph(lambda g: g["nodes"].append(3)), "node 2: must be an object"
    yield "no sizes", with_graph(lambda g: g.pop("sizes")), "has no `sizes`"
    yield "reads itself", with_node(0, inputs=[1]), "node 0 `the conv_transpose`: reads value 1"
    yield "reads a later node", with_node(0, inputs=[2]), "reads value 2"
    yield "reads value 2^62", with_node(1, inputs=[2**62]), "reads value 4611686018427387904"
    yield "reads value 2^32 and one", with_node(1, inputs=[2**32 + 1]), "reads value 4294967297"
    yield "reads value -1", with_node(1, inputs=[-1]), "`inputs` has -1"
    yield "inputs a number", with_node(1, inputs=1), "`inputs` must be a list"
    yield "no name", with_graph(lambda g: g["nodes"][0].pop("name")), "has no `name`"
    yield "name a number", with_node(0, name=1), "`name` must be a string"
    yield "unknown op", with_node(0, op="softmax"), "unknown op `softmax`"
    yield "unknown attribute", with_node(0, bias="shift"), "unknown attribute `bias`"
    yield "another operator's attribute", with_node(0, axis=1), "unknown attribute `axis`"
    yield "shape empty", with_node(0, shape=[]), "1 to 8 dimensions"
    yield "shape of nine", with_node(0, shape=[1] * 9), "1 to 8 dimensions"
    yield "shape with 0", with_node(0, shape=[1, 5, 0, 4]), "`shape` has 0"
    yield "shape with a real", with_node(0, shape=[1, 5, 6.0, 4]), "`shape` must be made of integers"
    yield "shape 2^63", with_node(0, shape=[1, 5, 2**63, 4]), "out of range"
    yield "shape of 2^32", with_node(0, shape=[1, 5, 2**32, 4]), "`shape` has 4294967296"
    yield "shape of 2^64 numbers", with_node(0, shape=[1, 2**16, 2**16, 2**16, 2**16]), "more than 268435456 numbers"
    yield "no nodes but an input twice", with_graph(lambda g: g.update(nodes=[])), "`outputs` has 2"


def broken_ends() -> Hostile:
    def inputs(*sources: Any) -> bytes:
        return with_graph(lambda g: g.update(inputs=list(sources)))

    def outputs(*ends: Any) -> bytes:
        return with_graph(lambda g: g.update(outputs=list(ends)))

    good, shape = {"name": "z", "shape": [1, 7, 3, 2]}, [1, 7, 3, 2]
    yield "no inputs", inputs(), "1 to 64 inputs"
    yield "65 inputs", inputs(*({"name": f"{i}", "shape": shape} for i in range(65))), "1 to 64 inputs"
    yield "inputs of one name", inputs(good, good), "another has its name"
    yield "input a list", inputs([]), "input 0: must be an object"
    yield "input without a name", inputs({"shape": shape}), "has no `name`"
    yield "input without a shape", inputs({"name": "z"}), "has no `shape`"
    yield "input with more", inputs(good | {"x": 1}), "unknown attribute `x`"
    yield "integer a number", inputs(good | {"integer": 1}), "must be true or false"
    yield "noise of a kind", inputs(good, {"name": "n", "shape": [1], "noise": "pink"}), "unknown noise `pink`"
    yield "noise alone", inputs(good | {"noise": "normal"}), "no input but noise"
    noise = {"name": "n", "shape": [1, "H"], "noise": "normal"}
    yield "noise of a size of its own", inputs(good, noise), "names the size `H`"
    yield "input that is a batch", inputs({"name": "z", "shape": [2, 7, 3, 2]}), "must begin with 1, the batch"
    yield "input of a free batch", inputs({"name": "z", "shape": ["N", 7, 3, 2]}), "must begin with 1, the batch"
    yield "input of nothing", inputs({"name": "z", "shape": []}), "1 to 8 dimensions"
    yield "input 2^29", inputs({"name": "z", "shape": [1, 2**29]}), "`shape` has 536870912"
    yield "input too large", inputs({"name": "z", "shape": [1, 2**10, 2**10, 2**10]}), "more than 268435456 numbers"
    yield "input overflows", inputs({"name": "z", "shape": [1, LARGE, LARGE, LARGE]}), "more than 268435456 numbers"
    yield "size with a space", inputs({"name": "z", "shape": [1, 7, 3, "a b"]}), "consists of letters"
    yield "size without letters", inputs({"name": "z", "shape": [1, 7, 3, ""]}), "consists of letters"
    yield "size that begins with a digit", inputs({"name": "z", "shape": [1, 7, 3, "2a"]}), "consists of letters"
    yield "no outputs", outputs(), "1 to 64 outputs"
    yield "65 outputs", outputs(*([f"{i}", 2] for i in range(65))), "1 to 64 outputs"
    yield "outputs missing", with_graph(lambda g: g.pop("outputs")), "has no `outputs`"
    yield "outputs of one name", outputs(["a", 2], ["a", 2]), "same name"
    yield "output dangling", outputs(["a", 3]), "`outputs` has 3"
    yield "output negative", outputs(["a", -1]), "`outputs` has -1"
    yield "output of three", outputs(["a", 2, 2]), "a name and a value"
    yield "output a number", outputs(2), "`outputs` must be a list"
    many = node("reshape", [0], [3, 7, 2])
    yield "output of a batch", some([many], [1, 7, 3, 2]), "must begin with 1, the batch"


def broken_sizes() -> Hostile:
    def sizes(*rules: Any) -> bytes:
        return some([node("reshape", [0], [1, "H"])], [1, "H"], sizes=list(rules))

    yield "size a string", sizes("a"), "`sizes` must be a list"
    yield "size of three", sizes(["a", "+", 1]), "a name, an operator and two operands"
    yield "size of five", sizes(["a", "+", 1, 2, 3]), "a name, an operator and two operands"
    yield "size without a name", sizes([1, "+", 1, 2]), "`sizes` must be a string"
    yield "size of another operator", sizes(["a", "**", 2, 2]), "unknown operator of a size `**`"
    yield "size twice", sizes(["a", "+", 1, 2], ["a", "+", 1, 2]), "two sizes `a`"
    yield "size that is free", sizes(["H", "+", 1, 2]), "two sizes `H`"
    yield "size of a bad name", sizes(["a-b", "+", 1, 2]), "consists of letters"
    yield "size of itself", sizes(["a", "+", "a", 2]), "names the size `a`, which nothing before it makes"
    yield "sizes in a circle", sizes(["a", "+", "b", 2], ["b", "+", "a", 2]), "names the size `b`"
    yield "size of nothing", sizes(["a", "+", "H", "W"]), "names the size `W`"
    yield "size of a real", sizes(["a", "+", "H", 0.5]), "must be made of integers"
    yield "size beyond 2^53", sizes(["a", "+", "H", 2**53 + 1]), "`sizes` has 9007199254740993"
    yield "scaled by a name", sizes(["a", "scaled", "H", "H"]), "must be made of numbers"
    yield "scaled by 1e300", sizes(["a", "scaled", "H", 1e300]), "`sizes` has a number outside"
    yield "shape of an unknown size", some([node("reshape", [0], [1, "W"])], [1, "H"]), "names the size `W`"


def broken_programs() -> Hostile:
    def program(*steps: Any, numbers: Any = None, **attributes: Any) -> bytes:
        given = {} if numbers is None else {"numbers": numbers}
        return some([node("map", [0], [1, 4], program=list(steps), **given, **attributes)], [1, 4])

    yield "no program", some([node("map", [0], [1, 4])], [1, 4]), "has no `program`"
    yield "empty program", program(), "1 to 256 instructions"
    yield "257 instructions", program(*[["neg", 0]] * 257), "1 to 256 instructions"
    yield "257 numbers", program(["neg", 0], numbers=[1] * 257), "at most 256 numbers"
    yield "number a list", program(["neg", 0], numbers=[[]]), "`numbers` must be made of numbers"
    yield "number of no size", program(["neg", 0], numbers=["H"]), "names the size `H`"
    yield "number 1e39", program(["neg", 0], numbers=[1e39]), "`numbers` has a number outside"
    yield "instruction a string", program("neg"), "`program` must be a list"
    yield "instruction of nothing", program([]), "a name and operands"
    yield "instruction unknown", program(["gelu", 0]), "unknown instruction `gelu`"
    yield "instruction a number", program([1, 0]), "`instruction` must be a string"
    yield "operand missing", program(["add", 0]), "too many operands, or too few"
    yield "operand too many", program(["neg", 0, 0]), "too many operands, or too few"
    yield "where of two", program(["where", 0, 0]), "too many operands, or too few"
    yield "operand of its own", program(["neg", 1]), "`program` has 1, outside 0 .. 0"
    yield "operand of the future", program(["neg", 2], ["neg", 0]), "`program` has 2, outside 0 .. 0"
    yield "operand negative", program(["neg", -1]), "`program` has -1"
    yield "operand 2^16", program(["neg", 2**16]), "`program` has 65536"
    yield "operand of none", some([node("map", [], [1, 4], program=[["neg", 0]])], [1, 4]), "outside 0 .. -1"
    yield "17 inputs", some([node("map", [0] * 17, [1, 4], program=[["neg", 0]])], [1, 4]), "more than 16"
    yield "input of more dimensions", some([node("map", [0], [4], program=[["neg", 0]])], [1, 4]), "more dimensions"
    linear = node("linear", [0] * 18, [1, 4], weight="w", program=[["neg", 0]])
    yield "layer of 18 inputs", some([linear], [1, 4], w=np.zeros(2, np.uint8)), "at most 16 values"
    reduce = node("reduce", [0] * 17, [1, 1], kind="sum", axes=[1], program=[["neg", 0]])
    yield "reduce of 17 inputs", some([reduce], [1, 4]), "more than 16"
    yield "layer without a program", with_node(1, inputs=[1, 1], program=None), "`program` must be a list"
    yield "layer that reads two", with_graph(lambda g: without(g, 1, "program").update(inputs=[1, 1])), "no `program`"


def without(g: Json, index: int, key: str) -> Json:
    made: Json = g["nodes"][index]
    del made[key]
    return made


def broken_layers() -> Hostile:
    yield "reads nothing", with_node(1, inputs=[]), "reads too few values"
    yield "kernel of one", with_node(0, kernel=[3]), "one integer a spatial dimension"
    yield "kernel of three", with_node(0, kernel=[3, 3, 3]), "one integer a spatial dimension"
    yield "kernel 0", with_node(0, kernel=[0, 3]), "`kernel` has 0"
    yield "kernel 2^20", with_node(0, kernel=[2**20, 2**20]), "too many weights"
    yield "kernel 2^60", with_node(0, kernel=[2**60, 3]), "`kernel` has"
    yield "kernel 2", with_node(0, kernel=[2, 3]), "`bits` has the wrong shape"
    yield "constant of its own, missing", some([node("constant", [], [1, 2], tensor=True)], [1, 2]), "not found"
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
    yield "value of fewer dimensions", with_node(0, shape=[1, 5, 6]), "[1, C, L] or [1, C, H, W]"
    yield "value of one dimension", with_node(0, shape=[1]), "[1, C, L] or [1, C, H, W]"
    yield "value of more images", with_node(0, shape=[2, 5, 6, 4]), "[1, C, L] or [1, C, H, W]"
    yield "more output channels", with_node(0, shape=[1, 6, 6, 4]), "wrong shape"
    yield "weights beyond any file", with_node(0, kernel=[2**20, 2**20], shape=[1, 2**20, 6, 4]), "too many weights"
    yield "weight not found", with_node(0, weight="nobits"), "tensor `nobits` not found"
    yield "weight a number", with_node(0, weight=1), "`weight` must be a string"
    yield "weight false", with_node(0, weight=False), "`weight` must be a string"
    yield "weight of its own, missing", with_node(0, weight=True), ".weight` not found"
    yield "shift of its own, missing", with_node(0, shift=True), ".shift` not found"

    def share(g: Json) -> None:
        g["nodes"].append(copy.deepcopy(g["nodes"][1]))
        g["nodes"][2].update(inputs=[2], shape=[1, 5, 8, 6], kernel=[2, 2], groups=1, weight="floats")
        g["nodes"][2].pop("shift")

    yield "weight shared as another shape", with_graph(share), "wrong shape"

    free = {"kernel": [1], "stride": [1], "padding": [0], "dilation": [1], "groups": 1, "weight": "w"}
    byte = np.zeros(1, np.uint8)
    yield "free input channels", some([node("conv", [0], [1, 4, 2], **free)], [1, "C", 2], w=byte), "channels must be"
    yield (
        "free output channels",
        some([node("conv", [0], [1, "C", 2], **free)], [1, 4, "C"], w=byte),
        "channels must be",
    )
    yield "free features", some([node("linear", [0], [1, 4], weight="w")], [1, "C"], w=byte), "channels must be"
    yield "linear of nothing", some([node("linear", [], [1, 4], weight="w")], [1, 4], w=byte), "reads no value"
    yield "linear of fewer", some([node("linear", [0], [1, 4, 4], weight="w")], [1, 4], w=byte), "as many dimensions"
    two = [node("linear", [0], [1, 4], weight="w"), node("linear", [1], [1, 2], weight="w")]
    yield "weight shared by other channels", some(two, [1, 2], w=byte), "which has another shape"
    numbers = np.zeros((4, 2), np.float32)
    three = [node("linear", [0], [1, 4], weight="w"), node("constant", [], [4, 2], tensor="w")]
    three.append(node("reduce", [2], [1, 1], kind="sum", axes=[0, 1]))
    made = [three[1], three[0] | {"inputs": [0]}]
    yield "weight that is a constant", some(made, [1, 2], w=numbers), "shares its weight with node 0"
    del free["weight"]
    computed = [node("reshape", [1], [4, 3, 1]), node("conv", [0, 2], [1, 4, 5], **free)]
    yield "computed weight of other channels", some(computed, [1, 2, 5], [1, 12]), "its second input must be"
    yield "no weight at all", some([node("conv", [0], [1, 4, 5], **free)], [1, 2, 5]), "too few values"
    late = [node("reshape", [1], ["K", 2, 1]), node("conv", [0, 2], [1, 4, 5], **free)]
    yield "computed weight of a free size", some(late, [1, 2, 5], [1, "K", 2]), "its second input must be"


def broken_views() -> Hostile:
    def view(op: str, shape: list[Any], **attributes: Any) -> bytes:
        return some([node(op, [0], shape, **attributes)], [1, 4, 3])

    yield "reshape to more", view("reshape", [1, 13]), "cannot see (1, 4, 3) as (1, 13)"
    yield "reshape of two", some([node("reshape", [0, 0], [1, 12])], [1, 12]), "reads 2 values instead of 1"
    yield "permute of one axis", view("permute", [1, 4, 3], axes=[0, 1]), "must name every dimension"
    yield "permute twice the same", view("permute", [1, 4, 3], axes=[0, 1, 1]), "names a dimension twice"
    yield "permute beyond", view("permute", [1, 4, 3], axes=[0, 1, 3]), "`axes` has 3"
    yield "permute to another shape", view("permute", [1, 4, 3], axes=[0, 2, 1]), "permutes another shape"
    yield "permute to fewer", view("permute", [1, 4], axes=[0, 1]), "as many dimensions"
    yield "expand what is not 1", view("expand", [1, 8, 3]), "(1, 4, 3) does not broadcast to (1, 8, 3)"
    yield "expand to more dimensions", view("expand", [1, 1, 4, 3]), "as many dimensions"
    yield "slice along no axis", view("slice", [1, 4, 3], axis=3, start=0, step=1), "`axis` has 3"
    yield "slice along -1", view("slice", [1, 4, 3], axis=-1, start=0, step=1), "`axis` has -1"
    yield "slice of step 0", view("slice", [1, 4, 3], axis=1, start=0, step=0), "`step` is 0"
    yield "slice from -1", view("slice", [1, 4, 3], axis=1, start=-1, step=1), "`start` has -1"
    yield "slice beyond the end", view("slice", [1, 4, 3], axis=1, start=1, step=1), "takes numbers 1 to 4 of 4"
    yield "slice from beyond", view("slice", [1, 1, 3], axis=1, start=4, step=1), "takes numbers 4 to 4 of 4"
    yield "slice before the beginning", view("slice", [1, 3, 3], axis=1, start=1, step=-1), "takes numbers 1 to -1"
    yield "slice of a large step", view("slice", [1, 2, 3], axis=1, start=0, step=LARGE), "to 268435456 of 4"
    yield "slice of a larger step", view("slice", [1, 2, 3], axis=1, start=0, step=2**40), "`step` has"
    yield "slice changes another axis", view("slice", [1, 2, 2], axis=1, start=0, step=1), "makes (1, 2, 2) of"
    yield "slice without a start", view("slice", [1, 2, 3], axis=1, step=1), "has no `start`"
    pair = [node("concat", [0, 0], [1, 8, 3], axis=3)]
    yield "concat axis 3", some(pair, [1, 4, 3]), "`axis` has 3"
    yield "concat of one", view("concat", [1, 4, 3], axis=1), "fewer than two values"
    yield "concat too short", some([pair[0] | {"axis": 1, "shape": [1, 7, 3]}], [1, 4, 3]), "not as long as its inputs"
    yield "concat along another axis", some([pair[0] | {"axis": 2}], [1, 4, 3]), "joins values that do not fit"
    yield "concat of other dimensions", some([pair[0] | {"axis": 0, "shape": [1, 8]}], [1, 4, 3]), "as many dimensions"
    zero = {"before": [0, 0, 0], "mode": "replicate"}
    yield "pad before one axis", view("pad", [1, 4, 3], **zero | {"before": [0]}), "a count a dimension"
    yield "pad of a negative count", view("pad", [1, 4, 3], **zero | {"before": [0, -1, 0]}), "`before` has -1"
    yield "pad of another mode", view("pad", [1, 4, 3], **zero | {"mode": "wrap"}), "unknown mode `wrap`"
    yield "pad without a value", view("pad", [1, 4, 3], **zero | {"mode": "constant"}), "has no `value`"
    yield "pad with a value", view("pad", [1, 4, 3], **zero, value=0), "unknown attribute `value`"
    yield "pad to less", view("pad", [1, 4, 2], **zero), "pads (1, 4, 3) to (1, 4, 2)"
    yield "pad before the end", view("pad", [1, 5, 3], **zero | {"before": [0, 2, 0]}), "pads (1, 4, 3)"
    mirror = {"before": [0, 4, 0], "mode": "reflect"}
    yield "pad with the edge", view("pad", [1, 8, 3], **mirror), "pads 4 pixels with 4 of their own"
    circle = {"before": [0, 0, 0], "mode": "circular"}
    yield "pad twice around", view("pad", [1, 9, 3], **circle), "pads 4 pixels with 5 of their own"
    yield "take of one", view("take", [1, 4, 3], axis=1), "reads 1 values instead of 2"
    yield "take along no axis", some([node("take", [0, 1], [1, 2], axis=2)], [1, 4], [1, 2]), "`axis` has 2"
    yield "take too few", some([node("take", [0, 1], [1, 2], axis=1)], [1, 4], [1, 2]), "not as many dimensions"
    taken = [node("take", [0, 1], [1, 1, 3], axis=1)]
    yield "take another number", some(taken, [1, 4], [1, 2]), "makes (1, 1, 3) of (1, 4) and (1, 2)"


def broken_operators() -> Hostile:
    def image(op: str, shape: list[Any], **attributes: Any) -> bytes:
        return some([node(op, [0], shape, **attributes)], [1, 4, 3])

    yield "map to another shape", image("map", [1, 4, 2], program=[["neg", 0]]), "does not broadcast"
    yield "reduce of another kind", image("reduce", [1, 1, 3], kind="prod", axes=[1]), "unknown kind `prod`"
    yield "reduce over nothing", image("reduce", [1, 4, 3], kind="sum", axes=[]), "`axes` is empty"
    yield "reduce over 3", image("reduce", [1, 4, 3], kind="sum", axes=[3]), "`axes` has 3"
    yield "reduce backwards", image("reduce", [1, 1, 1], kind="sum", axes=[2, 1]), "`axes` must ascend"
    yield "reduce twice", image("reduce", [1, 1, 3], kind="sum", axes=[1, 1]), "`axes` must ascend"
    yield "reduce to more", image("reduce", [1, 4, 3], kind="sum", axes=[1]), "makes (1, 4, 3) of (1, 4, 3)"
    yield "reduce to fewer dimensions", image("reduce", [1, 3], kind="sum", axes=[0]), "makes (1, 3) of"
    both = [node("reduce", [0, 1], [1, 1], kind="sum", axes=[1], program=[["add", 0, 1]])]
    yield "reduce what does not broadcast", some(both, [1, 4], [1, 3]), "does not broadcast"
    outer = [node("reduce", [0, 1], [1] * 3, kind="sum", axes=[1, 2], program=[["add", 0, 1]])]
    yield "reduce of 2^40 numbers", some(outer, [1, 2**20, 1], [1, 1, 2**20]), "more than 268435456 numbers"
    blank = np.zeros((4, 3), np.float32)
    constant = [node("constant", [], [1, 4, 3], tensor="c")]
    yield "constant of another shape", some(constant, [1, 4], c=blank), "`c` has the wrong shape"
    yield "constant of bits", some(constant, [1, 4], c=np.zeros(12, np.uint8)), "`c` has the wrong shape"
    free = [node("constant", [], ["H", 3], tensor="c")]
    yield "constant of a free size", some(free, [1, "H"], c=blank), "`c` has the wrong shape"
    yield "constant that reads", some([node("constant", [0], [1], tensor="c")], [1], c=blank), "reads 1 values"
    yield "constant of nothing", some([node("constant", [], [1, 4, 3], tensor="d")], [1], c=blank), "`d` not found"
    yield "range of two dimensions", some([node("range", [], [1, 3], start=0, step=1)], [1]), "one dimension"
    yield "range of no size", some([node("range", [], [1], start="H", step=1)], [1]), "names the size `H`"
    yield "range of 1e39", some([node("range", [], [1], start=1e39, step=1)], [1]), "`start` has a number outside"
    bigger = {"mode": "nearest", "axes": [1, 2], "step": [0.5, 0.5]}
    yield "resample of another mode", image("resample", [1, 8, 6], **bigger | {"mode": "area"}), "unknown mode `area`"
    yield (
        "resample with a step too few",
        image("resample", [1, 8, 6], **bigger | {"step": [1]}),
        "`step` needs a number",
    )
    yield (
        "resample with a negative step",
        image("resample", [1, 8, 6], **bigger | {"step": [-1, 1]}),
        "`step` has a number",
    )
    yield "resample step 1e300", image("resample", [1, 8, 6], **bigger | {"step": [1e300, 1]}), "`step` has a number"
    yield "resample another axis", image("resample", [1, 8, 6], **bigger | {"axes": [0, 1]}), "makes (1, 8, 6) of"
    yield "nearest with corners", image("resample", [1, 8, 6], **bigger, align_corners=True), "unknown attribute"
    yield "linear without corners", image("resample", [1, 8, 6], **bigger | {"mode": "linear"}), "no `align_corners`"
    corners = bigger | {"mode": "cubic", "align_corners": 1}
    yield "corners a number", image("resample", [1, 8, 6], **corners), "must be true or false"
    window = {"kind": "max", "kernel": [2], "stride": [1], "padding": [0], "dilation": [1]}
    yield "pool of another kind", image("pool", [1, 4, 2], **window | {"kind": "sum"}), "unknown kind `sum`"
    yield "pool without windows", image("pool", [1, 4, 2], **{key: [] for key in window}), "`kind` must be a string"
    empty = {"kind": "max", "kernel": [], "stride": [], "padding": [], "dilation": []}
    yield "pool of nothing", image("pool", [1, 4, 3], **empty), "too many integers, or none"
    yield "pool of too much", image("pool", [1, 4, 3], **four_times(window)), "too many integers, or none"
    yield "pool of two lengths", image("pool", [1, 4, 2], **window | {"stride": [1, 1]}), "must be as long"
    yield "pool beyond its window", image("pool", [1, 4, 2], **window | {"padding": [2]}), "larger than the window"
    yield "pool of kernel 2^21", image("pool", [1, 4, 2], **window | {"kernel": [2**21]}), "`kernel` has"
    yield "pool that pads a maximum", image("pool", [1, 4, 2], **window, padded=True), "unknown attribute `padded`"
    yield "mean that pads or not", image("pool", [1, 4, 2], **window | {"kind": "mean"}), "has no `padded`"
    yield "pool that changes channels", image("pool", [1, 5, 2], **window), "makes (1, 5, 2) of (1, 4, 3)"
    yield "window after the input", image("pool", [1, 4, 4], **window), "windows without a pixel"
    wide = window | {"dilation": [4], "padding": [1]}
    yield "window around the input", image("pool", [1, 4, 2], **wide | {"stride": [3]}), "windows without a pixel"
    around = window | {"dilation": [8], "padding": [4]}
    yield "window on both sides of the input", image("pool", [1, 4, 1], **around), "windows without a pixel"
    before = window | {"kernel": [3], "padding": [2**20], "dilation": [2**20]}
    yield "windows before the input", image("pool", [1, 4, 4], **before), "windows without a pixel"
    yield "adaptive without axes", image("adaptive_pool", [1, 4, 3], kind="max", axes=[]), "`axes` is empty"
    yield "adaptive along 0 and 2", image("adaptive_pool", [1, 4, 2], kind="max", axes=[0, 2]), "must be neighbours"
    yield "adaptive that changes channels", image("adaptive_pool", [1, 5, 2], kind="max", axes=[2]), "makes (1, 5, 2)"
    yield "matmul of one", image("matmul", [1, 4, 4]), "reads 1 values instead of 2"
    yield "matmul of vectors", some([node("matmul", [0, 0], [4])], [4]), "must begin with 1"
    line = [node("reshape", [0], [4]), node("matmul", [0, 1], [1, 4])]
    yield "matmul of a vector", some(line, [1, 4]), "inputs must be matrices"
    yield "matmul to more dimensions", some([node("matmul", [0, 0], [1, 1, 1])], [1, 1]), "inputs must be matrices"
    product = [node("matmul", [0, 1], [1, 4, 5])]
    yield "matmul that does not fit", some(product, [1, 4, 3], [1, 2, 5]), "makes (1, 4, 5) of (1, 4, 3) and (1, 2, 5)"
    yield "matmul of other batches", some([node("matmul", [0, 0], [1, 2, 2, 2])], [1, 3, 2, 2]), "makes (1, 2, 2, 2)"


def four_times(window: Json) -> Json:
    return {key: value * 4 if isinstance(value, list) else value for key, value in window.items()}


def broken_fixed_sizes() -> Hostile:
    """What hangs on sizes, none of which is free: so all is known when the file is opened."""

    def sized(*rules: Any) -> bytes:
        return some([node("reshape", [0], [1, rules[-1][0]])], [1, 4], sizes=list(rules))

    yield "value too tall", with_node(0, shape=[1, 5, 9, 4]), "more than its attributes can make of (1, 7, 3, 2)"
    yield "convolution too tall", with_node(1, shape=[1, 2, 10, 5]), "more than its attributes can make"
    yield "size divided by 0", sized(["a", "//", 4, 0]), "divides by 0"
    yield "rest of a division by 0", sized(["a", "-", 4, 4], ["b", "%", 4, "a"]), "divides by 0"
    yield "size of 0", sized(["a", "-", 4, 4]), "its dimension 1 would be 0"
    yield "size below 0", sized(["a", "-", 4, 9]), "its dimension 1 would be -5"
    yield "size of 2^53 and more", sized(["a", "+", 2**53, 2**53], ["b", "min", "a", 4]), "outside -2^53 .. 2^53"
    yield "size of -2^54", sized(["a", "-", -(2**53), 2**53], ["b", "max", "a", 4]), "outside -2^53 .. 2^53"
    yield "size of 2^106", sized(["a", "*", 2**53, 2**53], ["b", "min", "a", 4]), "outside -2^53 .. 2^53"
    yield "size of -2^106", sized(["a", "*", -(2**53), 2**53], ["b", "max", "a", 4]), "outside -2^53 .. 2^53"
    yield "size of 2^64 and 4", sized(["a", "*", 2**32, 2**32], ["b", "+", "a", 4]), "outside -2^53 .. 2^53"
    yield "size scaled to 1e38", sized(["a", "scaled", 2**53, 3e38], ["b", "min", "a", 4]), "outside -2^53 .. 2^53"
    yield "size scaled to -1e38", sized(["a", "scaled", 2**53, -3e38], ["b", "max", "a", 4]), "outside -2^53 .. 2^53"
    yield "size of 2^32 and 4", sized(["a", "+", 2**32, 4]), "more than 268435456 numbers in (1, 4294967300)"
    yield "size of 2^53", sized(["a", "+", 2**53, 0]), "more than 268435456 numbers"
    product = [node("expand", [0], [1, "a", "a", "a"])]
    yield "a product of 2^64", some(product, [1, 1, 1, 1], sizes=[["a", "+", LARGE, 0]]), "more than 268435456 numbers"
    late = [node("slice", [0], [1, 2], axis=1, start="a", step=1)]
    yield "slice from a size", some(late, [1, 4], sizes=[["a", "-", 0, 1]]), "takes numbers -1 to 0 of 4"
    yield "slice from 2^53", some(late, [1, 4], sizes=[["a", "+", 2**53, 0]]), "takes numbers 9007199254740992"
    pad = [node("pad", [0], [1, 8], before=[0, "a"], mode="replicate")]
    yield "pad before by a size", some(pad, [1, 4], sizes=[["a", "-", 0, 1]]), "pads (1, 4) to (1, 8)"
    yield "pad before by 2^53", some(pad, [1, 4], sizes=[["a", "+", 2**53, 0]]), "pads (1, 4) to (1, 8)"
    noise = [{"name": "z", "shape": [1, 4]}, {"name": "n", "shape": [1, "a"], "noise": "normal"}]
    hidden = some([node("reshape", [0], [1, 4])], inputs=noise, sizes=[["a", "-", 4, 4]])
    yield "noise of size 0", hidden, "input `n`: its dimension 1 would be 0"


def enormous_shapes() -> Hostile:
    """Small files whose values would be enormous: refused when opened, before any memory is taken."""
    large = [1, 2**8, 2**10, 2**10]
    relu = {"program": [["relu", 0]]}
    for count in (5, 16, 17):  # of 1 GiB: more than is allowed, and with 32 bits nothing at all, or little
        chain = [node("map", [i], large, **relu) for i in range(count)]
        yield f"{count} values too large together", some([*chain, *total_of(count, large)], large), "MiB for one image"
    halves = node("concat", [0, 0], [1, 2**29], axis=1)
    yield "doubled beyond the limit", some([halves], [1, LARGE]), "`shape` has 536870912"
    wide = node("linear", [0], [1, LARGE], weight="w")
    yield "a linear layer without its weights", some([wide], [1, LARGE], w=np.zeros(1, np.uint8)), "too many weights"
    turned = node("resample", [0], [1, LARGE, 1], mode="linear", axes=[1, 2], step=[1, 1], align_corners=False)
    yield "large between two axes", some([turned], [1, 1, LARGE]), "MiB for one image"
    stairs = [turned | {"inputs": [i], "shape": [1, 1, LARGE] if i % 2 else [1, LARGE, 1]} for i in range(40)]
    yield "large between two axes, often", some(stairs, [1, 1, LARGE]), "MiB for one image"


def total_of(count: int, shape: list[int]) -> list[Json]:
    """Adds values 1 .. count, all of them kept till then."""
    nodes, sums = [], list(range(1, count + 1))
    while len(sums) > 1:
        nodes.append(node("map", [sums[0], sums[-1]], shape, program=[["add", 0, 1]]))
        sums = [*sums[1:-1], count + len(nodes)]
    return nodes


def hostile_sizes() -> Iterator[tuple[str, bytes, list[tuple[int, ...]], str]]:
    """Files that open; and inputs' shapes, without the batch, that they refuse with such a message."""

    def sized(*rules: Any) -> bytes:
        return some([node("expand", [0], [1, rules[-1][0]])], [1, 1], [1, "H"], sizes=list(rules))

    image = some([node("map", [0, 1], [1, 2, "H"], program=[["add", 0, 1]])], [1, 2, "H"], [1, 2, "H"])
    yield "other sizes elsewhere", image, [(2, 4), (2, 5)], "its dimension 2 is 5, but `H` is 4 elsewhere"
    yield "another fixed size", image, [(3, 4), (2, 4)], "input `in0`: its dimension 1 is 3 and must be 2"
    yield "fewer dimensions", image, [(2,), (2, 4)], "1 dimensions beside the batch instead of 2"
    yield "more dimensions", image, [(2, 4, 1), (2, 4)], "3 dimensions beside the batch instead of 2"
    yield "a size of 0", image, [(2, 0), (2, 0)], "its dimension 2 is 0, outside 1 .. 268435456"
    yield "a size of 2^29", image, [(2, 2**29)] * 2, "is 536870912, outside 1 .."
    yield "a size of 2^32 and 4", image, [(2, 2**32 + 4)] * 2, "outside 1 .."
    plane = some([node("map", [0], [1, "H", "W"], program=[["neg", 0]])], [1, "H", "W"])
    yield "2^56 numbers", plane, [(2**28, 2**28)], "numbers in (1, 268435456, 268435456)"
    yield "divided by 0", sized(["a", "-", "H", 3], ["b", "//", 6, "a"]), [(1,), (3,)], "divides by 0"
    yield "cropped away", sized(["a", "-", "H", 3]), [(1,), (3,)], "its dimension 1 would be 0; give a larger input"
    yield "cropped below 0", sized(["a", "-", "H", 3]), [(1,), (1,)], "its dimension 1 would be -2"
    power = [["a", "*", "H", "H"], ["b", "*", "a", "a"], ["c", "*", "b", "b"]]
    yield "a size of 2^64", sized(*power), [(1,), (2**8,)], "outside -2^53 .. 2^53"
    yield "a size of 2^32", sized(*power[:2]), [(1,), (2**8,)], "numbers in (1, 4294967296)"
    window = {"kind": "max", "kernel": [3], "stride": [2], "padding": [0], "dilation": [1]}
    pooled = some([node("pool", [0], [1, "a"], **window)], [1, "H"], sizes=[["a", "//", "H", 2]])
    yield "a window that is cut off", pooled, [(1,)], "would be 0"
    join = some([node("concat", [0, 1], [1, "a", "H"], axis=1)], [1, 2, "H"], [1, "W", 4], sizes=[["a", "+", "W", 2]])
    yield "joined with another size", join, [(2, 5), (3, 4)], "joins values that do not fit"
    crop = some([node("slice", [0], [1, 4], axis=1, start=1, step=1)], [1, "H"])
    yield "sliced too far", crop, [(4,)], "takes numbers 1 to 4 of 4; give a larger input"
    mirror = some([node("pad", [0], [1, "a"], before=[0, 3], mode="reflect")], [1, "H"], sizes=[["a", "+", "H", 3]])
    yield "mirrored too far", mirror, [(3,)], "pads 3 pixels with 3 of their own; give a larger input"
    seen = some([node("reshape", [0], [1, "a", 2])], [1, "H"], sizes=[["a", "//", "H", 2]])
    yield "an odd size in halves", seen, [(5,)], "cannot see (1, 5) as (1, 2, 2)"


def strange_files() -> Iterator[tuple[str, bytes]]:
    """Files that keep every rule, and are made to overflow: numbers of eight dimensions, steps, reaches, products."""
    step = node("slice", [0], [1, 1, 1], axis=1, start=0, step=LARGE)
    slices = [step | {"inputs": [i], "step": LARGE if i % 2 else -LARGE} for i in range(9)]
    yield "slices of one number by large steps", some(slices, [1, 1, 1])
    far = {"kernel": [2**8, 2**8], "stride": [1, 1], "padding": [0, 0], "dilation": [2**20, 2**20], "groups": 1}
    bits = np.zeros(2**13, np.uint8)
    for op in ("conv", "conv_transpose"):
        made = node(op, [0], [1, 1, "H", "W"], weight="w", **far)
        yield f"{op} that reaches far", some([made], [1, 1, "H", "W"], w=bits)
        yield f"{op} that reaches far, of fixed size", some([made | {"shape": [1, 1, 3, 2]}], [1, 1, 3, 2], w=bits)
    linear = node("linear", [0], [1, 2**10, 2**18, "H", 1], weight="w")
    yield "linear of many pixels", some([linear], [1, 2**10, 2**18, "H", 1], w=np.zeros(1, np.uint8))
    grown = node("resample", [0], [1, 6, 1], mode="nearest", axes=[1, 2], step=[float(LARGE), 0])
    yield "resampling by a large step", some([grown], [1, 2, 3])
    strange = node("resample", [0], [1, 6, 5], mode="cubic", axes=[1, 2], step=[float(LARGE), None], align_corners=True)
    yield "cubic resampling by a large step", some([strange], [1, 2, 3])
    huge = [["exp", 0], ["exp", 2], ["mul", 3, 1], ["floor", 4], ["mod", 5, 0], ["pow", 6, 3], ["sub", 7, 3]]
    maps = [node("map", [0], [1, 4], program=huge, numbers=[3e38]), node("take", [0, 1], [1, 1, 4], axis=1)]
    yield "indices that are no numbers", some(maps, [1, 4])
    ranges = [node("range", [], ["H"], start="a", step="a"), node("map", [0, 1], [1, "H"], program=[["add", 0, 1]])]
    yield "a range to infinity", some(ranges, [1, "H"], sizes=[["a", "scaled", "H", 1e14]])
    first = [node("slice", [0], [1, "m"], axis=1, start=0, step=1)]
    yield "no more than two pixels", some(first, [1, "H"], sizes=[["m", "min", "H", 2]])
    yield (
        "the last two pixels",
        some(
            [node("slice", [0], [1, "m"], axis=1, start="s", step=1)],
            [1, "H"],
            sizes=[["m", "min", "H", 2], ["s", "-", "H", "m"]],
        ),
    )
    wide = [{"name": "z", "shape": [1, "H"]}]
    wide += [{"name": f"n{i}", "shape": [1, f"h{i}"], "noise": "normal"} for i in range(3)]
    scales = [[f"h{i}", "+", f"h{i - 1}" if i else "k", 2] for i in range(3)]
    noisy = some([node("reshape", [0], [1, "H"])], inputs=wide, sizes=[["k", "*", "H", 1000], *scales])
    yield "noise of sizes that share no factor", noisy
    view = [node("permute", [0], [1, 3, 2], axes=[0, 2, 1]), node("slice", [1], [1, 3, 2], axis=1, start=2, step=-1)]
    view += [node("expand", [2], [1, 3, 2]), node("reshape", [3], [1, 1, 6, 1, 1, 1, 1, 1])]
    yield "views of views", some(view, [1, 2, 3])
