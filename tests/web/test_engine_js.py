"""The engine's JavaScript in Node: it gives what pbgen.Engine gives, and says what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from pbgen import Engine

Node = Callable[..., Any]

LOAD = """
import { Engine } from "web/engine.js";
const load = (file, options) => Engine.load(file, options);
const plain = (made) => [made].flat().map(({ data, shape }) => ({ data: [...data], shape }));
const said = (promise) => promise.then(() => "nothing", (error) => `${error.constructor.name}: ${error.message}`);
"""


def ran(node: Node, body: str, **known: object) -> Any:
    """What the script says with `known` as constants."""
    constants = "".join(
        f"const {name} = {json.dumps(str(value) if isinstance(value, Path) else value)};\n"
        for name, value in known.items()
    )
    return node(LOAD + constants + f"console.log(JSON.stringify(await (async () => {{{body}}})()));")


def arrays(made: list[dict[str, Any]]) -> list[np.ndarray[Any, Any]]:
    return [np.array(one["data"], np.float32).reshape(one["shape"]) for one in made]


def close(found: ArrayLike, expected: ArrayLike, bound: float = 1e-4) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= bound * np.abs(expected).max()


@pytest.mark.parametrize("relaxed", [False, True])
@pytest.mark.parametrize("activations", ["float32", "int8"])
def test_both_modules_give_the_native_images(node: Node, latents: Path, relaxed: bool, activations: str) -> None:
    module = "pbgen-relaxed.wasm" if relaxed else "pbgen.wasm"
    script = f"""{LOAD}
    const wasm = new URL("web/{module}");
    const engine = await load({str(latents)!r}, {{ wasm, activations: "{activations}" }}).catch((error) => error);
    const made = engine.run && plain(await engine.run(engine.draw([engine.inputShape], {{ count: 3, seed: 7 }}).input));
    console.log(JSON.stringify(made ?? engine.message));"""
    made = node(script, relaxed)
    if relaxed and isinstance(made, str) and "WebAssembly.compile" in made:
        pytest.skip("this Node has no relaxed SIMD")
    native = Engine(latents, activations=activations)
    expected = native(native.draw(native.input_shape, count=3, seed=7)["input"])
    close(arrays(made)[0], expected, 1e-4 if activations == "float32" else 0.02)


def test_it_describes_a_generator_as_python_does(node: Node, mixed: Path, latents: Path) -> None:
    found = ran(
        node,
        """
        const [a, b] = [await load(mixed), await load(latents)];
        const { inputs, noise, outputs, inputShape, outputShape } = a;
        return { inputs, noise, outputs, inputShape, outputShape, layers: b.layers, activations: b.activations,
            made: a.outputShapeFor([3, 9], [3, 9]), operations: b.operations([8]), resident: b.residentBytes };
        """,
        mixed=mixed,
        latents=latents,
    )
    native, other = Engine(mixed), Engine(latents)
    for name, expected in (("inputs", native.inputs), ("noise", native.noise)):
        assert found[name] == [vars(value) | {"shape": list(value.shape)} for value in expected]
    assert {output["name"]: tuple(output["shape"]) for output in found["outputs"]} == native.outputs
    assert found["inputShape"] == [[None, None], [None, None]]
    assert found["made"] == [[3, 9], [3, 9]]
    assert [(layer["name"], layer["bits"]) for layer in found["layers"]] == [(x.name, x.bits) for x in other.layers]
    assert found["operations"] == other.operations((8,))
    assert all(layer["weightBytes"] > 0 for layer in found["layers"])
    assert found["resident"] > 0


def test_several_inputs_free_sizes_and_noise_of_a_seed(node: Node, mixed: Path) -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 2, 3, 9), np.float32)
    found = ran(
        node,
        """
        const engine = await load(mixed);
        const tensors = [x, y].map((values) => ({ data: values.flat(2), shape: [2, 3, 9] }));
        const noise = { [engine.noise[0].name]: tensors[0] };
        return [await engine.run(tensors, { seed: 5 }), await engine.run(tensors, { seed: 2n ** 64n - 1n }),
            await engine.run(tensors, { noise })].map(plain);
        """,
        mixed=mixed,
        x=x.tolist(),
        y=y.tolist(),
    )
    native = Engine(mixed)
    options = ({"seed": 5}, {"seed": 2**64 - 1}, {"noise": {native.noise[0].name: x}})
    for made, option in zip(found, options, strict=True):
        for one, expected in zip(arrays(made), native(x, y, **option), strict=True):
            close(one, expected, 1e-6)


def test_tiles_batches_and_times(node: Node, picture: Path) -> None:
    x = np.random.default_rng(0).random((2, 3, 40, 50), np.float32)
    found = ran(
        node,
        """
        const engine = await load(picture), input = { data: Float64Array.from(x.flat(3)), shape: [2, 3, 40, 50] };
        const steps = [], onProgress = (...step) => steps.push(step);
        const { outputs, seconds } = await engine.timeLayers(input);
        const none = await engine.run({ data: [], shape: [0, 3, 40, 50] });
        const tiled = plain(await engine.tiled(input, { tile: 20, onProgress }));
        return { tiled, steps, timed: plain(outputs), seconds, none };
        """,
        picture=picture,
        x=x.tolist(),
    )
    expected = Engine(picture)(x)
    close(arrays(found["tiled"])[0], expected)
    close(arrays(found["timed"])[0], expected)
    assert found["none"]["shape"] == [0, *expected.shape[1:]]
    assert found["steps"] == [[i + 1, len(found["steps"])] for i in range(len(found["steps"]))]
    assert len(found["steps"]) > 2
    assert list(found["seconds"]) == [layer.name for layer in Engine(picture).layers]
    assert all(time > 0 for time in found["seconds"].values())


def test_it_loads_from_anywhere(node: Node, latents: Path) -> None:
    found = ran(
        node,
        """
        const fs = await import("node:fs"), { pathToFileURL } = await import("node:url");
        const bytes = fs.readFileSync(latents), url = pathToFileURL(latents);
        const data = `data:application/octet-stream;base64,${bytes.toString("base64")}`;
        const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
        const wasm = fs.readFileSync(new URL("web/pbgen.wasm")), module = await WebAssembly.compile(wasm);
        const responses = [new Response(bytes), await fetch(data)];
        const sources = [latents, url, url.href, data, bytes, buffer, new Blob([bytes]), ...responses];
        const engines = await Promise.all(sources.map((source) => load(source)));
        for (const given of [module, wasm, new URL("web/pbgen.wasm")]) engines.push(await load(bytes, { wasm: given }));
        const made = await Promise.all(engines.map((engine) => engine.run(new Float32Array(8).fill(1))));
        return made.map(({ data }) => data.reduce((sum, value) => sum + value, 0));
        """,
        latents=latents,
    )
    assert len(found) == 12
    assert len(set(found)) == 1


def test_errors_are_one_line(node: Node, latents: Path, mixed: Path, picture: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(latents.read_bytes()[:-1])
    found = ran(
        node,
        """
        const a = await load(latents), b = await load(mixed), c = await load(picture);
        const later = async (call) => call();
        const t = (...shape) => ({ data: new Float32Array(shape.reduce((x, y) => x * y)), shape });
        const calls = [
            load("/nowhere.safetensors"), load(damaged), load(latents, { activations: "int4" }), load(undefined),
            load(new Response("", { status: 404, statusText: "Not Found" })), load(new Uint8Array(3)),
            load(latents, { wasm: new Uint8Array(8) }),
            a.run(new Float32Array(9)), a.run(t(2, 9)), a.run("words"), a.run([t(1, 8), t(1, 8)]), a.run(["a"]),
            a.run({ data: new Float32Array(9), shape: [1, 8] }), a.run(t(1, 8), { noise: { z: t(1, 8) } }),
            a.run({ data: ["1"], shape: [1, 8] }), a.run(new DataView(new ArrayBuffer(32))),
            b.run([t(1, 3, 9), t(1, 3, 8)]), b.run([t(1, 3, 9), t(2, 3, 9)]), b.run([t(1, 3, 9), new Float32Array(27)]),
            b.run([t(1, 3, 9), t(1, 3, 9)], { seed: -1 }), b.run([t(1, 3, 9), t(1, 3, 9)], { seed: 0.5 }),
            later(() => c.outputShapeFor([3, 2 ** 32 + 20, 20])), later(() => c.outputShapeFor([3, 20, 1.5])),
            later(() => c.outputShapeFor(Array(9).fill(3))), later(() => a.draw([[8]], { count: -1 })),
            later(() => a.draw([8])), later(() => a.draw([[8]], { count: 2 ** 50 })),
            c.run(t(1, 3, 1, 1)), c.tiled(t(1, 3, 9, 9), { tile: 0 }), a.run(undefined),
        ];
        const lines = await Promise.all(calls.map(said));
        const still = (await a.run(t(1, 8))).shape;
        a.close();
        return { lines: [...lines, await said(a.run(t(1, 8)))], still };
        """,
        latents=latents,
        mixed=mixed,
        picture=picture,
        damaged=damaged,
    )
    parts = [
        "/nowhere.safetensors: cannot be read: ENOENT", "packed generator: ", 'activations "int4": must be',
        "give a URL", "cannot be fetched: 404 Not Found", "packed generator: ", "",
        "input: holds 9 numbers, no multiple of 8", "input: has the shape (2, 9); it must be (N, 8)", "no typed array",
        "2 inputs given where the generator takes 1: input", "no typed array",
        "input: holds 9 numbers, and its shape (1, 8) says 8", "noise z: the generator draws none",
        "no typed array", "no typed array",
        "", "different numbers of images: 1, 2", "give { data, shape } with the shape (N, any, any)",
        "seed -1: must be 0 to 18446744073709551615", "seed 0.5: must be",
        "integers below 2^32", "integers below 2^32", "at most 8 integers", "count -1: must be", "integers below 2^32",
        "no memory for 1125899906842624", "larger input", "tile 0: must be at least one pixel", "no typed array",
        "the engine is closed",
    ]  # fmt: skip
    for line, part in zip(found["lines"], parts, strict=True):
        assert part in line
        assert line != "nothing"
        assert "\n" not in line
    assert found["still"] == [1, 3, 32, 32], "an engine outlives its errors"


def test_wrong_sums_are_noticed(node: Node, latents: Path) -> None:
    """Where the first module computes wrongly the other one runs; where both do, it says so."""
    script = """
    import { Core } from "web/core.js";
    WebAssembly.validate = () => true;
    const { run } = Core.prototype;
    let wrong = WRONG;
    Core.prototype.run = function (inputs, shapes, batch, outputs, timed) {
        const times = run.call(this, inputs, shapes, batch, outputs, timed);
        if (wrong-- > 0) outputs[0][0] += 3;
        return times;
    };
    const heard = await load(FILE).then(({ simd }) => simd, (error) => error.message);
    console.log(JSON.stringify(heard));
    """.replace("FILE", repr(str(latents)))
    assert node(LOAD + script.replace("WRONG", "1"), relaxed=True) == "simd128"
    assert "SIMD computes wrongly here" in node(LOAD + script.replace("WRONG", "9"))
