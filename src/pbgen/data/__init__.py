"""Images to train on and to compare with: rendered faces, folders, zips, CelebA."""

import os
import warnings
from pathlib import Path

from pbgen.data.source import ImageSource
from pbgen.errors import PBGenError, PBGenWarning

__all__ = ["MAX_SIZE", "MIN_SIZE", "ImageSource", "open_images"]

MIN_SIZE, MAX_SIZE = 16, 512
_NAMED = 3  # skipped files that a warning names


def open_images(source: str | os.PathLike[str], size: int, channels: int, seed: int = 0) -> ImageSource:
    """Open a source of square images of `size` pixels (16 to 512) and 3 (RGB) or 1 (grey) channels.

    source: "faces" for the rendered faces of `seed` (a folder of that name is "./faces"), or a folder, with the folders
    in it, or a zip of images, CelebA's included. `pbgen.data.files` says what is read and how it is cropped and
    resized; the first opening decodes all of it, later ones read the cache as long as no file has changed.

    Warns of files that were skipped; `.skipped` of the result names them all.
    Raises PBGenError where the source is unknown or unreadable, holds no image, or size or channels is out of range.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise PBGenError(f"image size {size}: out of range; choose {MIN_SIZE} to {MAX_SIZE} pixels")
    if channels not in (1, 3):
        raise PBGenError(f"{channels} channels: not possible; choose 3 (colour) or 1 (grey)")
    if source == "faces":
        from pbgen.data.faces import Faces

        return Faces(size, channels, seed)

    path = Path(source)
    if not os.path.exists(path):  # noqa: PTH110  # Path's own raises where a folder on the way may not be entered
        raise PBGenError(f"{source}: no such folder or zip; give 'faces', a folder of images or a zip of images")
    try:
        from pbgen.data.files import Files
    except ModuleNotFoundError as error:
        raise PBGenError(f"{source}: reading images needs {error.name}; pip install 'pbgen[train]'") from None
    files = Files(path, size, channels)
    if files.skipped:
        more = "; ..." if len(files.skipped) > _NAMED else ""
        told = f"{path}: {len(files.skipped)} of {files.count + len(files.skipped)} files skipped: "
        warnings.warn(told + "; ".join(files.skipped[:_NAMED]) + more, PBGenWarning, stacklevel=2)
    return files
