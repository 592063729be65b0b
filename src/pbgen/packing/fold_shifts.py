"""What a layer adds to a whole channel is lost where the channel's mean is taken off, as an instance norm does."""

from collections import defaultdict

import numpy as np

from pbgen.packing.step import Flow, Step
from pbgen.packing.term import Term, in_order


def without_lost_shifts(flow: Flow) -> Flow:
    """Layers have no shift where it is lost: as a rule a bias that was trained, and takes its place in the file."""
    outputs = {step for _, step in flow.outputs}
    readers: defaultdict[Step, set[Step]] = defaultdict(set)
    for step in flow.steps():
        for value in step.reads:
            readers[value].add(step)
    for layer in list(readers):
        if layer.shift is not None and layer.term is None and layer.op != "linear" and layer not in outputs:
            means = {step for step in readers[layer] if _is_mean(step)} - outputs
            others = (readers[layer] - means).union(*(readers[mean] for mean in means))
            if means and all(_takes_off(step, layer, means) for step in others):
                layer.shift = np.zeros_like(layer.shift)
    return flow


def _is_mean(step: Step) -> bool:
    """Of each channel, over dimensions of the image."""
    alone = step.op == "reduce" and len(step.operands) == 1 and step.term is not None and step.term.op == "input"
    return alone and step.attributes["kind"] == "mean" and min(step.attributes["axes"]) > 1


def _takes_off(step: Step, layer: Step, means: set[Step]) -> bool:
    """Whether it reads the layer's values and their mean in differences of the two alone."""
    if step.op not in ("map", "reduce") or step.term is None:
        return False

    def read(term: Term) -> Step | None:
        value = step.operands[term.value] if term.op == "input" else None
        return value if value is layer or value in means else None

    parts = in_order(step.term)
    differences = {
        id(part)
        for part in parts
        if part.op == "sub" and read(part.operands[0]) is layer and read(part.operands[1]) in means
    }
    elsewhere = [part for part in parts if id(part) not in differences and any(map(read, part.operands))]
    return not elsewhere and read(step.term) is None
