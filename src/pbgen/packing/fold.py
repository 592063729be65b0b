"""Fewer steps with the same values, one pass after another."""

from pbgen.packing.fold_layers import into_layers, scales_into_weights
from pbgen.packing.fold_programs import into_programs
from pbgen.packing.fold_views import tidied
from pbgen.packing.step import Flow


def fold(flow: Flow) -> Flow:
    """Drop what does nothing, make one program of arithmetic that follows arithmetic, and let layers take over what
    follows them: scales and shifts into their numbers, in float64, the rest into their programs.

    Steps are changed in place. Nothing is computed twice.
    """
    return scales_into_weights(tidied(into_layers(into_programs(tidied(flow)))))
