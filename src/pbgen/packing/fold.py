"""Fewer steps with the same values, one pass after another."""

from pbgen.packing.fold_layers import into_layers, scales_into_weights
from pbgen.packing.fold_programs import into_programs
from pbgen.packing.fold_shifts import without_lost_shifts
from pbgen.packing.fold_views import tidied
from pbgen.packing.step import Flow


def fold(flow: Flow) -> Flow:
    """Drop what does nothing, let layers take over what follows them, scales and shifts into their numbers, in float64,
    the rest into their programs, and make one program of arithmetic that follows arithmetic.

    Layers come first, so a sum of branches grows as each of them ends: in one program at the end it would keep them all
    and read them from memory. What then follows a layer as one program is taken over, too. Steps are changed in place.
    Nothing is computed twice, and shifts that do nothing are dropped.
    """
    folded = tidied(into_layers(into_programs(into_layers(tidied(flow)))))
    return scales_into_weights(without_lost_shifts(folded))
