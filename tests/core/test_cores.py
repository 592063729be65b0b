"""A container's quota bounds the threads: both versions of control groups, and whatever lies where they should."""

import os
from pathlib import Path

import pytest
from builds import core, needs_cmake, run

pytestmark = needs_cmake

UNIFIED = "0::/\n"
LEGACY = "12:memory:/\n5:cpu,cpuacct:/\n1:name=systemd:/\n"
NESTED = "0::/outer/inner\n"

# What /proc/self/cgroup says, the files of the control groups, and the processors that they pay for.
CASES: dict[str, tuple[str, dict[str, str], str]] = {
    "no control groups": ("", {}, "unlimited"),
    "no limit": (UNIFIED, {"cpu.max": "max 100000\n"}, "unlimited"),
    "two processors": (UNIFIED, {"cpu.max": "200000 100000\n"}, "2"),
    "two and three quarters": (UNIFIED, {"cpu.max": "275000 100000\n"}, "2"),
    "half a processor": (UNIFIED, {"cpu.max": "50000 100000\n"}, "1"),
    "another period": (UNIFIED, {"cpu.max": "30000 10000\n"}, "3"),
    "a group": (NESTED, {"outer/inner/cpu.max": "300000 100000\n"}, "3"),
    "the outer group": (NESTED, {"outer/cpu.max": "200000 100000", "outer/inner/cpu.max": "300000 100000"}, "2"),
    "the inner group": (NESTED, {"outer/cpu.max": "400000 100000", "outer/inner/cpu.max": "300000 100000"}, "3"),
    "another group": (NESTED, {"outer/other/cpu.max": "200000 100000"}, "unlimited"),
    "a container that sees the path outside": (NESTED, {"cpu.max": "200000 100000\n"}, "2"),
    "first version": (LEGACY, {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "2"),
    "first version, no limit": (
        LEGACY,
        {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
        "unlimited",
    ),
    "first version, outside": (
        "3:cpu:/docker/0123\n",
        {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"},
        "3",
    ),
    "first version, group": (
        "3:cpu:/docker/0123\n",
        {"cpu/docker/0123/cpu.cfs_quota_us": "300000", "cpu/docker/0123/cpu.cfs_period_us": "100000"},
        "3",
    ),
    "not of processors": ("3:cpuset:/\n", {"cpu/cpu.cfs_quota_us": "2", "cpu/cpu.cfs_period_us": "1"}, "unlimited"),
    "both versions": (LEGACY + NESTED, {"unified/outer/cpu.max": "200000 100000"}, "2"),
    # From here on nobody means it.
    "empty": (UNIFIED, {"cpu.max": ""}, "unlimited"),
    "one number": (UNIFIED, {"cpu.max": "200000"}, "unlimited"),
    "no numbers": (UNIFIED, {"cpu.max": "two one\n"}, "unlimited"),
    "no time": (UNIFIED, {"cpu.max": "0 0\n"}, "unlimited"),
    "negative": (UNIFIED, {"cpu.max": "-200000 -100000\n"}, "unlimited"),
    "large": (UNIFIED, {"cpu.max": f"{2**63 - 1} 1\n"}, "unlimited"),
    "too large": (UNIFIED, {"cpu.max": f"{2**63} 1\n"}, "unlimited"),
    "no end": (UNIFIED, {"cpu.max": "2" * 10**6 + " 1"}, "unlimited"),
    "no lines": ("\n\n:\n::\n:::\nabc\n0:\n0::\n0::abc\n0::../../..\n0::////\n", {}, "unlimited"),
    "many": ("0::/a\n" * 10**4, {"a/cpu.max": "2 1"}, "2"),
    "deep": ("0::" + "/a" * 10**4, {"a/cpu.max": "2 1"}, "2"),
    "zeros": ("0::/a\0b\n\0\0", {"cpu.max": "\0 1"}, "unlimited"),
}


@pytest.mark.parametrize("name", CASES)
def test_quotas(name: str, tmp_path: Path) -> None:
    groups, files, expected = CASES[name]
    contents = {"proc/self/cgroup": groups} | {f"sys/fs/cgroup/{file}": files[file] for file in files}
    for file, content in contents.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert run(core() / "tests" / "pbgen_cores", tmp_path) == f"{expected}\n"


def test_what_is_no_file(tmp_path: Path) -> None:
    """Nothing waits for a pipe that nobody writes to."""
    group = tmp_path / "sys" / "fs" / "cgroup"
    (group / "folder" / "cpu.max").mkdir(parents=True)
    os.mkfifo(group / "cpu.max")
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/folder\n")
    (tmp_path / "none").mkdir()
    assert run(core() / "tests" / "pbgen_cores", tmp_path, tmp_path / "none") == "unlimited\nunlimited\n"
