"""How many threads can run at once, by affinity and by the quotas of control groups."""

import os
from pathlib import Path

import pytest

from pbgen.processors import usable_processors

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="is about Linux")


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V1 = {"proc/self/cgroup": "4:memory:/\n2:cpu,cpuacct:/docker/abc\n0::/docker/abc\n"}
V2 = {"proc/self/cgroup": "0::/app.slice/app.service\n"}
GROUPS: dict[str, tuple[dict[str, str], int]] = {
    "none": ({}, 8),
    "v2, no quota": (V2 | {"sys/fs/cgroup/app.slice/cpu.max": "max 100000\n"}, 8),
    "v2, its own": (V2 | {"sys/fs/cgroup/app.slice/app.service/cpu.max": "150000 100000\n"}, 2),
    "v2, around it": (V2 | {"sys/fs/cgroup/app.slice/cpu.max": "300000 100000\n"}, 3),
    "v2, seen as the root": (V2 | {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
    "v2, more than there are": (V2 | {"sys/fs/cgroup/cpu.max": "6400000 100000\n"}, 8),
    "v2, damaged": (V2 | {"sys/fs/cgroup/cpu.max": "1 0 x\n"}, 8),
    "v1, its own": (
        V1
        | {
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "400000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
        },
        4,
    ),
    "v1, seen as the root": (
        V1 | {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
        1,
    ),
    "v1, no quota": (V1 | {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "9"}, 8),
}


@pytest.mark.parametrize("name", GROUPS)
def test_quotas(name: str, tmp_path: Path) -> None:
    files, expected = GROUPS[name]
    assert usable_processors(write(tmp_path, files)) == expected
