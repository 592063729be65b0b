"""A forked child uses and drops what its parent was using: no lock is inherited, and no thread is waited for."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from builds import core, needs_cmake, run
from packed_files import Layer

from pbgen import Engine
from pbgen.training.products import Geometry, PackedSigns, binary_convolution

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

LONGEST = 20
"""Seconds that a child may take."""


@pytest.fixture
def generator(tmp_path: Path) -> Path:
    """Small, so that most of a call is what surrounds the products."""
    return Layer(20, 40, (2, 2), (2, 2)).write(tmp_path / "g.safetensors")


def in_child(check: Callable[[], bool]) -> int:
    """What a forked child says to `check`: 0 for True; less than 0 where it was killed, as it is when it hangs."""
    child = os.fork()
    if child == 0:
        signal.alarm(LONGEST)
        try:
            os._exit(0 if check() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextmanager
def meanwhile(compute: Callable[[], object]) -> Iterator[None]:
    """Computes the same again and again in two other threads."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            compute()

    threads = [threading.Thread(target=repeat) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@needs_cmake
def test_from_c(generator: Path) -> None:
    """Fifty forks beside three threads that make images and one that opens engines, and a fork in each child."""
    assert run(core() / "tests" / "pbgen_forks", generator) == ""


def test_from_python(generator: Path) -> None:
    engine, z = Engine(generator, threads=3), Layer(20, 40, (2, 2)).input(2)
    expected = engine(z)

    def check() -> bool:
        nonlocal engine
        right = np.array_equal(engine(z), expected) and engine.resident_bytes > 0
        right = right and np.array_equal(Engine(generator, threads=3)(z), expected)
        del engine
        return right

    with meanwhile(lambda: engine(z)):
        assert [in_child(check) for _ in range(20)] == [0] * 20
    assert np.array_equal(engine(z), expected)


@pytest.fixture
def threads_of_torch() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads_of_torch")
def test_products_of_training() -> None:
    """The child has none of the threads that torch's OpenMP runtime had in the parent."""
    torch.manual_seed(0)
    x, weight = torch.randn(2, 24, 9, 9), torch.randn(32, 24, 3, 3).sign()
    expected = binary_convolution(x, weight, padding=1)
    with torch.inference_mode():
        torch.randn(300, 300) @ torch.randn(300, 300)  # torch's own threads are there

    source = PackedSigns(Geometry.of(weight, padding=1), weight, torch.ones(32))
    inputs = x.movedim(1, -1).contiguous()
    first = source.multiply(inputs, False, (9, 9))

    def check() -> bool:
        packed = PackedSigns(source.geometry, weight, None)
        images = binary_convolution(x, weight, padding=1)
        again = source.multiply(inputs, False, (9, 9))
        gradient = packed.gradient([(again, inputs)])
        return bool((images == expected).all() and (again == first).all() and gradient.isfinite().all())

    with meanwhile(lambda: source.multiply(inputs, False, (9, 9))):
        assert [in_child(check) for _ in range(10)] == [0] * 10
