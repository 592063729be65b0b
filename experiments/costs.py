"""Claims 5 to 7: memory, inference and training time of the partial generator, in one run beside the float one.

    python -m experiments.costs

Memory ratio: bytes of the float32 state that the module needs at inference over bytes of the packed file. Inference:
the same images by our engine from one-bit and from float weights, and by all other engines that are installed, from
float ones. Training: a step of both networks, float ones by PyTorch, a partial generator and a binary discriminator by
ours. All with the same threads; writes costs.json.
"""

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import typer

import pbgen
from pbgen.bench import compare
from pbgen.bench.training import compare_training
from pbgen.example import example_input

from . import plots
from .run import HERE, commit

NETWORK = "dcgan64"


def main(
    threads: Annotated[int, typer.Option(min=1)] = 2,
    rounds: Annotated[int, typer.Option(min=1)] = 20,
    training_rounds: Annotated[int, typer.Option(min=1)] = 8,
    batch: Annotated[int, typer.Option(min=1, help="Images of a training step.")] = 16,
) -> None:
    """Measure, write costs.json and print the table."""
    torch.manual_seed(0)
    with TemporaryDirectory() as folder:
        memory, inference = _inference(Path(folder), threads, rounds)
    training = json.loads(compare_training(NETWORK, threads, batch, training_rounds).to_json())
    versions = {"commit": commit(), "torch": torch.__version__}
    costs = {"machine": versions, "memory": memory, "inference": inference, "training": training}
    (HERE / "costs.json").write_text(json.dumps(costs, indent=1) + "\n")
    print(report(costs))


def _inference(folder: Path, threads: int, rounds: int) -> tuple[dict[str, float], dict[str, Any]]:
    generator, _ = pbgen.models.create(NETWORK)
    z = example_input(generator)
    pbgen.pack(generator.eval(), z, folder / "float.safetensors")
    pbgen.binarize(generator, pbgen.plan(generator, z))
    packed = pbgen.pack(generator.eval(), z, folder / "partial.safetensors")
    memory = {"float_bytes": packed.float_bytes, "packed_bytes": packed.packed_bytes, "ratio": packed.ratio}
    partial = asdict(compare(folder / "partial.safetensors", threads=threads, rounds=rounds))
    floats = asdict(compare(folder / "float.safetensors", ["pbgen"], threads=threads, rounds=rounds))
    for measured in (partial, floats):
        measured["file"] = Path(measured["file"]).name
    return memory, {"partial": partial, "float": floats}


def report(costs: dict[str, Any]) -> str:
    """The three claims as a table, and the engines' times as another."""
    memory, training = costs["memory"], costs["training"]
    engines = costs["inference"]["partial"]["measurements"]
    ours, float_ours = engines[0]["median"], costs["inference"]["float"]["measurements"][0]["median"]
    eager = next((engine["median"] for engine in engines if engine["engine"] == "pytorch"), None)
    rows = [
        [
            "memory",
            "25.81x",
            f"{memory['ratio']:.2f}x",
            f"{memory['float_bytes']:,} over {memory['packed_bytes']:,} bytes",
        ],
        ["inference", "1.96x", f"{float_ours / ours:.2f}x", "our engine, float weights over one-bit weights"],
        ["training", "1.32x", f"{training['speedup']:.2f}x", "a step, PyTorch float over ours with binary weights"],
    ]
    if eager:
        rows.insert(
            2, ["", "", f"{eager / ours:.1f}x", "PyTorch eager, float weights, over our engine, one-bit weights"]
        )
    times = [
        [engine["title"], *(f"{1e3 * engine[key]:.3g}" for key in ("median", "low", "high"))]
        for engine in (*engines, {**costs["inference"]["float"]["measurements"][0], "title": "PBGen, float weights"})
    ]
    return (
        plots.markdown(["claim", "paper", "measured", "what over what"], rows)
        + "\n"
        + plots.markdown(["engine", "ms an image", "10%", "90%"], times)
    )


if __name__ == "__main__":
    typer.run(main)
