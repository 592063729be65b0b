"""Threads change neither a bit of the images nor each other's results, and Python runs meanwhile."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from packed_files import PROGRAMS, Layer, node, pack_bits, write

from pbgen import Engine


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    nodes, tensors, shape = [], {}, (50, 1, 1)
    for i, (channels, stride) in enumerate([(96, 1), (64, 2), (48, 2), (3, 2)]):
        tensors[f"w{i}"] = pack_bits(rng.standard_normal((channels, shape[0], 4, 4)))
        if i == 3:
            tensors[f"w{i}"] = rng.standard_normal((channels, shape[0], 4, 4)).astype(np.float32)
        tensors[f"s{i}"] = np.full(channels, shape[0] ** -0.5, np.float32)
        attributes = {"kernel": [4, 4], "stride": [stride] * 2, "dilation": [1, 1], "groups": 1, **PROGRAMS["tanh"]}
        size = 4 if i == 0 else shape[1] * 2
        shape = (channels, size, size)
        nodes.append(
            node("conv_transpose", [i], shape, weight=f"w{i}", scale=f"s{i}", padding=[int(i > 0)] * 2, **attributes)
        )
    return write(tmp_path_factory.mktemp("threads") / "g.safetensors", (50, 1, 1), nodes, tensors)


def latent(batch: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((batch, 50, 1, 1)).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 5])
def test_the_same_bits_for_any_number_of_threads(generator: Path, batch: int, arch: str) -> None:
    expected = Engine(generator, threads=1)(latent(batch))
    for threads in (2, 3, 7, None):
        engine = Engine(generator, threads=threads)
        for _ in range(3):
            np.testing.assert_array_equal(engine(latent(batch)), expected)


@pytest.mark.parametrize("activations", ["float32", "int8"])
@pytest.mark.parametrize("outputs", [3, 24])
@pytest.mark.parametrize("rows", [45, 64])
def test_the_same_bits_from_parts(rows: int, outputs: int, activations: str, arch: str, tmp_path: Path) -> None:
    """Each thread has a part, in bands; with few output channels products are added up across them."""
    layer = Layer(64, outputs, (rows, 60), (5, 5), (2, 2), (2, 2), (1, 1), one_bit=outputs > 3)
    path, x = layer.write(tmp_path / "g.safetensors"), layer.input(1)
    expected = Engine(path, threads=1, activations=activations)(x)
    for threads in (2, 3, 5, 16):
        engine = Engine(path, threads=threads, activations=activations)
        np.testing.assert_array_equal(engine(x), expected)
        np.testing.assert_array_equal(engine(np.repeat(x, 3, 0)), np.repeat(expected, 3, 0))


def test_the_same_bits_in_any_batch(generator: Path) -> None:
    engine, z = Engine(generator), latent(70)
    np.testing.assert_array_equal(engine(z), np.concatenate([engine(one[None]) for one in z]))


def test_concurrent_calls(generator: Path) -> None:
    engine = Engine(generator, threads=3)
    alone = {seed: engine(latent(3, seed)) for seed in range(6)}

    def call(i: int) -> bool:
        return np.array_equal(engine(latent(3, i % 6)), alone[i % 6])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(300)))


@contextmanager
def meanwhile(compute: Callable[[], np.ndarray]) -> Iterator[None]:
    """Computes the same again and again in another thread, and holds it to what it gave alone."""
    alone, stop, wrong = compute(), threading.Event(), []

    def repeat() -> None:
        while not stop.is_set():
            if not np.allclose(compute(), alone, rtol=1e-4, atol=1e-5):
                wrong.append(True)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not wrong


def call_two_engines(generator: Path) -> None:
    """Two engines with threads of their own, called by several threads each, give what they give alone."""
    engines = [Engine(generator, threads=2), Engine(generator, threads=3, activations="int8")]
    alone = [[engine(latent(3, seed)) for seed in range(4)] for engine in engines]

    def call(i: int) -> bool:
        return np.array_equal(engines[i % 2](latent(3, i % 4)), alone[i % 2][i % 4])

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(call, range(200)))


def test_two_engines_beside_torch(generator: Path) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.ConvTranspose2d(32, 32, 4, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(32, 3, 3))
    x = torch.randn(4, 32, 16, 16)

    def compute() -> np.ndarray:
        with torch.inference_mode():
            return module(x).numpy()

    with meanwhile(compute):
        call_two_engines(generator)


def test_two_engines_beside_onnx_runtime(generator: Path) -> None:
    runtime, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    weight = np.random.default_rng(0).standard_normal((32, 32, 3, 3)).astype(np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "convolution",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [4, 32, 16, 16])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4, 32, 16, 16])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal((4, 32, 16, 16)).astype(np.float32)
    with meanwhile(lambda: session.run(None, {"x": x})[0]):
        call_two_engines(generator)


@pytest.mark.skipif(sys.platform != "linux", reason="threads are moved on Linux alone")
def test_workers_may_use_the_processors_that_they_might_before(generator: Path) -> None:
    """A worker is not woken on the caller's processor, and not banned from it for longer."""

    def threads() -> set[int]:
        return {int(task.name) for task in Path("/proc/self/task").iterdir()}

    before = threads()  # other libraries' among them, which may be banned from some
    engine, usable = Engine(generator, threads=4), os.sched_getaffinity(0)
    for _ in range(30):
        time.sleep(0.002)  # the workers fall asleep
        engine(latent(1))
    time.sleep(0.05)
    workers = threads() - before
    assert len(workers) == 3
    assert all(os.sched_getaffinity(thread) == usable for thread in workers)


def test_engines_come_and_go(generator: Path) -> None:
    expected = Engine(generator)(latent(1))
    for _ in range(50):
        np.testing.assert_array_equal(Engine(generator, threads=4)(latent(1)), expected)


def test_python_runs_during_a_call(tmp_path: Path) -> None:
    """Threads are not made to take turns here, so the main thread can only go on when a call lets go of the lock."""
    layer = Layer(512, 512, (16, 16), (5, 5), (1, 1), (2, 2))
    engine, z = Engine(layer.write(tmp_path / "g.safetensors"), threads=1), layer.input(1)
    entered, done = threading.Event(), []

    def call() -> None:
        entered.set()
        for _ in range(20):
            engine(z)
        done.append(True)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        thread = threading.Thread(target=call)
        thread.start()
        entered.wait()
        assert not done
        thread.join()
    finally:
        sys.setswitchinterval(interval)
