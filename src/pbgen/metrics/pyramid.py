"""The Laplacian pyramid (Burt and Adelson 1983) of square images, as products of matrices.

The filter, the outer product of (1 4 6 4 1) / 16 with itself, works along each axis by itself. So halving an image X is
D X D^T with a matrix D of the filter's rows, its border included, and doubling is U X U^T.
"""

import torch
from torch import Tensor

_FILTER = (1, 4, 6, 4, 1)


def down(size: int) -> Tensor:
    """D, (size / 2, size): filter, and keep every second pixel, the first among them."""
    matrix = torch.zeros(size // 2, size)
    for row in range(size // 2):
        for tap, weight in enumerate(_FILTER):
            matrix[row, _mirrored(2 * row + tap - 2, size)] += weight / 16
    return matrix


def up(size: int) -> Tensor:
    """U, (2 * size, size): put a zero after every pixel, filter, and double what the zeros have thinned out."""
    matrix = torch.zeros(2 * size, size)
    for row in range(2 * size):
        for tap, weight in enumerate(_FILTER):
            place = _mirrored(row + tap - 2, 2 * size)
            if place % 2 == 0:
                matrix[row, place // 2] += weight / 8
    return matrix


def laplacian(images: Tensor, level: int, last: bool) -> Tensor:
    """Level `level` of images (N, C, size, size). It is what the next one loses, of the last one all that is left."""
    for _ in range(level):
        images = _apply(down(images.shape[-1]), images)
    if last:
        return images
    size = images.shape[-1]
    return images - _apply(up(size // 2) @ down(size), images)


def _apply(matrix: Tensor, images: Tensor) -> Tensor:
    return matrix @ images @ matrix.T


def _mirrored(place: int, size: int) -> int:
    """The pixel that stands for one outside: mirrored at the border pixel, which is not repeated."""
    return size - 1 - abs(size - 1 - abs(place))
