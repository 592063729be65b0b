"""Sends the binary layers of a module through PBGen's own products while it is trained on the CPU."""

from functools import partial
from types import TracebackType
from typing import cast

import torch
from torch import Tensor, nn

from pbgen import _core
from pbgen.binarize import (
    BinaryConnect,
    BinaryWeightNetwork,
    Layer,
    LearnedScale,
    binary_layers,
    estimator_of,
    latent_weights,
)
from pbgen.training.products import Geometry, PackedSigns, Source, product
from pbgen.weights import LAYER_KINDS


def worthwhile() -> bool:
    """Whether this processor's products are faster than torch's; those that run on every processor are not."""
    return _core.kernels() != "portable"


class NativeLayers:
    """The binary layers of a module, which compute by `products` while this context is entered.

    Their module is changed in nothing but how it computes, and outside of the context in nothing at all. Layers and
    inputs that the products do not know compute as ever: other devices and types, autocast, other paddings.

    Entering begins a pass, in which each layer's weights are the same; `forget` says that they have changed.
    """

    def __init__(self, module: nn.Module, enabled: bool = True) -> None:
        latent, layers = latent_weights(module), binary_layers(module)
        known = [name for name, layer in layers.items() if enabled and _is_known(layer) and _pays(layer)]
        self._layers = {name: (layers[name], latent[name]) for name in known}
        self._packed: dict[str, PackedSigns] = {}
        self._sources: dict[str, Source] = {}

    def forget(self) -> None:
        """To be called when the weights have changed."""
        self._packed.clear()

    def __enter__(self) -> "NativeLayers":
        for name, (layer, _) in self._layers.items():
            # Set on the instance on purpose; the class's own is found again when this one is deleted.
            layer.forward = partial(self._forward, name)  # type: ignore[method-assign]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for layer, _ in self._layers.values():
            del layer.forward
        for source in self._sources.values():
            source.close()
        self._sources.clear()

    def _forward(self, name: str, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        layer, latent = self._layers[name]
        # mypy cannot tell that a layer's class is its own; only transposed convolutions are called with a size.
        if output_size is not None:
            return type(layer).forward(layer, x, output_size)  # type: ignore[arg-type, call-arg]
        if not _can_run(x, latent):
            return type(layer).forward(layer, x)  # type: ignore[arg-type]
        if name not in self._sources:
            self._sources[name] = self._source(name)
        y = product(x, self._sources[name])
        return y if layer.bias is None else y + layer.bias.view(-1, *[1] * (latent.dim() - 2))

    def _source(self, name: str) -> Source:
        layer, latent = self._layers[name]
        estimator, geometry = estimator_of(layer), _geometry(layer, latent)
        bits = 1 if estimator is None else estimator.bits
        if type(estimator) not in _STRAIGHT_THROUGH or not _alone(layer) or bits > 1:
            weight = layer.weight  # as it is made of the latent weights, with a gradient of its own
            return Source(PackedSigns(geometry, weight, geometry.scale(weight), bits), weight)
        learned = estimator.learned if isinstance(estimator, LearnedScale) else None
        if name not in self._packed:
            ones = torch.ones(geometry.outputs) if isinstance(estimator, BinaryConnect) else None
            self._packed[name] = PackedSigns(geometry, latent, ones if learned is None else learned)
        return Source(self._packed[name], latent, learned, latent=True)


# Estimators whose signs are those of the latent weights, and whose gradient passes where these are within [-1, 1]: with
# one bit.
_STRAIGHT_THROUGH = (BinaryConnect, BinaryWeightNetwork, LearnedScale)


def _is_known(layer: Layer) -> bool:
    if all(type(layer).forward is not kind.forward for kind in LAYER_KINDS):
        return False  # a user's layer that does more
    return isinstance(layer, nn.Linear) or (layer.padding_mode == "zeros" and not isinstance(layer.padding, str))


# Of a weight, up to which the products are as fast as torch's: each plane takes as long as the first. And with more
# a weight does not tell its scale.
_MOST_BITS = 2


def _pays(layer: Layer) -> bool:
    estimator = estimator_of(layer)
    return estimator is not None and estimator.bits <= _MOST_BITS


def _alone(layer: Layer) -> bool:
    """Whether nothing but the estimator, a spectral norm for instance, has a part in the weight."""
    return len(cast(dict[str, nn.ModuleList], layer.parametrizations)["weight"]) == 1


def _can_run(x: Tensor, latent: Tensor) -> bool:
    dimensions = latent.dim() if latent.dim() > 2 else x.dim()
    return (
        x.device.type == latent.device.type == "cpu"
        and x.dtype == latent.dtype == torch.float32
        and x.dim() == dimensions
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
    )


def _geometry(layer: Layer, weight: Tensor) -> Geometry:
    if isinstance(layer, nn.Linear):
        return Geometry.of(weight)
    transposed = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d)
    assert not isinstance(layer.padding, str)  # says _is_known
    return Geometry.of(
        weight, layer.stride, layer.padding, layer.output_padding, layer.dilation, layer.groups, transposed
    )
