"""The aten operators that can be packed, by name or by name and overload, each with what makes steps of its call."""

from collections.abc import Callable
from typing import Any

from pbgen.packing.call import Call
from pbgen.packing.noise import NORMAL, UNIFORM
from pbgen.packing.operators import (
    attention,
    creation,
    elementwise,
    indexing,
    layers,
    norms,
    patches,
    pooling,
    ranks,
    reductions,
    scans,
    scatters,
    views,
)
from pbgen.packing.untraced import RECURRENT

Operator = Callable[[Call], Any]

OPERATORS: dict[str, Operator] = {
    **elementwise.OPERATORS,
    **layers.OPERATORS,
    **norms.OPERATORS,
    **patches.OPERATORS,
    **views.OPERATORS,
    **pooling.OPERATORS,
    **reductions.OPERATORS,
    **ranks.OPERATORS,
    **scans.OPERATORS,
    **indexing.OPERATORS,
    **scatters.OPERATORS,
    **creation.OPERATORS,
    **attention.OPERATORS,
}


REFUSALS: dict[str, str] = {
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell"), RECURRENT),
    "scatter_reduce": scatters.PLACED,
    **dict.fromkeys(
        ("max_unpool2d", "max_unpool3d"), "windows that overlap cannot be packed; let stride be kernel_size, padding 0"
    ),
    **dict.fromkeys(
        ("_linalg_det", "_linalg_slogdet", "_linalg_svd", "_linalg_eigh", "linalg_eig", "linalg_qr"),
        "determinants and factors of matrices that hang on the input cannot be packed; inverses and solve can",
    ),
    **dict.fromkeys(
        ("histc", "bincount"),
        "counts of values that hang on the input cannot be packed; sums of comparisons can",
    ),
    **dict.fromkeys(("conv3d", "conv_transpose3d"), "three-dimensional convolutions cannot be packed"),
}

READ = frozenset(("item", "_local_scalar_dense"))  # of constants

KNOWN = frozenset(OPERATORS) | frozenset(REFUSALS) | NORMAL | UNIFORM | READ  # which are not taken apart
