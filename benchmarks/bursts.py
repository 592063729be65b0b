"""How long does an image take after a pause, as an application makes them? The median of bursts of 50 images.

python benchmarks/bursts.py g.safetensors [--activations int8] [--threads 2] [--bursts 30]
"""

import argparse
import time

import numpy as np

from pbgen import Engine

IMAGES = 50
PAUSE = 0.3  # seconds


def burst(engine: Engine, z: np.ndarray) -> float:
    """Microseconds an image, the median of a burst; its first image does not count."""
    time.sleep(PAUSE)
    engine(z)
    times = []
    for _ in range(IMAGES):
        start = time.perf_counter()
        engine(z)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packed")
    parser.add_argument("--activations", default="int8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bursts", type=int, default=30)
    options = parser.parse_args()
    engine = Engine(options.packed, threads=options.threads, activations=options.activations)
    z = np.random.default_rng(0).standard_normal((1, *engine.input_shape), dtype=np.float32)
    bursts = [burst(engine, z) for _ in range(options.bursts)]
    low, middle, high = np.quantile(bursts, [0.1, 0.5, 0.9])
    print(f"{len(bursts)} bursts: {middle:.0f} us ({low:.0f} to {high:.0f}), the slowest {max(bursts):.0f} us")


if __name__ == "__main__":
    main()
