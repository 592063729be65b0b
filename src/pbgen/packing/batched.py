"""Whether a graph, which says what becomes of one image, says the same of several at once."""

from pbgen.packing.graph import Graph, Node

_LAYERS = ("conv", "conv_transpose", "linear")
_CONSTANTS = ("constant", "range")


def batched_values(graph: Graph) -> frozenset[int]:
    """The values whose leading 1 may as well be a batch: all but constants. Empty where others are not so."""
    found = set(range(len(graph.inputs)))
    for number, node in enumerate(graph.nodes, start=len(graph.inputs)):
        if node.op in _CONSTANTS:
            continue
        if not _keeps_images_apart(graph, node, found):
            return frozenset()
        found.add(number)
    return frozenset(found) if all(value in found for _, value in graph.outputs) else frozenset()


def _keeps_images_apart(graph: Graph, node: Node, batched: set[int]) -> bool:
    if not node.inputs or node.shape[0] != 1 or len(node.shape) < 2:
        return False
    own = 1 if node.op in _LAYERS else 0 if node.op in ("map", "reduce") else len(node.inputs)
    if any(not _is_batched(graph, value, batched) for value in node.inputs[:own]):
        return False
    # What a program reads may be constants, which broadcast; what is batched has its batch in the same place.
    for value in node.inputs[own:]:
        if value in batched and not (_is_batched(graph, value, batched) and len(graph.shape(value)) == len(node.shape)):
            return False
    if not any(value in batched for value in node.inputs):
        return False
    match node.op:
        case "conv" | "conv_transpose" | "linear":
            return "weight" in node.attributes
        case "map" | "reshape" | "pool":
            return node.op != "pool" or len(node.attributes["kernel"]) < len(node.shape)
        case "reduce" | "resample" | "adaptive_pool":
            return 0 not in node.attributes["axes"]
        case "permute":
            return bool(node.attributes["axes"][0] == 0)
        case "slice" | "concat":
            return bool(node.attributes["axis"] != 0)
        case "pad":
            return bool(node.attributes["before"][0] == 0)
        case _:
            return False


def _is_batched(graph: Graph, value: int, batched: set[int]) -> bool:
    return value in batched and graph.shape(value)[0] == 1
