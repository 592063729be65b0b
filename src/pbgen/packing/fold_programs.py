"""Arithmetic that follows arithmetic as one program."""

from collections import Counter

from pbgen.packing.call import broadcast
from pbgen.packing.step import Flow, Step
from pbgen.packing.term import instructions, replaced, source

MAX_INPUTS = 16  # of a program, a layer's sum not counted
MAX_INSTRUCTIONS = 200  # of one that is put together here; the file allows 256


def into_programs(flow: Flow) -> Flow:
    """Maps move into the only map or reduction that reads them, where the shape is the same."""
    readers = flow.readers()
    for step in flow.steps():
        if step.op in ("map", "reduce"):
            for value in list(step.operands):
                if _can_move(value, step, readers):
                    _inline(step, value)
    return flow


def _can_move(value: Step, step: Step, readers: Counter[Step]) -> bool:
    if value.op != "map" or readers[value] != 1:
        return False
    if step.op == "map":
        shape_stays = value.shape == step.shape
    else:  # a reduction has the shape that its operands have together
        whole = broadcast([operand.shape for operand in step.operands])
        shape_stays = bool(value.operands) and value.shape == whole == broadcast([one.shape for one in value.operands])
    together = len(set(step.operands + value.operands)) - 1
    assert step.term is not None and value.term is not None
    small = instructions(step.term) + instructions(value.term) <= MAX_INSTRUCTIONS
    return shape_stays and together <= MAX_INPUTS and small


def _inline(step: Step, value: Step) -> None:
    others = [operand for operand in step.operands if operand is not value]
    operands = list(dict.fromkeys([*others, *value.operands]))
    assert step.term is not None and value.term is not None
    inner = replaced(value.term, [source(operands.index(operand)) for operand in value.operands])
    outer = [inner if operand is value else source(operands.index(operand)) for operand in step.operands]
    step.term, step.operands = replaced(step.term, outer), operands
