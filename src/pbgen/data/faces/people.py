"""Who is drawn: the attributes that several parts of a face share, and their distribution.

Lengths are in halves of the picture's side, colours sRGB in 0..1.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from pbgen.data.faces.colours import one_of, palette, ramp, tinted
from pbgen.data.faces.draws import Array, Draws, Rows

MAX_SHIFT, MAX_TILT, SCALE = 0.05, 0.12, (1.0, 1.18)  # of the pose; `Canvas.area` relies on them


class Haircut(NamedTuple):
    """A style's share among women and men, and its shape."""

    women: float
    men: float
    lift: float  # volume above the skull
    sides: float  # and beside it
    line: float  # height of the hairline at the parting
    slope: float  # how it falls away from the parting: straight
    bend: float  # and in a curve
    parting: float  # largest distance of the parting from the middle
    length: float  # where the hair behind the head ends
    curls: float  # height of the waves of its outline


BALD, BUN = 0, 1
HAIRCUTS = (
    Haircut(0.00, 0.11, 0.00, 0.00, -0.40, 0.00, 1.50, 0.00, 0.0, 0.000),
    Haircut(0.11, 0.00, 0.06, 0.02, -0.44, 0.12, 0.80, 0.10, 0.0, 0.000),
    Haircut(0.03, 0.21, 0.05, 0.01, -0.42, 0.00, 1.00, 0.03, 0.0, 0.000),  # cropped
    Haircut(0.05, 0.25, 0.14, 0.03, -0.42, 0.22, 0.60, 0.22, 0.0, 0.004),  # side parted
    Haircut(0.05, 0.18, 0.16, 0.05, -0.32, 0.05, 0.75, 0.10, 0.0, 0.020),  # tousled
    Haircut(0.08, 0.14, 0.20, 0.12, -0.35, 0.00, 0.80, 0.05, 0.0, 0.030),  # curly
    Haircut(0.06, 0.05, 0.26, 0.24, -0.38, 0.00, 0.75, 0.03, 0.0, 0.024),  # afro
    Haircut(0.25, 0.05, 0.11, 0.06, -0.52, 0.95, -0.2, 0.16, 1.1, 0.006),  # long, parted
    Haircut(0.14, 0.00, 0.12, 0.06, -0.21, 0.00, 0.28, 0.05, 1.1, 0.006),  # long, with a fringe
    Haircut(0.13, 0.01, 0.13, 0.09, -0.26, 0.10, 0.30, 0.20, 0.5, 0.004),  # bob
    Haircut(0.10, 0.00, 0.14, 0.10, -0.48, 0.60, 0.20, 0.18, 0.9, 0.022),  # wavy
)

_SHAPES = np.array(HAIRCUTS, dtype=np.float32)[:, 2:]

SKIN = palette("ffe3d0 f9d2b3 efbd95 dba577 bf8558 9a6440 754730 583524")  # light to dark
SHADOW = np.array([0.80, 0.70, 0.68], dtype=np.float32)[:, None, None]  # shadows on skin are warm
HAIR = palette("26211f 3f2b22 65432d 93502d ad7a43 dfb86f 9c9a99 dedad4 c4608f 4f82ad")
HAIR_SHARES = np.array(
    [
        [0.16, 0.20, 0.18, 0.08, 0.11, 0.13, 0.06, 0.04, 0.02, 0.02],  # with light skin
        [0.64, 0.22, 0.08, 0.01, 0.00, 0.00, 0.03, 0.01, 0.01, 0.00],  # with dark skin
    ]
)


@dataclass(frozen=True)
class People:
    """n people. Numbers and flags (0 or 1): float32 (n, 1, 1); colours: float32 (n, 3, 1, 1)."""

    shift_x: Array
    shift_y: Array
    scale: Array
    cos: Array  # of the head's tilt
    sin: Array
    turn: Array  # how far the face has moved across the head
    nod: Array  # and down
    light: Array  # comes from the left -1 .. right 1

    woman: Array
    tone: Array  # of the skin, light 0 .. dark 1
    skin: Array
    shade: Array  # the skin in shadow
    width: Array  # half the head's
    height: Array
    jaw: Array  # how much narrower the head gets downwards
    shoulders: Array  # half their width
    shoulders_y: Array
    eye_gap: Array  # half the distance of the eyes
    eye_y: Array
    mouth_y: Array
    smile: Array

    hair: Array
    haircut: Rows  # number in HAIRCUTS
    lift: Array
    sides: Array
    line: Array
    slope: Array
    bend: Array
    parting: Array
    length: Array
    curls: Array
    wave: Array  # phase of the curls

    has_hair: Array
    has_long_hair: Array
    has_bun: Array
    shows_ears: Array
    has_beard: Array
    has_moustache: Array
    laughs: Array
    closes_mouth: Array
    wears_glasses: Array
    wears_hat: Array
    wears_shirt: Array
    wears_earrings: Array

    def __getitem__(self, rows: slice | Rows) -> Self:
        return type(self)(**{name: value[rows] for name, value in vars(self).items()})


def draw_people(draw: Draws) -> People:
    """The people of the images that `draw` was made for."""
    woman = draw.chance(0.5)
    tone = draw.uniform()
    skin = tinted(draw, ramp(SKIN, tone), 0.015)
    dark = (tone[:, 0, 0] > 0.55).astype(np.intp)
    cut = draw.pick([np.where(woman[:, 0, 0] > 0, style.women, style.men) for style in HAIRCUTS])
    lift, sides, line, slope, bend, parting, length, curls = _SHAPES[cut].T[..., None, None]
    volume = draw.bell(0.75, 1.25)
    tilt = draw.bell(-MAX_TILT, MAX_TILT) / 2
    bearded = draw.chance(0.35 * (1 - woman))
    hat = draw.chance(0.06)
    laughs = draw.chance(0.3)
    short = _flag(length[:, 0, 0] == 0)
    return People(
        shift_x=draw.bell(-MAX_SHIFT, MAX_SHIFT),
        shift_y=draw.bell(-MAX_SHIFT, MAX_SHIFT),
        scale=draw.bell(*SCALE),
        cos=(1 - tilt * tilt) / (1 + tilt * tilt),
        sin=2 * tilt / (1 + tilt * tilt),
        turn=draw.bell(-0.09, 0.09),
        nod=draw.bell(-0.03, 0.03),
        light=draw.uniform(-1, 1),
        woman=woman,
        tone=tone,
        skin=skin,
        shade=skin * SHADOW,
        width=draw.bell(0.43, 0.52) - 0.015 * woman,
        height=draw.bell(0.58, 0.65),
        jaw=draw.bell(0.1, 0.34) + 0.08 * woman,
        shoulders=draw.bell(0.72, 0.92) - 0.08 * woman,
        shoulders_y=draw.bell(0.64, 0.7),
        eye_gap=draw.bell(0.185, 0.225),
        eye_y=draw.bell(-0.03, 0.03),
        mouth_y=draw.bell(0.34, 0.39),
        smile=draw.bell(-0.25, 1.25),
        hair=tinted(draw, one_of(draw, HAIR, HAIR_SHARES[dark].T)),
        haircut=cut,
        lift=lift * volume * (1 - 0.7 * hat),
        sides=sides * volume * (1 - 0.7 * hat),
        line=line + draw.bell(-0.04, 0.04),
        slope=slope * volume,
        bend=bend * draw.bell(0.8, 1.2),
        parting=parting * draw.uniform(-1, 1),
        length=length * draw.bell(0.8, 1.1),
        curls=curls * volume,
        wave=draw.uniform(),
        has_hair=_flag(cut != BALD),
        has_long_hair=1 - short,
        has_bun=_flag(cut == BUN) * (1 - hat),
        shows_ears=short,
        has_beard=bearded * draw.chance(0.7),
        has_moustache=bearded * draw.chance(0.8),
        laughs=laughs,
        closes_mouth=1 - laughs,
        wears_glasses=draw.chance(0.22),
        wears_hat=hat,
        wears_shirt=draw.chance(0.3),
        wears_earrings=draw.chance(0.35 * woman * short),
    )


def _flag(condition: npt.NDArray[np.bool_]) -> Array:
    return condition.astype(np.float32)[:, None, None]
