"""pbgen bench"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pbgen.cli import options
from pbgen.errors import PBGenError

if TYPE_CHECKING:
    from pbgen.bench import Comparison
    from pbgen.cli.terminal import Terminal


def bench(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Packed generator that `pbgen pack` wrote.")
    ] = None,
    engine: Annotated[list[str] | None, typer.Option(help="Only this one beside PBGen; may be repeated.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of every engine.")] = 2,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Images in a run, or in a training step; default: 1, or 16.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each engine has its turn.")] = 20,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="Of an input whose size is free: 256x256, or 100 for a sound; default: 64, or more where it must be.",
        ),
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Also time PBGen's layers one by one.")] = False,
    chart: Annotated[Path | None, typer.Option(help="Also draw the times, such as bench.png.")] = None,
    training: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Instead of a file: time training steps of this model.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Compare PBGen with PyTorch, ONNX Runtime, OpenVINO and ncnn, those installed, on a packed generator."""
    from pbgen.bench import compare
    from pbgen.cli.terminal import Terminal, check_output

    if training:
        _bench_training(training, threads, batch or 16, rounds, json)
        return
    if not file:
        raise PBGenError("FILE: missing; give a packed generator, or --training MODEL")
    sizes = options.sizes(size) if size else None
    if chart:
        from pbgen.report.charts import bench_chart, check_chart, save_chart

        check_output("--chart", chart)
        check_chart(chart)
    with Terminal() as terminal:
        progress = terminal.task("measuring", rounds)
        comparison = compare(file, engine, threads, batch or 1, rounds, layers, sizes, progress)
    if json:
        print(comparison.to_json(), flush=True)
    else:
        _show(comparison, terminal)
    if chart:
        save_chart(bench_chart(comparison), chart)


def _show(comparison: "Comparison", terminal: "Terminal") -> None:
    from pbgen.report.tables import bench_table, layer_table

    terminal.show(bench_table(comparison))
    for title, reason in comparison.left_out.items():
        terminal.say(f"{title} is left out: {reason}")
    runs = [m.runs for m in comparison.measurements]
    terminal.say(
        f"{comparison.processor}, {comparison.threads} threads, batch {comparison.batch}; each engine in a process of "
        f"its own, {comparison.rounds} rounds in turn, {min(runs)} to {max(runs)} runs each."
    )
    terminal.say(
        "Time: median of a run, 10th to 90th percentile. Memory: after the first images, beyond Python with NumPy. "
        "Size: what the engine reads."
    )
    terminal.say(
        "Difference: largest from PBGen's float32 values, which mostly go from -1 to 1; for int8 the PSNR against them."
    )
    for times in comparison.layers:
        terminal.say("")
        terminal.say(f"PBGen's layers, {times.activations} activations; median of {times.runs} runs")
        terminal.show(layer_table(times))


def _bench_training(model: str, threads: int, batch: int, rounds: int, json: bool) -> None:
    from pbgen.bench.training import VARIANTS, compare_training
    from pbgen.cli.terminal import Terminal
    from pbgen.report.tables import Table

    with Terminal() as terminal:
        progress = terminal.task("measuring", rounds)
        comparison = compare_training(model, threads, batch, rounds, progress)
    if json:
        print(comparison.to_json())
        return
    rows = [
        (VARIANTS[name], f"{step.median:.3f} s", f"{step.low:.3f} to {step.high:.3f}")
        for name, step in comparison.steps.items()
    ]
    terminal.show(Table(("training step", "median", "10th to 90th percentile"), rows, frozenset({"median"})))
    terminal.say(
        f"{comparison.processor}, {threads} threads, batch {batch}, {rounds} rounds in turn. A step: one update of the "
        f"discriminator and one of the generator. Float over binary with PBGen: {comparison.speedup:.2f}."
    )
