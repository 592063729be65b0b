"""pbgen bench"""

from typing import Annotated

import typer

from pbgen.cli import options


def bench(
    file: options.Packed,
    threads: Annotated[int, typer.Option(min=1, help="Threads of every engine.")] = 2,
    batch: Annotated[int, typer.Option(min=1, help="Images in a run.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="How often each engine has its turn.")] = 20,
    json: options.Json = False,
) -> None:
    """Compare this engine with PyTorch, ONNX Runtime and OpenVINO, those installed, on a packed generator."""
    from pbgen.bench import compare
    from pbgen.cli.terminal import Terminal
    from pbgen.report.tables import bench_table

    with Terminal() as terminal:
        progress = terminal.task("measuring", rounds)
        comparison = compare(file, threads=threads, batch=batch, rounds=rounds, progress=progress)
    if json:
        print(comparison.to_json())
        return
    terminal.show(bench_table(comparison))
    terminal.say(
        f"{comparison.processor}, {threads} threads, batch {batch}, {rounds} rounds in turn, each in its own process."
    )
    terminal.say(
        "Time: median of a run, 10th to 90th percentile. Memory: after the first images, beyond Python with NumPy."
    )
    terminal.say("Difference: largest from this engine's images, whose values go from -1 to 1.")
