import pytest

from pbgen.report import text


@pytest.mark.parametrize(
    "count, expected",
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12_345, "12.3 kB"), (999_400, "999 kB"), (999_600, "1.00 MB"),
     (75_400_000, "75.4 MB"), (620_800_000, "621 MB"), (2.5e9, "2.50 GB"), (3e12, "3000 GB")],
)  # fmt: skip
def test_sizes(count: float, expected: str) -> None:
    assert text.size(count) == expected


@pytest.mark.parametrize(
    "seconds, expected",
    [(85e-6, "85.0 µs"), (0.0031, "3.10 ms"), (0.04, "40.0 ms"), (0.25, "250 ms"), (1.314, "1.31 s"), (90, "90.0 s"),
     (600, "10 min")],
)  # fmt: skip
def test_durations(seconds: float, expected: str) -> None:
    assert text.duration(seconds) == expected


@pytest.mark.parametrize(
    "value, expected",
    [(100, "100"), (1482.25, "1,482.25"), (770.2813, "770.28"), (12_660_512.4, "12,660,512"),
     (0.5, "0.5")],
)  # fmt: skip
def test_numbers(value: float, expected: str) -> None:
    assert text.number(value) == expected


def test_ratios_and_shapes() -> None:
    assert [text.times(r) for r in (0.5, 2.834, 31.42, 120.4)] == ["0.50x", "2.83x", "31.4x", "120x"]
    assert text.shape((3, 64, 64)) == "3×64×64"
