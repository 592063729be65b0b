"""How near to this machine's limits each layer of the engine comes. README.md beside this file says how to run it.

A layer cannot take less time than its multiply-adds take at the peak of the instructions that its kernel is made of,
nor less than reading its weights takes: from the second cache where those of all layers fit there, else from memory.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pbgen.cli.terminal import Terminal
from pbgen.errors import PBGenError
from pbgen.report import text
from pbgen.report.tables import Table

PEAKS = {
    "tables in registers, int8": "int8-registers",
    "tables in registers": "float32-registers",
    "tables in memory, int8": "int16-tables",
    "tables in memory, shared by taps, int8": "int16-tables",
    "tables in memory": "float32-tables",
    "float32 weights": "multiply-add",
    "float weights as int16": "int16-multiply-add",
    "float weights as int8, dot products": "int8",
    "float weights as int8, broadcast": "int16-multiply-add",
    **{
        f"{bits}-bit weights{end}": peak
        for end, peak in ((", dot products of rows, int8", "int16-multiply-add"), ("", "multiply-add"))
        for bits in ("one", "two", "three", "four")
    },
    "channel by channel": "multiply-add",
}
"""The peak in peaks.cpp for each kernel, by how its name begins; the first that fits counts."""
BITS = {"avx512-vbmi": "512", "avx512": "512", "avx2": "256", "avx2-vnni": "256"}
"""What the peak's name ends with, by instruction set; 128 for the others."""
INPUTS = {"tables in memory, shared by taps, int8": 8, "tables in memory, shared by taps": 6}
"""Of a table, where there are not 4, as there are in the peak's; by how the kernel's name begins."""


def main(peaks_file: Path, bench_file: Path) -> None:
    peaks, bench = read(peaks_file), read(bench_file)
    if peaks.get("threads") != bench.get("threads"):
        raise PBGenError(f"{peaks_file}, {bench_file}: measured with different threads; give both the same --threads")
    if not bench.get("layers"):
        raise PBGenError(f"{bench_file}: has no layers; make it with pbgen bench --layers --json")
    rates = {peak["name"]: peak["all_threads"] * 1e9 for peak in peaks["peaks"]}
    cache = sum(peak["level_bytes"] for peak in peaks["peaks"]) * peaks["threads"]
    terminal = Terminal()
    for times in bench["layers"]:
        terminal.say(
            f"{bench['file']}, {times['activations']} activations, batch {times['batch']}; {bench['processor']}"
        )
        terminal.show(roofline(times, rates, cache))


def read(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise PBGenError(f"{file}: no results in JSON: {error}") from None


def roofline(times: Mapping[str, Any], rates: Mapping[str, float], cache: int) -> Table:
    """Every layer of a LayerTimes in JSON: what it has to do, the least and the measured seconds, and their ratio.

    rates: multiply-adds or bytes a second by the name of the peak. cache: bytes of the second cache of all threads.
    """
    layers, total = times["layers"], times["rest"]
    weights = sum(layer["weight_bytes"] for layer in layers)
    bandwidth = rates["read-l2" if weights <= cache else "read-memory"]
    rows, least = [], 0.0
    for layer in layers:
        # A lookup for each plane of signs.
        lookups = layer["operations"] * (layer["bits"] if layer["kernel"].startswith("tables") else 1)
        lookups *= 4 / next((inputs for begin, inputs in INPUTS.items() if layer["kernel"].startswith(begin)), 4)
        computing, reading = lookups / rates[peak(layer["kernel"])], layer["weight_bytes"] / bandwidth
        limit = max(computing, reading)
        least, total = least + limit, total + layer["median"]
        what = "multiply-adds" if computing >= reading else "bytes"
        rows.append([layer["name"], layer["kernel"], *work(layer), what, *ratio(limit, layer["median"])])
    rows.append(["the rest", "", "", "", "", "", text.duration(times["rest"]), ""])
    all_layers = {"operations": sum(layer["operations"] for layer in layers), "weight_bytes": weights}
    columns = ["layer", "kernel", "M multiply-adds", "weights", "limited by", "limit", "measured", "of the limit"]
    numeric = frozenset({"M multiply-adds", "weights", "limit", "measured", "of the limit"})
    return Table(columns, rows, numeric, ["all", "", *work(all_layers), "", *ratio(least, total)])


def peak(kernel: str) -> str:
    """The name of the peak that bounds a kernel, such as "tables in registers (avx512)"."""
    name, _, instructions = kernel.removesuffix(")").rpartition(" (")
    # Where an instruction set of 512 bits has tables in memory, they are those of AVX2.
    bits = "256" if "in memory" in name and instructions.startswith("avx") else BITS.get(instructions, "128")
    for begin, found in PEAKS.items():
        if name.startswith(begin):
            return f"{found}-{bits}"
    raise PBGenError(f"kernel {kernel!r}: not known here; say in PEAKS which peak bounds it")


def work(layer: Mapping[str, Any]) -> list[str]:
    return [text.number(layer["operations"] / 1e6), text.size(layer["weight_bytes"])]


def ratio(limit: float, measured: float) -> list[str]:
    return [text.duration(limit), text.duration(measured), f"{limit / measured:.0%}"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How near to this machine's limits each layer comes.")
    parser.add_argument("peaks", type=Path, help="what `peaks --json` printed")
    parser.add_argument("bench", type=Path, help="what `pbgen bench FILE --layers --json` printed")
    arguments = parser.parse_args()
    try:
        main(arguments.peaks, arguments.bench)
    except PBGenError as error:
        sys.exit(f"roofline: {error}")
