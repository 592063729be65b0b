"""One engine in a process of its own: it loads, makes one image, then times runs when asked and sleeps between.

    python -m pbgen.bench.worker ENGINE FILE THREADS Z.npy IMAGES.npy

It says one line of JSON when the first images are made (and saved), and one for every number of runs it reads.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import TextIO

import numpy as np

from pbgen.bench.engines import ENGINES, Floats, Run
from pbgen.files import write_atomically


def main(engine: str, path: str, threads: int, z_path: str, images_path: str) -> None:
    answers = own_output()
    z = np.load(z_path)
    before, start = resident_bytes(), time.perf_counter()
    run = ENGINES[engine].load(path, threads, len(z))
    images = run(z)
    cold_start, resident = time.perf_counter() - start, resident_bytes() - before
    write_atomically(images_path, lambda file: np.save(file, images))
    say(answers, {"cold_start": cold_start, "resident_bytes": resident})
    for line in sys.stdin:
        run(z)  # wakes the threads and warms the caches after the others' turns
        say(answers, {"seconds": [timed(run, z) for _ in range(int(line))]})


def timed(run: Run, z: Floats) -> float:
    start = time.perf_counter()
    run(z)
    return time.perf_counter() - start


def resident_bytes() -> int:
    """Memory of this process that lies in RAM now; where the system does not tell, the most there ever was."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def own_output() -> TextIO:
    """Standard output for the answers alone: what an engine prints there goes to standard error from now on."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def say(answers: TextIO, message: dict[str, object]) -> None:
    print(json.dumps(message), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5])
