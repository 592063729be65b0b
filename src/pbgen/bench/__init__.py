"""This engine beside others: time, memory, size and cold start of one packed generator.

Each engine runs in a process of its own, in turn, over many rounds: inside one process their thread pools would get in
each other's way, and one after another they would meet a different machine.
"""

from pbgen.bench.comparison import Comparison, Measurement, compare
from pbgen.bench.layers import LayerTime, LayerTimes

__all__ = ["Comparison", "LayerTime", "LayerTimes", "Measurement", "compare"]
