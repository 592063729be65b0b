"""Prints each question's table from the results so far, and draws its charts.

python -m experiments.report                  all questions
python -m experiments.report layers metric    some
"""

from pathlib import Path
from typing import Annotated

import typer

from .questions import QUESTIONS
from .run import HERE, RESULTS
from .trial import load


def main(
    questions: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(QUESTIONS)}; default: all.")] = None,
    pictures: Annotated[Path, typer.Option(help="Folder for the charts.")] = HERE / "plots",
) -> None:
    """Tell what the results say."""
    results = load(RESULTS)
    pictures.mkdir(parents=True, exist_ok=True)
    for name in questions or QUESTIONS:
        trials = set(QUESTIONS[name].trials())
        done = sum(trial in results for trial in trials)
        seconds = [results[trial].measured.get("cpu_seconds", 0) for trial in trials if trial in results]
        print(f"## {name}: {done} of {len(trials)} trials, {sum(seconds) / 3600:.1f} CPU hours that are known of\n")
        print(QUESTIONS[name].report(results, pictures))


if __name__ == "__main__":
    typer.run(main)
