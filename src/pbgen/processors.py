"""How many threads can run at once: what everything here that chooses a number of threads asks."""

import math
import os
from pathlib import Path

_SYSTEM = Path("/")


def usable_processors(system: Path = _SYSTEM) -> int:
    """The processors that this process may use, at least 1: those of its affinity, and no more than the quota of its
    container or service pays for (cgroup v2's cpu.max, v1's cfs_quota_us), rounded up.

    More threads than a quota pays for are all halted for the rest of a period as soon as it is spent.
    system: the root under which /proc and /sys are read.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([count, *(math.ceil(quota) for quota in _quotas(system))]))


def _quotas(system: Path) -> list[float]:
    """The quotas, in processors, of this process's control groups and of those around them."""
    try:
        lines = (system / "proc/self/cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return []
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mounts, read = [system / "sys/fs/cgroup", system / "sys/fs/cgroup/unified"], _unified_quota
        elif "cpu" in controllers.split(","):
            mounts, read = [system / "sys/fs/cgroup" / controllers, system / "sys/fs/cgroup/cpu"], _first_quota
        else:
            continue
        # A container may see its own group as the root while it is told the path outside: each that is there counts.
        inner = Path(path.lstrip("/"))
        folders = {mount / group for mount in mounts for group in (inner, *inner.parents)}
        quotas += [quota for folder in folders if (quota := read(folder))]
    return quotas


def _unified_quota(folder: Path) -> float | None:
    """cpu.max of cgroup v2: "QUOTA PERIOD" in microseconds, or "max PERIOD"."""
    return _ratio(_words(folder / "cpu.max"))


def _first_quota(folder: Path) -> float | None:
    """cgroup v1: the quota is -1 where there is none."""
    return _ratio(_words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us"))


def _ratio(words: list[str]) -> float | None:
    if len(words) != 2 or not all(word.isdecimal() for word in words) or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").split()
    except OSError:
        return []
