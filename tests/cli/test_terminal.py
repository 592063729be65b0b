"""What the commands show of their progress where standard error is no terminal."""

import pytest

from pbgen.cli.terminal import Terminal


def test_a_line_for_every_tenth_however_progress_leaps(capsys: pytest.CaptureFixture[str]) -> None:
    update = Terminal().task("learning", 1000)
    for done in (0, 27, 54, 103, 155, 420, 421, 1000):
        update(done, 1000)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == [f"learning {done}/1000" for done in (103, 420, 1000)]
    assert [line.endswith(" left") for line in lines] == [True, True, False]


def test_what_goes_on_does_not_count_what_was_done_before(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([0.0, 0.0, 10.0, 20.0])
    monkeypatch.setattr("pbgen.cli.terminal.time.perf_counter", lambda: next(seconds))
    update = Terminal().task("learning", 10)
    for done in (6, 7, 8):
        update(done, 10)
    lines = [line.split("  ")[1:] for line in capsys.readouterr().err.splitlines()]
    assert lines == [[], ["30 s left"], ["20 s left"]]
