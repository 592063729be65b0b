"""What training and metrics ask of a set of images."""

from typing import Protocol

import numpy as np
import numpy.typing as npt


class ImageSource(Protocol):
    """Square images by number. Thread-safe: `images` is a pure function of the numbers."""

    @property
    def name(self) -> str:
        """What the images are called in logs and reports."""

    @property
    def size(self) -> int:
        """Height and width in pixels."""

    @property
    def channels(self) -> int:
        """3 (RGB) or 1 (grey)."""

    @property
    def count(self) -> int | None:
        """How many there are; None: endless, any number from 0 on."""

    @property
    def skipped(self) -> list[str]:
        """Files that could not be used: "NAME: why", in the order of names."""

    @property
    def digest(self) -> str:
        """The same for the same images: of files, a hash of the names and contents of those that are used."""

    def images(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """The images of these numbers, (n,): uint8 (n, channels, size, size). IndexError beyond `count`."""
