"""Fewer steps with the same values: per-channel arithmetic and activations move into the layers before them."""

from collections import Counter

import numpy as np

from pbgen.packing.step import Epilogue, Flow, Step, Weight, live


def fold(flow: Flow) -> Flow:
    """Drop what does nothing, merge each affine step into the layer whose value only it reads, and scales into weights.

    Steps are changed in place; the arithmetic is in float64.
    """
    return _scales_into_weights(_affines_into_layers(_without_idle(flow)))


def _without_idle(flow: Flow) -> Flow:
    """Without steps that hand on their input, and with one reshape where several follow each other."""
    instead: dict[Step, Step] = {}
    for step in flow.steps:
        step.inputs = [instead.get(value, value) for value in step.inputs]
        if step.op == "reshape" and step.inputs[0].op == "reshape":
            step.inputs = step.inputs[0].inputs
        if _idle(step):
            instead[step] = step.inputs[0]
    return _flow(flow, instead)


def _idle(step: Step) -> bool:
    if step.op == "affine":
        return step.epilogue is not None and step.epilogue.does_nothing
    same_shape = bool(step.inputs) and step.shape == step.inputs[0].shape
    return same_shape and step.op in ("reshape", "upsample", "pixel_shuffle") and _whole_pixels(step)


def _whole_pixels(step: Step) -> bool:
    return all(distance == 1 for distance in step.attributes.get("step", []))


def _affines_into_layers(flow: Flow) -> Flow:
    readers = Counter(value for step in flow.steps for value in step.inputs)
    instead: dict[Step, Step] = {}
    for step in flow.steps:
        step.inputs = [instead.get(value, value) for value in step.inputs]
        layer = _layer_before(step, readers)
        if layer is not None and layer.epilogue is not None and step.epilogue is not None:
            layer.epilogue = _joined(layer.epilogue, step.epilogue)
            instead[step] = step.inputs[0]
            readers[step.inputs[0]] = readers[step]
    return _flow(flow, instead)


def _layer_before(step: Step, readers: Counter[Step]) -> Step | None:
    """The step that can take over an affine step: the one before it, or before the reshape before it."""
    if step.op != "affine" or step.epilogue is None or readers[step.inputs[0]] != 1:
        return None
    layer = step.inputs[0]
    if layer.op == "reshape" and readers[layer.inputs[0]] == 1:
        if layer.inputs[0].shape[0] != step.shape[0] and not step.epilogue.same_for_all:
            return None
        layer = layer.inputs[0]
    return layer if layer.epilogue is not None and layer.epilogue.activation == "none" else None


def _joined(first: Epilogue, second: Epilogue) -> Epilogue:
    if second.same_for_all:  # perhaps beyond a reshape, with another number of channels
        return Epilogue(first.scale, first.shift, second.activation, second.slope)
    return first.then(second)


def _scales_into_weights(flow: Flow) -> Flow:
    """Float weights take up their scale, unless several layers share them and need not have the same scale."""
    readers = Counter(step.weight for step in flow.steps)
    for step in flow.steps:
        weight, epilogue = step.weight, step.epilogue
        if weight is not None and epilogue is not None and not weight.binary and readers[weight] == 1:
            along_channels = epilogue.scale.reshape(-1, *[1] * (weight.values.ndim - 1))
            step.weight = Weight((weight.values * along_channels).astype(np.float32), binary=False)
            step.epilogue = Epilogue(np.ones_like(epilogue.scale), epilogue.shift, epilogue.activation, epilogue.slope)
    return flow


def _flow(flow: Flow, instead: dict[Step, Step]) -> Flow:
    output = instead.get(flow.output, flow.output)
    return Flow(live(flow.steps, output), output)
