"""The operators without weights on arrays of any strides, against NumPy and torch in float64."""

import math
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from archs import HERE
from builds import core, needs_cmake, sanitized
from emulators import ARM
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from packed_files import assert_close
from strided import GAP, INSTRUCTIONS, ONE, TWO, Array, Layout, Operators, Program, array, innermost, layouts, row_major

pytestmark = needs_cmake

IDENTITY = Program(1)


# What these operators ask of a processor, its variants have in common.
FAMILIES = list(dict.fromkeys(arch.split("-")[0] for arch in HERE))


def programs_of(kind: str) -> list[str | Path]:
    """The command that runs operators: built as it is installed, under sanitizers, or for ARM in an emulator."""
    if kind == "installed":
        return [core() / "tests" / "pbgen_ops"]
    if kind == "sanitized":
        return [sanitized("address,undefined") / "pbgen_ops"]
    if not shutil.which(ARM.compiler) or not shutil.which(ARM.qemu):
        pytest.skip(f"needs {ARM.compiler} and {ARM.qemu}")
    return [ARM.qemu, "-cpu", "max", ARM.core(("pbgen_ops",)) / "tests" / "pbgen_ops"]


KINDS_OF_PROGRAM = [("installed", arch) for arch in FAMILIES] + [
    ("sanitized", FAMILIES[0]),
    ("sanitized", FAMILIES[-1]),
]
if platform.machine() == "x86_64":
    KINDS_OF_PROGRAM.append(("emulated", "neon"))


@pytest.fixture(scope="module", params=KINDS_OF_PROGRAM, ids="-".join)
def operators(request: pytest.FixtureRequest) -> Iterator[Operators]:
    """Each instruction set in turn; those that this machine lacks are skipped."""
    kind, arch = request.param
    program = Operators(*programs_of(kind), arch=arch)
    try:
        program.run("range", [0, 1], [], Array((1,), row_major(1)))
    except AssertionError as error:
        if "cannot run" not in str(error):
            raise
        pytest.skip(str(error))
    yield program
    program.close()


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def run(operators: Operators, name: str, words: list[Any], inputs: list[Array], out: Array) -> np.ndarray:
    """With one thread and with two, which make the same to the bit."""
    result = operators.run(name, words, inputs, out, threads=1)
    np.testing.assert_array_equal(result, operators.run(name, words, inputs, out, threads=2))
    return result


random_cases = settings(max_examples=60, deadline=None)

sizes = st.one_of(st.integers(1, 9), st.sampled_from([16, 33, 70]))
shapes = st.lists(sizes, min_size=1, max_size=4).map(tuple).filter(lambda shape: math.prod(shape) <= 40000)


@st.composite
def arrays(draw: st.DrawFn, shape: tuple[int, ...]) -> Array:
    return array(numbers(*shape, seed=draw(st.integers(0, 99))), draw(layouts(len(shape))))


@st.composite
def outputs(draw: st.DrawFn, shape: tuple[int, ...]) -> Array:
    return Array(shape, draw(layouts(len(shape), repeats=False)))


def double(a: Array) -> np.ndarray:
    return a.view().astype(np.float64)


# Element by element


@random_cases
@given(data=st.data(), shape=shapes)
def test_copy(operators: Operators, data: st.DataObject, shape: tuple[int, ...]) -> None:
    x = data.draw(arrays(shape))
    np.testing.assert_array_equal(run(operators, "copy", [], [x], data.draw(outputs(shape))), x.view())


SIZES = [(1, 3, 40, 50), (1, 64, 31, 33), (1, 5, 7000), (1, 130, 3, 1), (2, 3, 4, 5, 6), (1, 1, 300, 200), (4100,)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_copy_between_layouts(operators: Operators, size: tuple[int, ...]) -> None:
    both = [row_major(len(size)), innermost(len(size))]
    for before in both:
        for after in both:
            x = array(numbers(*size), before)
            np.testing.assert_array_equal(run(operators, "copy", [], [x], Array(size, after)), x.view())


# What each instruction makes of any numbers, in double precision.
REFERENCE: dict[str, Any] = {
    "neg": torch.neg,
    "abs": torch.abs,
    "sign": torch.sign,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "erf": torch.erf,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "relu": torch.relu,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "pow": torch.pow,
    "max": torch.maximum,
    "min": torch.minimum,
    "mod": torch.remainder,
    "leaky": lambda a, b: torch.where(a >= 0, a, a * b),
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
    "eq": torch.eq,
    "ne": torch.ne,
    "where": lambda a, b, c: torch.where(a != 0, b, c),
}

EDGES = [0.0, 0.5, 1.0, 1.5, 2.5, 0.34, 0.625, 0.70710678, 87.5, 88.8, 103.0, 105.0, 8388607.5, 8388609.0, 1e30]
EDGES += [math.inf, math.nan, 1e-40, 1e-20, 3e38, 1e4, 10001.0, 4.0, math.pi, math.pi / 2, 5000 * math.pi]


def many() -> np.ndarray:
    """Numbers of all magnitudes, both signs, and those at which something happens."""
    some = np.concatenate([np.geomspace(1e-30, 3e38, 6001), np.linspace(0, 20, 4001), EDGES])
    return np.concatenate([some, -some]).astype(np.float32)


# Those that come near 0 or grow large are compared to their own size, the others to 1.
@pytest.mark.parametrize("name", ONE)
def test_functions(operators: Operators, name: str) -> None:
    x = many()
    result = run(operators, "map", Program(1, ((name, 0),)).words(), [array(x)], Array(x.shape, row_major(1)))
    expected = REFERENCE[name](torch.from_numpy(x).double()).float().numpy()
    near = {"sin": (0, 1e-6), "cos": (0, 1e-6), "erf": (1e-6, 1e-30), "sigmoid": (1e-6, 1e-37)}
    relative, absolute = near.get(name, (1e-6, 1e-37))
    np.testing.assert_allclose(result, expected, rtol=relative, atol=absolute)


@pytest.mark.parametrize("name", TWO)
def test_functions_of_two(operators: Operators, name: str) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.standard_normal(4001) * 10.0 ** rng.integers(-3, 4, 4001), rng.integers(-9, 9, 999), EDGES])
    x = np.concatenate([x, -x]).astype(np.float32)
    y = rng.permutation(x)
    if name == "pow":
        x[: len(x) // 2] = np.abs(x[: len(x) // 2])
    out = Array(x.shape, row_major(1))
    result = run(operators, "map", Program(2, ((name, 0, 1),)).words(), [array(x), array(y)], out)
    expected = REFERENCE[name](torch.from_numpy(x).double(), torch.from_numpy(y).double()).float().numpy()
    np.testing.assert_allclose(result, expected, rtol=2e-6, atol=1e-37)
    swapped = run(operators, "map", Program(2, ((name, 1, 0),)).words(), [array(y), array(x)], out)
    np.testing.assert_array_equal(swapped, result)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 4, 5, -1, -2, -3, 0.5, 1.5, -0.5, 2.5, 0.7, -1.3, 1 / 3])
def test_powers(operators: Operators, exponent: float) -> None:
    x = np.concatenate([np.geomspace(1e-8, 1e8, 501), [0, 1, math.inf, math.nan]]).astype(np.float32)
    x = np.concatenate([x, -x]) if exponent == round(exponent) else x
    program = Program(1, (("pow", 0, 1),), (exponent,))
    result = run(operators, "map", program.words(), [array(x)], Array(x.shape, row_major(1)))
    np.testing.assert_allclose(result, (torch.from_numpy(x) ** exponent).numpy(), rtol=2e-6, atol=1e-37)


@pytest.mark.parametrize("divisor", [1, 2, 0.1, -3, 1e-3, math.inf, 0])
def test_remainders(operators: Operators, divisor: float) -> None:
    x = array(many())
    d = array(np.full((1,), divisor, np.float32))
    words = Program(2, (("mod", 0, 1),)).words()
    for repeated in (Layout((0,), repeated=(True,)), row_major(1)):
        d = array(np.full(x.shape, divisor, np.float32), repeated)
        result = run(operators, "map", words, [x, d], Array(x.shape, row_major(1)))
        exact = torch.remainder(torch.from_numpy(x.memory).double(), float(np.float32(divisor)))
        np.testing.assert_array_equal(result, exact.float().numpy())


def test_where(operators: Operators) -> None:
    condition = np.array([0, 1, -0.0, 2, math.nan, -1, 0.5, 0], np.float32)
    a, b = numbers(8), numbers(8, seed=1)
    inputs = [array(condition), array(a), array(b)]
    result = run(operators, "map", Program(3, (("where", 0, 1, 2),)).words(), inputs, Array((8,), row_major(1)))
    np.testing.assert_array_equal(result, np.where(condition != 0, a, b))


SMOOTH = ["add", "sub", "mul", "max", "min", "leaky", "neg", "abs", "relu", "tanh", "sigmoid", "sin", "where"]


@st.composite
def programs(draw: st.DrawFn, inputs: int, longest: int = 12) -> Program:
    """Whose results hang smoothly on their operands; conditions are inputs."""
    count = draw(st.integers(0, 3))
    values = tuple(draw(st.floats(-2, 2, width=32)) for _ in range(count))
    steps: list[tuple[str | int, ...]] = []
    for _ in range(draw(st.integers(1, longest))):
        name = draw(st.sampled_from(SMOOTH))
        operands = 3 if name == "where" else 2 if name in TWO else 1
        chosen = [draw(st.integers(0, inputs + count + len(steps) - 1)) for _ in range(operands)]
        if name == "where":
            chosen[0] = draw(st.integers(0, inputs - 1))
        if name == "mul":
            steps.append(("tanh", chosen[0]))
            chosen[0] = inputs + count + len(steps) - 1
        steps.append((name, *chosen))
    return Program(inputs, tuple(steps), values)


def evaluate(program: Program, inputs: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """The result, and the largest magnitude on the way."""
    values = [torch.from_numpy(x) for x in inputs]
    values += [torch.tensor(np.float32(number)).double() for number in program.numbers]
    for name, *operands in program.steps:
        values.append(REFERENCE[str(name)](*(values[int(o)] for o in operands)).double())
    scale = max(float(v.abs().max()) for v in values)
    return torch.broadcast_to(values[-1], inputs[0].shape).numpy(), scale


@random_cases
@given(data=st.data(), shape=shapes)
def test_map(operators: Operators, data: st.DataObject, shape: tuple[int, ...]) -> None:
    inputs = [data.draw(arrays(shape)) for _ in range(data.draw(st.integers(1, 4)))]
    program = data.draw(programs(len(inputs)))
    result = run(operators, "map", program.words(), inputs, data.draw(outputs(shape)))
    expected, scale = evaluate(program, [double(x) for x in inputs])
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * max(1, scale))


@pytest.mark.parametrize("channels", [1, 3, 4, 7, 16, 64, 65, 300])
def test_numbers_of_channels(operators: Operators, channels: int) -> None:
    """Scale and shift of each channel, the channels innermost, into either layout."""
    shape = (1, channels, 13, 17)
    x, of_channel = numbers(*shape), np.broadcast_to(numbers(1, channels, 1, 1, seed=1), shape)
    layout = Layout((0, 2, 3, 1), repeated=(False, False, True, True))
    inputs = [array(x, innermost(4)), array(of_channel, layout), array(of_channel, layout)]
    program = Program(3, (("mul", 0, 1), ("add", 3, 2)))
    for out in (innermost(4), row_major(4)):
        result = run(operators, "map", program.words(), inputs, Array(shape, out))
        assert_close(result, x * of_channel.astype(np.float64) + of_channel)


def test_the_longest_program(operators: Operators) -> None:
    """256 results, all of them alive until the end, of 17 inputs and 256 numbers."""
    inputs = [array(numbers(70, seed=i)) for i in range(17)]
    first = 17 + 256
    steps: list[tuple[str | int, ...]] = [("mul", i % 17, 17 + i) for i in range(128)]
    steps += [("add", first + 127, first)] + [("add", first + 127 + i, first + i) for i in range(1, 128)]
    values = tuple(float(v) for v in numbers(256, seed=9))
    result = run(operators, "map", Program(17, tuple(steps), values).words(), inputs, Array((70,), row_major(1)))
    terms = [double(inputs[i % 17]) * np.float64(np.float32(values[i])) for i in range(128)]
    assert_close(result, sum(terms) + terms[127])


@pytest.mark.parametrize("count", [1, 15, 16, 130, 4097])
def test_long_chains(operators: Operators, count: int) -> None:
    """Light instructions, each of what the one before makes: as one of its operands, or both, and with earlier ones."""
    x, y = array(numbers(count)), array(numbers(count, seed=1))
    first, light = 4, ["add", "sub", "mul", "max", "min", "leaky", "div", "neg", "abs", "relu"]
    for turn in range(4):
        steps: list[tuple[str | int, ...]] = [("add", 0, 1)]
        for i in range(50):
            last, name = first + i, light[(7 * i + turn) % len(light)]
            other = (1, 2, 3, first + i // 2)[(i + turn) % 4] if name not in ("div", "mul") else 3
            if name in TWO:
                steps.append((name, other, last) if i % 3 == turn % 3 and name != "div" else (name, last, other))
            else:
                steps.append((name, last))
        steps.append(("add", len(steps) + first - 1, len(steps) + first - 1))
        program = Program(2, tuple(steps), (0.5, 1.25))
        result = run(operators, "map", program.words(), [x, y], Array((count,), row_major(1)))
        expected, scale = evaluate(program, [double(x), double(y)])
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * max(1, scale))


@pytest.mark.parametrize("channels", [4, 12, 64])
@pytest.mark.parametrize("steps", [(), (("leaky", 0, 2),), (("add", 0, 1), ("mul", 3, 2)), (("tanh", 0),)], ids=str)
def test_extremes_of_what_is_made(
    operators: Operators, steps: tuple[tuple[str | int, ...], ...], channels: int
) -> None:
    """The lowest, the highest and 0, and the largest sum of four neighbours' magnitudes; a NaN is none of them."""
    shape = (1, channels, 17, 19)
    x, y = numbers(*shape), numbers(*shape, seed=1)
    x[0, :4, 3, 5] = np.nan
    program = Program(2, steps, (0.25,))
    arrays = [array(x, innermost(4)), array(y, innermost(4))]
    low, high, four = run(operators, "extremes", program.words(), arrays, Array((3,), row_major(1)))
    made = run(operators, "map", program.words(), arrays, Array(shape, innermost(4)))
    fours = np.abs(made).transpose(0, 2, 3, 1).reshape(-1, 4)
    np.testing.assert_array_equal([low, high], [min(0, np.nanmin(made)), max(0, np.nanmax(made))])
    np.testing.assert_allclose(four, np.nanmax(fours.sum(1)), rtol=1e-6)


def test_more_than_the_caches_hold(operators: Operators) -> None:
    """What is written past them, from an address of whole vectors or not, and where an input lies."""
    size = 5_000_003
    x = array(numbers(size))
    program = Program(1, (("leaky", 0, 1),), (0.25,))
    for gap in (0, 1, 4, 8, 12):  # of which one begins a cache line, as memory begins at four numbers
        out = Array((size,), row_major(1))
        out.memory, out.first = np.full(size + gap, GAP, np.float32), gap
        result = operators.run("map", program.words(), [x], out, threads=2)
        np.testing.assert_array_equal(result, np.where(x.view() < 0, x.view() * np.float32(0.25), x.view()))


def test_a_program_of_numbers(operators: Operators) -> None:
    result = run(operators, "map", Program(0, (("add", 0, 1),), (1.5, 2.0)).words(), [], Array((3, 5), row_major(2)))
    np.testing.assert_array_equal(result, np.full((3, 5), 3.5))


# Reductions

KINDS = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min}


def check_reduce(
    operators: Operators, kind: str, program: Program, inputs: list[Array], axes: tuple[int, ...], out: Layout
) -> None:
    shape = inputs[0].shape
    words = [list(KINDS).index(kind), *program.words(), len(shape), *shape]
    reduced = tuple(1 if i in axes else n for i, n in enumerate(shape))
    result = run(operators, "reduce", words, inputs, Array(reduced, out))
    values, scale = evaluate(program, [double(x) for x in inputs])
    expected = KINDS[kind](values, axis=axes, keepdims=True)
    if kind == "sum":
        scale = max(scale, float(np.abs(values).sum(axes).max()) / 10)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * max(1, scale))


@random_cases
@given(data=st.data(), shape=shapes, kind=st.sampled_from(list(KINDS)))
def test_reduce(operators: Operators, data: st.DataObject, shape: tuple[int, ...], kind: str) -> None:
    inputs = [data.draw(arrays(shape)) for _ in range(data.draw(st.integers(1, 3)))]
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
    program = data.draw(programs(len(inputs), 4)) if len(inputs) > 1 or data.draw(st.booleans()) else IDENTITY
    check_reduce(operators, kind, program, inputs, axes, data.draw(layouts(len(shape), repeats=False)))


REDUCTIONS = [
    ((1, 64, 70, 71), (2, 3)),
    ((1, 3, 130, 71), (2, 3)),
    ((1, 1, 200, 90), (2, 3)),
    ((1, 700, 9, 9), (2, 3)),
    ((1, 30, 50, 20), (1, 2, 3)),
    ((1, 30, 50, 20), (1,)),
    ((1, 8, 40, 64), (3,)),
    ((1, 8, 4, 1500), (3,)),
    ((1, 2, 50000), (2,)),
    ((1, 50, 3000), (1,)),
    ((4, 5, 6, 7, 8), (1, 3)),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "axes"), REDUCTIONS, ids=str)
def test_large_reductions(operators: Operators, shape: tuple[int, ...], axes: tuple[int, ...], kind: str) -> None:
    for layout in (row_major(len(shape)), innermost(len(shape))):
        x = array(numbers(*shape) + 3, layout)
        check_reduce(operators, kind, IDENTITY, [x], axes, layout)
        check_reduce(operators, kind, Program(1, (("mul", 0, 0),)), [x], axes, row_major(len(shape)))


def test_sums_keep_their_digits(operators: Operators) -> None:
    """A million numbers far from 0, as a norm's mean; one after another in float32 they would lose four digits."""
    for layout in (row_major(4), innermost(4)):
        x = array(numbers(1, 4, 512, 512) + 100, layout)
        words = [1, *IDENTITY.words(), 4, *x.shape]
        result = run(operators, "reduce", words, [x], Array((1, 4, 1, 1), row_major(4)))
        np.testing.assert_allclose(result, double(x).mean((2, 3), keepdims=True), rtol=1e-7)


@pytest.mark.parametrize("kind", ["max", "min", "sum"])
def test_reductions_hand_on_a_nan(operators: Operators, kind: str) -> None:
    for place in (0, 5, 299):
        for axis in (0, 1):
            x = numbers(300, 300)
            x[place, place] = math.nan
            words = [list(KINDS).index(kind), *IDENTITY.words(), 2, 300, 300]
            shape = (1, 300) if axis == 0 else (300, 1)
            result = run(operators, "reduce", words, [array(x)], Array(shape, row_major(2)))
            np.testing.assert_array_equal(np.isnan(result), np.isnan(x).any(axis, keepdims=True))


IMAGES = [(64, 40, 33), (300, 9, 7), (5, 200, 3), (1, 1, 1), (17, 1, 5000), (130, 64, 64)]


@pytest.mark.parametrize("apart", [(1, 1), (1, 2), (3, 1)], ids=["packed", "pixels apart", "rows apart"])
@pytest.mark.parametrize("size", IMAGES, ids=str)
def test_moments(operators: Operators, size: tuple[int, ...], apart: tuple[int, int]) -> None:
    """Near 0, far from it, so far that float32 has few digits of what differs; all the same; from an outlier on."""
    layout = Layout((0, 2, 3, 1), (1, *apart, 1))
    cases = [(0, 1, 0), (1000, 1, 0), (-1e4, 1e-1, 0), (1e6, 0, 0), (-3, 1e-3, 100), (0, 1e12, 0)]
    for mean, deviation, outlier in cases:
        values = numbers(1, *size) * np.float32(deviation) + np.float32(mean)
        values[:, :, 0, 0] += np.float32(outlier)
        x = array(values, layout)
        means, variances = run(operators, "moments", [], [x], Array((2, size[0]), row_major(2)))
        exact = double(x)
        np.testing.assert_allclose(means, exact.mean((0, 2, 3)), rtol=1e-7, atol=1e-6 * exact.std((0, 2, 3)).max())
        np.testing.assert_allclose(variances, exact.var((0, 2, 3)), rtol=1e-6, atol=0)


# Where numbers stand


def test_range(operators: Operators) -> None:
    for start, step, count in [(0, 1, 1), (3, -2, 50), (0.5, 0.1, 1000), (0, 1, 70000)]:
        result = operators.run("range", [start, step], [], Array((count,), Layout((0,), gaps=(3,))))
        np.testing.assert_allclose(result, np.float32(start) + np.arange(count) * float(np.float32(step)), rtol=1e-7)


MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@random_cases
@given(data=st.data(), shape=shapes, mode=st.sampled_from(list(MODES)))
def test_pad(operators: Operators, data: st.DataObject, shape: tuple[int, ...], mode: str) -> None:
    most = {"reflect": lambda n: n - 1, "circular": lambda n: n}.get(mode, lambda n: 5)
    pads = [tuple(data.draw(st.integers(0, min(5, most(n)))) for _ in range(2)) for n in shape]
    pads = [p if data.draw(st.booleans()) else (0, 0) for p in pads]
    x = data.draw(arrays(shape))
    out = data.draw(outputs(tuple(n + a + b for n, (a, b) in zip(shape, pads, strict=True))))
    words = [len(shape), *(before for before, _ in pads), list(MODES).index(mode), 7.25]
    options: Any = {"constant_values": 7.25} if mode == "constant" else {}
    np.testing.assert_array_equal(
        run(operators, "pad", words, [x], out), np.pad(x.view(), pads, mode=MODES[mode], **options)
    )


@random_cases
@given(data=st.data(), shape=shapes, picks=st.lists(st.integers(1, 7), min_size=1, max_size=2).map(tuple))
def test_take(operators: Operators, data: st.DataObject, shape: tuple[int, ...], picks: tuple[int, ...]) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    chosen = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, shape[axis], picks)
    x, indices = data.draw(arrays(shape)), array(chosen.astype(np.float32), data.draw(layouts(len(picks))))
    out = data.draw(outputs((*shape[:axis], *picks, *shape[axis + 1 :])))
    expected = np.take(x.view(), indices.view().astype(int), axis)
    np.testing.assert_array_equal(run(operators, "take", [axis], [x, indices], out), expected)


@pytest.mark.parametrize("index", [-1, 5, math.nan, math.inf, -math.inf, 2**24])
def test_an_index_outside(operators: Operators, index: float) -> None:
    indices = array(np.array([0, 1, index], np.float32))
    out = Array((3, 4), row_major(2))
    said, memory = operators.start("take", [0], [array(numbers(5, 4)), indices, out], 1)
    assert said == "no"
    np.testing.assert_array_equal(memory, out.memory)


# Resampling and pooling


def steps(n: int, m: int, align_corners: bool) -> float:
    """As torch computes it, in float32."""
    if align_corners:
        return float(np.float32(n - 1) / np.float32(m - 1)) if m > 1 else 0
    return float(np.float32(n) / np.float32(m))


RESAMPLED = ["nearest", "nearest-exact", "linear", "cubic"]


def interpolated(x: np.ndarray, axis: int, mode: str, size: int, align_corners: bool, dtype: Any) -> np.ndarray:
    """One axis by torch; its cubic kind wants two."""
    lines = torch.from_numpy(np.moveaxis(x, axis, -1).astype(dtype))
    flat = lines.reshape(1, -1, 1, lines.shape[-1])
    options: Any = {"align_corners": align_corners} if mode in ("linear", "cubic") else {}
    name = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    result = F.interpolate(flat, (1, size), mode=name, **options)
    return np.moveaxis(result.reshape(*lines.shape[:-1], size).numpy(), -1, axis)


@random_cases
@given(data=st.data(), shape=shapes, mode=st.sampled_from(RESAMPLED), align_corners=st.booleans())
def test_resample(
    operators: Operators, data: st.DataObject, shape: tuple[int, ...], mode: str, align_corners: bool
) -> None:
    align_corners = align_corners and mode in ("linear", "cubic")
    axis = data.draw(st.integers(0, len(shape) - 1))
    size = data.draw(st.integers(1, 80))
    x = data.draw(arrays(shape))
    out = data.draw(outputs((*shape[:axis], size, *shape[axis + 1 :])))
    words = [axis, RESAMPLED.index(mode), repr(steps(shape[axis], size, align_corners)), int(align_corners)]
    result = run(operators, "resample", words, [x], out)
    assert_close(result, interpolated(x.view(), axis, mode, size, align_corners, np.float32))


@pytest.mark.parametrize("mode", RESAMPLED)
@pytest.mark.parametrize(("before", "after"), [(3000, 4999), (4999, 3000), (1001, 9009), (7, 10000)])
def test_positions_round_like_torch(operators: Operators, mode: str, before: int, after: int) -> None:
    """Far along, a position's last digit is a part of a pixel."""
    x = numbers(before, 2)
    for align_corners in (False, True) if mode in ("linear", "cubic") else (False,):
        words = [0, RESAMPLED.index(mode), repr(steps(before, after, align_corners)), int(align_corners)]
        result = run(operators, "resample", words, [array(x)], Array((after, 2), row_major(2)))
        assert_close(result, interpolated(x, 0, mode, after, align_corners, np.float32))


@random_cases
@given(data=st.data(), sizes=st.lists(st.integers(1, 30), min_size=1, max_size=3), mean=st.booleans())
def test_pool(operators: Operators, data: st.DataObject, sizes: list[int], mean: bool) -> None:
    padded = mean and data.draw(st.booleans())
    windows, outs = [], []
    for n in sizes:
        kernel, dilation = data.draw(st.integers(1, min(5, n))), 1 if mean else data.draw(st.integers(1, 2))
        if dilation * (kernel - 1) + 1 > n:
            dilation = 1
        padding, stride = data.draw(st.integers(0, kernel // 2)), data.draw(st.integers(1, 4))
        windows.append((kernel, stride, padding, dilation))
        outs.append((n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1)
    assume(math.prod(sizes) <= 3000)
    shape = (1, data.draw(st.sampled_from([1, 3, 8, 70, 300])), *sizes)
    x, out = data.draw(arrays(shape)), data.draw(outputs((*shape[:2], *outs)))
    words = [int(mean), int(padded), len(sizes), *(word for window in windows for word in window)]
    result = run(operators, "pool", words, [x], out)
    kernel, stride, padding, dilation = (list(part) for part in zip(*windows, strict=True))
    value = torch.from_numpy(double(x))
    if mean:
        function = [F.avg_pool1d, F.avg_pool2d, F.avg_pool3d][len(sizes) - 1]
        expected = function(value, kernel, stride, padding, count_include_pad=padded)
    else:
        expected = [F.max_pool1d, F.max_pool2d, F.max_pool3d][len(sizes) - 1](value, kernel, stride, padding, dilation)
    assert_close(result, expected.numpy())


@random_cases
@given(data=st.data(), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=3), mean=st.booleans())
def test_adaptive_pool(operators: Operators, data: st.DataObject, sizes: list[int], mean: bool) -> None:
    outs = [data.draw(st.integers(1, 12)) for _ in sizes]
    assume(math.prod(sizes) <= 3000)
    shape = (1, data.draw(st.sampled_from([1, 3, 16, 70, 300])), *sizes)
    x, out = data.draw(arrays(shape)), data.draw(outputs((*shape[:2], *outs)))
    result = run(operators, "adaptive_pool", [int(mean), 2, len(sizes)], [x], out)
    value = torch.from_numpy(double(x))
    if mean:
        expected = [F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d][len(sizes) - 1](value, outs)
    else:
        kinds: list[Any] = [F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d]
        expected = kinds[len(sizes) - 1](value, outs)
    assert_close(result, expected.numpy())


def test_pools_hand_on_a_nan(operators: Operators) -> None:
    x = numbers(1, 20, 6, 6)
    x[0, 3, 2, 3] = math.nan
    for layout in (row_major(4), innermost(4)):
        words = [0, 0, 2, 2, 2, 0, 1, 2, 2, 0, 1]
        result = run(operators, "pool", words, [array(x, layout)], Array((1, 20, 3, 3), layout))
        np.testing.assert_array_equal(result, F.max_pool2d(torch.from_numpy(x), 2).numpy())


def test_long_means_keep_their_digits(operators: Operators) -> None:
    for layout in (row_major(4), innermost(4)):
        x = array(numbers(1, 3, 300, 300) + 100, layout)
        result = run(operators, "adaptive_pool", [1, 2, 2], [x], Array((1, 3, 1, 1), row_major(4)))
        np.testing.assert_allclose(result, double(x).mean((2, 3), keepdims=True), rtol=1e-7)


# Products of matrices


def check_matmul(operators: Operators, a: Array, b: Array, out: Array) -> None:
    result = run(operators, "matmul", [], [a, b], out)
    expected = double(a) @ double(b)
    scale = max(np.abs(expected).max(), (np.abs(double(a)) @ np.abs(double(b))).max() / 10)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * max(1, scale))


@random_cases
@given(data=st.data(), batch=st.lists(st.integers(1, 3), max_size=2).map(tuple))
def test_matmul(operators: Operators, data: st.DataObject, batch: tuple[int, ...]) -> None:
    size = st.one_of(st.integers(1, 9), st.integers(10, 70), st.sampled_from([256, 257, 300]))
    m, k, n = (data.draw(size) for _ in range(3))
    a, b = data.draw(arrays((*batch, m, k))), data.draw(arrays((*batch, k, n)))
    check_matmul(operators, a, b, data.draw(outputs((*batch, m, n))))


@pytest.mark.parametrize(
    ("m", "k", "n"),
    [(1, 900, 1000), (1000, 900, 1), (1, 1, 1), (300, 520, 270), (3, 5000, 3), (2000, 3, 5), (5, 3, 2000)],
)
def test_large_matmul(operators: Operators, m: int, k: int, n: int) -> None:
    for layout in (row_major(2), Layout((1, 0))):
        a, b = array(numbers(m, k), layout), array(numbers(k, n, seed=1), layout)
        for out in (row_major(2), Layout((1, 0))):
            check_matmul(operators, a, b, Array((m, n), out))


def test_the_names_are_those_of_the_format() -> None:
    assert set(INSTRUCTIONS) == set(REFERENCE)
