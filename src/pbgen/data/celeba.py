"""CelebA's aligned images: `img_align_celeba/000001.jpg` and so on, in a folder, a folder around it, or the zip.

Liu, Luo, Wang and Tang, "Deep learning face attributes in the wild", ICCV 2015.
"""

import re
from pathlib import Path

from pbgen.data.decode import Crop
from pbgen.data.listing import Entry, Listing

NAME = "img_align_celeba"
CROP = Crop(side=108, frame=(178, 218))  # x 35..142, y 55..162: the crop that DCGANs are trained on

_MEMBER = re.compile(rf"(.*/)?{NAME}/\d{{6}}\.jpg")


def aligned_images(listing: Listing) -> list[Entry]:
    """The files of CelebA's layout; none: this is something else.

    A file belongs to it by its own name and that of the folder or zip right above it: lists and landmarks beside them
    do not.
    """
    above = Path(listing.root.resolve().stem if listing.root.is_file() else listing.root.resolve().name)
    return [entry for entry in listing.entries if _MEMBER.fullmatch(f"{above}/{entry.name}")]


def zip_inside(folder: Path) -> Path | None:
    """The zip of a download folder in which it has not been unpacked."""
    packed = folder / f"{NAME}.zip"
    return packed if packed.is_file() and not (folder / NAME).is_dir() else None
