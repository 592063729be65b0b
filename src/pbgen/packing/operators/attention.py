"""Scaled dot product attention."""

from collections.abc import Callable
from typing import Any

import sympy
import torch

from pbgen.packing import sizes
from pbgen.packing.call import Call
from pbgen.packing.operators.norms import softmaxed
from pbgen.packing.step import Step
from pbgen.packing.term import LARGEST, Term, make, number, power


def attention(call: Call) -> Step:
    """softmax(query key^T scale + mask) value."""
    query, key, value = (call.value(name) for name in ("query", "key", "value"))
    if call.get("enable_gqa"):
        key, value = (_repeated(call, one, query) for one in (key, value))
    scale = call["scale"]
    factor = number(scale) if scale is not None else power(number(sympy.sympify(query.shape[-1])), -0.5)
    query = call.map(lambda q: q * factor, query, shape=query.shape)  # which the layer before it may take over
    last = len(key.shape)
    scores = call.matmul(query, call.permute(key, [*range(last - 2), last - 1, last - 2]))
    if call["attn_mask"] is not None:
        scores = _masked(call, scores, call["attn_mask"])
    if call["is_causal"]:
        scores = _causal(call, scores)
    if call["dropout_p"]:
        raise call.refuse("drops numbers at random; give dropout_p=0 in evaluation")
    return call.matmul(softmaxed(call, scores, len(scores.shape) - 1), value)


def _masked(call: Call, scores: Step, mask: Any) -> Step:
    step = call.as_value(mask)
    if _is_truth(mask, call):
        return call.map(lambda s, m: make("where", m, s, -LARGEST), scores, step, shape=scores.shape)
    return call.map(lambda s, m: s + m, scores, step, shape=scores.shape)


def _is_truth(mask: Any, call: Call) -> bool:
    tensor = getattr(mask, "tensor", None)
    return (tensor.dtype if tensor is not None else call.dtypes["attn_mask"]) == torch.bool


def _causal(call: Call, scores: Step) -> Step:
    rows, columns = (call.range(size) for size in scores.shape[-2:])

    def later(s: Term, row: Term, column: Term) -> Term:
        return make("where", make("le", column, row), s, -LARGEST)

    return call.map(later, scores, call.reshape(rows, (scores.shape[-2], 1)), columns, shape=scores.shape)


def _repeated(call: Call, x: Step, query: Step) -> Step:
    heads, wanted = x.shape[-3], query.shape[-3]
    times = sizes.floor_divided(wanted, int(heads))
    lead, rest = x.shape[:-3], x.shape[-2:]
    more = call.expand(call.reshape(x, (*lead, heads, 1, *rest)), (*lead, heads, times, *rest))
    return call.reshape(more, (*lead, wanted, *rest))


OPERATORS: dict[str, Callable[[Call], Any]] = {"scaled_dot_product_attention": attention}
