"""A packed file as an ONNX file, for tools that read those.

Weights of bits stay bits: the graph unpacks them by BitwiseAnd, Cast and Where, which ONNX Runtime does once, as it
loads the file. So it is about as small as the packed one, and runs as fast as one of float32 weights; integers with
DequantizeLinear are neither (docs/onnx.md).
"""

import logging
import os
import re
import warnings
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.export import Dim

from pbgen.engine import Engine
from pbgen.errors import PBGenError
from pbgen.files import check_writable, write_atomically
from pbgen.modules import first_line
from pbgen.packing.file import read
from pbgen.packing.graph import Count, Graph
from pbgen.packing.rounded import TOLERANCE, difference, versions
from pbgen.packing.stored import Stored

OPSET = 20
"""Of ONNX: what its readers of the last years know."""


SIZES = [
    (64, 8),
    (83, -5),
    (64, 0),
    (128, 32),
    (256, 64),
    (512, 0),
    (32, 0),
    (16, 4),
    (9, 2),
    (5, 1),
    (3, 0),
    (2, 0),
    (1, 0),
]
"""Free sizes to try, the first one's and how much more each next one's is."""
TRIED = 3
"""Sets of sizes by which a file is checked."""
UNFOLDED = 1024
"""Bytes from which on constants are not computed in the file: weights would be unpacked in it."""
MAX_BYTES = 2**31 - 1
"""Of an ONNX file in one piece."""


def export_onnx(
    path: str | os.PathLike[str], output: str | os.PathLike[str], sizes: tuple[int, ...] | None = None
) -> int:
    """Write the packed file `path` as an ONNX file, and return its size in bytes.

    Its inputs are all of the packed file's, those of noise too, float32 (N, ...), its outputs the same. Free sizes stay
    free unless `sizes` fixes them, one for each or one for all; N is free where images are computed apart from each
    other, else it is 1. Before it takes its place at
    `output`, ONNX Runtime runs it beside our engine, at several sizes where these are free.

    Raises PBGenError where the packed file cannot be read, it holds an operator that ONNX does not have, ONNX Runtime
    does not make our engine's values to 1e-4 of the largest, or the file cannot be written.
    """
    check_writable(output)
    engine, (graph, tensors) = Engine(path), read(path)
    cases = [_given(engine, graph, sizes)] if sizes else _cases(engine, graph)
    module = Stored(graph, tensors).eval()
    error: PBGenError | None = None
    for case in cases:  # torch may take for certain what holds at the sizes that it sees
        try:
            content = to_bytes(module, graph, case, fixed=sizes is not None)
            for other in cases:
                several = module.batched and other is cases[-1]
                check_onnx(content, engine, module, other, batches=(1, 3) if several else (1,))
            write_atomically(output, partial(_write, content))
            return len(content)
        except PBGenError as failure:
            error = error or failure
    remedy = "; give a size, such as --size 256x256, for a file that has it alone" if graph.free and not sizes else ""
    raise PBGenError(f"{os.fsdecode(path)}: {error}{remedy}")


def _write(content: bytes, file: BinaryIO) -> None:
    file.write(content)


Sizes = dict[str, int]


def _cases(engine: Engine, graph: Graph) -> list[Sizes]:
    """Sets of free sizes that the network takes."""
    cases: list[Sizes] = []
    for first, more in SIZES:
        case = {name: max(1, first + more * number) for number, name in enumerate(graph.free)}
        with suppress(PBGenError):
            engine.output_shape_for(*_shapes(graph, case))
            cases += [case] if case not in cases else []
        if len(cases) == TRIED:
            break
    if not cases:
        raise PBGenError(f"takes none of the sizes that were tried, {SIZES[-1][0]} to {SIZES[5][0]}")
    return cases


def _given(engine: Engine, graph: Graph, sizes: tuple[int, ...]) -> Sizes:
    if len(sizes) not in (1, len(graph.free)) or not graph.free:
        names = ", ".join(graph.free) or "none"
        raise PBGenError(f"size {'x'.join(map(str, sizes))}: the packed file's free sizes are {names}")
    case = dict(zip(graph.free, sizes * len(graph.free), strict=False))
    engine.output_shape_for(*_shapes(graph, case))
    return case


def _shapes(graph: Graph, case: Sizes) -> list[tuple[int, ...]]:
    """Of the inputs that are not noise, without the batch."""
    return [_at(source.shape, case)[1:] for source in graph.inputs if source.noise is None]


def _at(shape: Sequence[Count], sizes: Sizes) -> tuple[int, ...]:
    return tuple(sizes[size] if isinstance(size, str) else size for size in shape)


def to_bytes(module: Stored, graph: Graph, case: Sizes, fixed: bool = False) -> bytes:
    """The ONNX file, traced at these free sizes; where they are `fixed`, for these alone.

    Raises PBGenError where ONNX lacks an operator.
    """
    sizes, batch = graph.sizes_at(case), 2 if module.batched else 1
    example = tuple(torch.zeros(batch, *_at(source.shape, sizes)[1:]) for source in graph.inputs)
    free = tuple(
        {i: Dim.AUTO for i, size in enumerate(source.shape) if (size in case and not fixed) or (i == 0 and batch == 2)}
        for source in graph.inputs
    )
    inputs = [source.name for source in graph.inputs]
    outputs = [_unlike(name, inputs) for name, _ in graph.outputs]
    from onnxscript.optimizer import optimize

    try:
        with _silence():
            exported = torch.export.export(module, example, dynamic_shapes=(free,), strict=False)
            program = torch.onnx.export(
                exported,
                (),
                verbose=False,
                opset_version=OPSET,
                optimize=False,
                input_names=inputs,
                output_names=outputs,
            )
            assert program is not None
            optimize(program.model, output_size_limit=UNFOLDED)
        proto = program.model_proto
        _clean(proto, graph, _unlike("batch", sizes) if batch == 2 else 1, sizes if fixed else {})
        content: bytes = proto.SerializeToString()
    except MemoryError:
        raise
    except Exception as error:  # whatever torch's exporter raises
        raise PBGenError(_reason(error)) from None
    if len(content) > MAX_BYTES:
        raise PBGenError(f"takes {len(content):,} bytes as ONNX; a file holds at most {MAX_BYTES:,}")
    return content


def _unlike(name: str, others: Container[str]) -> str:
    while name in others:
        name += "_"
    return name


def _reason(error: BaseException) -> str:
    """The first cause, and the operator at which it happened."""
    told = str(error)
    while not isinstance(error, PBGenError) and error.__cause__ is not None:
        error = error.__cause__
        told += str(error)
    if isinstance(error, PBGenError):  # of the packed file's own operator
        return str(error)
    place = re.search(r"(?:torch\.ops\.|op='|\.)aten\.(\w+)", told)
    if place and "No ONNX function" in told:
        return f"ONNX has no {place[1]}"
    return f"{place[1] if place else 'it'} cannot become ONNX: {first_line(error)}"


def _clean(proto: Any, graph: Graph, batch: Count, sizes: Sizes) -> None:
    """Sizes named as in the packed file, and nothing about the machine that wrote it."""
    proto.producer_name, proto.producer_version = "pbgen", ""
    del proto.graph.value_info[:]
    del proto.metadata_props[:]
    for part in [proto.graph, *proto.graph.node, *proto.graph.input, *proto.graph.output, *proto.graph.initializer]:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    ends = [source.shape for source in graph.inputs], [graph.shape(value) for _, value in graph.outputs]
    for values, shapes in zip((proto.graph.input, proto.graph.output), ends, strict=True):
        for value, shape in zip(values, shapes, strict=True):
            dims = value.type.tensor_type.shape
            del dims.dim[:]
            for size in (batch, *(sizes.get(size, size) if isinstance(size, str) else size for size in shape[1:])):
                dims.dim.add(**({"dim_param": size} if isinstance(size, str) else {"dim_value": size}))


@contextmanager
def _silence() -> Iterator[None]:
    """Of what torch's exporter says about itself."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def check_onnx(content: bytes, engine: Engine, module: Stored, case: Sizes, batches: Sequence[int]) -> None:
    """Raises PBGenError where ONNX Runtime makes other values of these sizes than our engine. What `module`, the packed
    file's own, rounds may be rounded to the other side where it lies next to a step, as when a module is packed."""
    graph = module.graph
    at = ", ".join(f"{name} = {size}" for name, size in case.items())
    for batch in batches:
        drawn = engine.draw(*_shapes(graph, case), count=batch, seed=1)
        ours = engine(*(drawn[s.name] for s in engine.inputs), noise={s.name: drawn[s.name] for s in engine.noise})
        theirs = run_onnx(content, [drawn[source.name] for source in graph.inputs])
        outputs = [torch.from_numpy(value) for value in (ours if isinstance(ours, tuple) else (ours,))]
        inputs = [torch.from_numpy(drawn[source.name]) for source in graph.inputs]
        for number, (value, other) in enumerate(zip(outputs, map(torch.from_numpy, theirs), strict=True)):
            same = value.shape == other.shape and (
                difference(other, [value]) <= TOLERANCE
                or difference(other, versions(outputs, partial(_made, module, inputs))[number]) <= TOLERANCE
            )
            if not same:
                name = graph.outputs[number][0]
                raise PBGenError(f"ONNX Runtime makes other values of '{name}'{' at ' if at else ''}{at}")


def _made(module: Stored, inputs: Sequence[Tensor]) -> list[Tensor]:
    with torch.no_grad():
        outputs = module(*inputs)
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def run_onnx(content: bytes, inputs: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """What ONNX Runtime makes of all inputs, in their order. Raises PBGenError where it cannot run the file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised as well
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        names = [source.name for source in session.get_inputs()]
        return list(session.run(None, dict(zip(names, inputs, strict=True))))
    except MemoryError:
        raise
    except Exception as error:  # its own kinds, which share no other base
        raise PBGenError(f"ONNX Runtime cannot run it: {first_line(error)}") from None
