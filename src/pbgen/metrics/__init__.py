"""How far generated images are from real ones."""

from pbgen.metrics.swd import SlicedWasserstein, sliced_wasserstein

__all__ = ["SlicedWasserstein", "sliced_wasserstein"]
