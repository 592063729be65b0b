"""The table of what compressing gave each layer."""

import math

from pbgen.compression.bits import weight_bytes
from pbgen.compression.info import CompressInfo
from pbgen.redundancy import FLOAT_BITS, becomes
from pbgen.report import text
from pbgen.report.tables import Table


def compress_table(info: CompressInfo) -> Table:
    """Every layer of a plan: degree of redundancy R, the PSNR that its bits alone would leave before anything is
    learned, its bits, and the bytes of its weights, float16 where they stay in float; what no plan is about; and as the
    rest scales, shifts and the header."""
    rows = []
    for layer in info.plan.layers:
        packed = weight_bytes(layer.weights, layer.bits)
        errors = info.errors.get(layer.name, {})
        alone = [f"{-10 * math.log10(max(errors[bits], 1e-12)):.1f}" if bits in errors else "" for bits in (1, 2, 3, 4)]
        becomes_ = "float16" if layer.bits == FLOAT_BITS else becomes(layer.bits)
        redundancy = text.number(layer.degree_of_redundancy)
        rows.append([layer.name, redundancy, *alone, becomes_, text.size(4 * layer.weights), text.size(packed)])
    for other in info.plan.unplanned:
        rows.append([str(other), *[""] * 5, "float", text.size(4 * other.weights), ""])
    weights = sum(layer.weights for layer in info.plan.layers) + sum(other.weights for other in info.plan.unplanned)
    rest_before = max(0, info.float_bytes - 4 * weights)  # what is not passed is in no file
    rest_after = info.packed_bytes - sum(weight_bytes(layer.weights, layer.bits) for layer in info.plan.layers)
    rows.append(["the rest", *[""] * 6, text.size(rest_before), text.size(rest_after)])
    numeric = ["R", "1 bit alone", "2 bits", "3 bits", "4 bits", "before", "after"]
    return Table(
        ["layer", *numeric[:5], "becomes", *numeric[5:]],
        rows,
        frozenset(numeric),
        [
            "all",
            *[""] * 5,
            f"{text.times(info.ratio)} smaller",
            text.size(info.float_bytes),
            text.size(info.packed_bytes),
        ],
        frozenset(i for i, row in enumerate(rows) if row[6].startswith("float")),
        spare=["4 bits", "3 bits", "2 bits", "1 bit alone"],
    )
