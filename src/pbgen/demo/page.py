"""The demo's page: what was done and what came out of it."""

import os

from pbgen.bench import Comparison, Measurement
from pbgen.compression.table import compress_table
from pbgen.demo import DemoResults
from pbgen.errors import PBGenError
from pbgen.evaluation import Spread
from pbgen.pictures import image_grid
from pbgen.report import html, text
from pbgen.report.charts import NEUTRAL, SERIES, Bar, bar_chart, redundancy_chart, training_chart
from pbgen.report.engines import engine_blocks
from pbgen.report.tables import evaluation_table, pack_table, plan_table
from pbgen.web.page import HEAD, live

COLUMNS, SCALE = 6, 2

ABOUT = {
    "real": "real: rendered faces that no training has seen",
    "float": "float: generator and discriminator with float weights",
    "partial": "partial: the layers that the plan chooses are binary, and the discriminator",
    "binary": "binary: every layer of both is binary",
}


def write_demo_page(results: DemoResults, path: str | os.PathLike[str]) -> None:
    """Write the page to `path` atomically."""
    lead = (
        "Three small generators learned to make faces: one with float weights, one whose weights are binary where its "
        "layers are redundant enough, and one with binary weights throughout. The first was then compressed."
    )
    sections = (_headline, _pictures, _live, _plan, _training, _distance, _packed, _compressed, _paper)
    blocks = [block for section in sections for block in section(results)]
    html.write_page(path, html.page("Image generators with one-bit weights", lead, blocks, HEAD))


def _headline(results: DemoResults) -> list[str]:
    ours, torch = _ours_and_pytorch(results.comparison)
    distance = {name: evaluation.mean.mean for name, evaluation in results.evaluations.items()}
    partial, binary = (text.times(distance[name] / distance["float"]) for name in ("partial", "binary"))
    memory = f"of memory for its first image; PyTorch: {text.size(torch.resident_bytes)}"
    return [
        html.facts(
            [
                (text.times(results.packed.ratio), "smaller than in float32: the partially binary generator, packed"),
                (text.times(torch.median / ours.median), f"faster than PyTorch: {text.duration(ours.median)} an image"),
                (text.size(ours.resident_bytes), memory),
                (partial, f"the float generator's distance from real faces (SWD); all layers binary: {binary}"),
            ]
        )
    ]


def _pictures(results: DemoResults) -> list[str]:
    grids = [_grid(results, name, words) for name, words in ABOUT.items()]
    return [html.heading("Faces, real and generated"), html.side_by_side(grids)]


def _live(results: DemoResults) -> list[str]:
    try:
        block, _ = live(results.file)
    except PBGenError as error:
        return [html.heading("Made while you look"), html.note(f"Not in this report. {error}")]
    words = (
        "The partial generator, packed, stands in this page with the engine, and makes faces on your device: "
        "nothing is fetched."
    )
    return [html.heading("Made while you look"), html.paragraph(words), block]


def _plan(results: DemoResults) -> list[str]:
    settings = results.settings
    return [
        html.heading("Which layers can be binary"),
        html.paragraph(
            "A binary layer can only add or subtract its inputs. Its values are rounded sums, and the errors average "
            "out in the layer that reads them. The degree of redundancy R is the number of signed paths that one value "
            "can be built from: the layer's fan-in F times that of its reader, found from the dimensions alone. "
            f"Layers with R of at least {text.number(results.paper_plan.threshold)} get binary weights."
        ),
        html.chart(
            redundancy_chart(results.paper_plan),
            f"Degree of redundancy of the layers of {settings.paper_model}, logarithmic.",
        ),
        html.table(
            plan_table(results.paper_plan),
            f"The plan of {settings.paper_model}. Alone: how many times the float generator's distance, as predicted, "
            "if that layer alone were binary. Bytes are those of the weights.",
        ),
        html.table(
            plan_table(results.plan),
            f"The plan of the generator trained here: {settings.model}, {settings.width} channels at its widest.",
        ),
    ]


def _training(results: DemoResults) -> list[str]:
    settings = results.settings
    return [
        html.heading("Training"),
        html.chart(
            training_chart({name: run.log for name, run in results.runs.items()}),
            f"{settings.steps:,} steps of {settings.batch_size} images each; smoothed, raw values faint. Losses of "
            "different opponents do not compare; a loss that runs away would show here.",
        ),
    ]


def _distance(results: DemoResults) -> list[str]:
    evaluations, settings = results.evaluations, results.settings
    bars = [
        _bar(name, e.mean, str(e.mean), colour) for (name, e), colour in zip(evaluations.items(), SERIES, strict=False)
    ]
    floor = evaluations["float"].floor
    line = _bar("floor", floor, f"real against real {floor}", NEUTRAL)
    return [
        html.heading("How far from real faces"),
        html.chart(
            bar_chart(bars, "sliced Wasserstein distance × 1000, smaller is better", line),
            "The dashed line is the floor: how far real faces are from other real faces.",
        ),
        html.table(
            evaluation_table(evaluations),
            f"Sliced Wasserstein distance × 1000, {settings.images:,} images against {settings.images:,}; mean and "
            f"standard deviation over {settings.seeds} seeds, of one training each. Figures compare only at an equal "
            "number of images.",
        ),
    ]


def _packed(results: DemoResults) -> list[str]:
    return [
        html.heading("Packed, and run without PyTorch"),
        html.paragraph(
            "The partial generator was packed, one bit a binary weight, and run by the native engine. From the same "
            "latent vectors it makes the same images: they differ from the trained PyTorch module's by at most "
            f"{results.engine_difference:.1g}, where the values go from -1 to 1."
        ),
        html.side_by_side(
            [
                _grid(results, "engine", "the packed file in the engine"),
                _grid(results, "partial", "the trained module in PyTorch"),
            ]
        ),
        html.table(pack_table(results.packed), "What each layer takes before and after packing."),
        *engine_blocks(results.comparison),
    ]


def _compressed(results: DemoResults) -> list[str]:
    info, settings = results.compressed, results.settings
    means = {name: evaluation.mean.mean for name, evaluation in results.evaluations.items()}
    ours, partial = (text.times(means[name] / means["float"]) for name in ("compressed", "partial"))
    return [
        html.heading("The float generator, compressed without its data"),
        html.paragraph(
            "As one that somebody trained long ago: it was all that pbgen compress was given. Each layer got bits by "
            f"its measured error, and in {settings.compressed_steps:,} steps a copy learned to make its images, a "
            f"discriminator telling it what they lack. The file is {text.times(info.ratio)} smaller than in float32; "
            f"its images are {info.psnr} from the float generator's, and {ours} as far from real faces. The one that "
            f"was trained with binary weights from the start is {text.times(results.packed.ratio)} smaller, and "
            f"{partial} as far."
        ),
        html.side_by_side(
            [
                _grid(results, "compressed", "the compressed file in the engine"),
                _grid(results, "float", "the float generator"),
            ]
        ),
        html.table(
            compress_table(info),
            "Signal to noise of the images in decibels, where one layer alone has so many bits and nothing is learned; "
            "and what each layer got.",
        ),
    ]


def _paper(results: DemoResults) -> list[str]:
    name = results.settings.paper_model
    return [
        html.heading(f"At the size of {name}"),
        html.paragraph(
            f"The same for {name}, whose plan stands above, with fresh weights: bytes and time do not depend on what "
            "is learned."
        ),
        html.table(pack_table(results.paper_packed), "What each layer takes before and after packing."),
        *engine_blocks(results.paper_comparison),
    ]


def _ours_and_pytorch(comparison: Comparison) -> tuple[Measurement, Measurement]:
    found = {measurement.engine: measurement for measurement in comparison.measurements}
    return found["pbgen"], found["pytorch"]


def _bar(name: str, value: Spread, label: str, colour: str) -> Bar:
    return Bar(name, value.mean, value.mean - value.deviation, value.mean + value.deviation, label, colour)


def _grid(results: DemoResults, name: str, caption: str) -> str:
    return html.picture(image_grid(results.pictures[name], COLUMNS), caption, SCALE)
