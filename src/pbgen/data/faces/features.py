"""The parts of the face itself."""

import numpy as np
import numpy.typing as npt

from pbgen.data.faces.canvas import Area, Canvas
from pbgen.data.faces.colours import mixed, one_of, palette, tinted
from pbgen.data.faces.draws import Array, Draws
from pbgen.data.faces.outlines import skull
from pbgen.data.faces.people import People
from pbgen.data.faces.shapes import above, bow, circle, ellipse, lens

IRISES = palette("4a2d1c 6b4426 7c6a35 4f7d52 3f7fae 6f8796")
IRIS_SHARES = np.array([[0.27, 0.20, 0.13, 0.12, 0.20, 0.08], [0.70, 0.25, 0.03, 0.01, 0.01, 0.0]])  # light, dark skin
LIPSTICKS = palette("c23b4b a8324a d96a6f")
WHITE, INK, EYEBALL, MOUTH, TONGUE = palette("ffffff 2a1d1a f4f0eb 5a1f22 c9585a")
ROSY, LIP = palette("ff8a80 c87572")  # multiply the skin


def ears(canvas: Canvas, p: People, draw: Draws) -> None:
    a = canvas.area(-0.65, -0.2, 0.65, 0.3)
    x, y = np.abs(a.x) - p.width * 0.99, a.y - p.eye_y - 0.06
    a.paint(p.skin * 0.94, a.cover(ellipse(x, y, 0.075, 0.125)))
    a.paint(p.shade * 0.92, a.cover(ellipse(x - 0.005, y, 0.035, 0.075), 0.05))


def head(canvas: Canvas, p: People, draw: Draws) -> None:
    a = canvas.area(-0.6, -0.7, 0.6, 0.7)
    inside = a.cover(skull(a, p))
    a.paint(p.skin, inside)
    lit = ellipse(a.x - p.light * 0.2, a.y + 0.1, p.width * 0.98, p.height)
    a.paint(p.shade, inside * (1 - a.cover(lit, 0.34)))
    forehead = ellipse(a.x - p.light * 0.17 - p.turn, a.y + 0.3, 0.26, 0.2)
    a.paint(WHITE, inside * a.cover(forehead, 0.4) * 0.16)
    cheeks = circle(np.abs(a.x - p.turn) - 0.27, a.y - p.nod - 0.2, 0.06)
    a.paint(p.skin * ROSY, inside * a.cover(cheeks, 0.2) * draw.uniform(0.05, 0.5))


def nose(canvas: Canvas, p: People, draw: Draws) -> None:
    a = canvas.area(-0.3, -0.25, 0.3, 0.4)
    x, y = a.x - p.turn * 1.5, a.y - p.nod * 1.3 - draw.bell(0.15, 0.2)
    half = draw.bell(0.075, 0.115)
    side = np.copysign(np.float32(1), p.light)
    a.paint(p.shade, a.cover(ellipse(x + side * half * 0.7, y + 0.1, half * 0.5, 0.19), 0.11) * 0.75)
    a.paint(p.shade * 0.9, a.cover(ellipse(x, y + 0.004, half * 1.05, 0.05), 0.05))
    a.paint(p.skin, a.cover(ellipse(x - side * 0.012, y + 0.035, half * 0.78, 0.055), 0.05))
    a.paint(WHITE, a.cover(ellipse(x - side * 0.02, y + 0.05, 0.025, 0.035), 0.06) * 0.4)
    nostrils = ellipse(np.abs(x) - half * 0.5, y - 0.012, 0.03, 0.014)
    a.paint(p.shade * 0.45, a.cover(nostrils, 0.015) * 0.85)


def mouth(canvas: Canvas, p: People, draw: Draws) -> None:
    """Closed lips, or laughing."""
    a = canvas.area(-0.4, 0.15, 0.4, 0.6)
    x, y = a.x - p.turn * 1.1, a.y - p.nod - p.mouth_y
    half = draw.bell(0.14, 0.2)
    full = draw.bell(0.03, 0.055)
    colour = lip_colour(p, draw)
    lips_up = p.smile * 0.07  # how far the corners rise
    rise = lips_up / (half * half)
    curve = y - lips_up * 0.6 + rise * x * x
    a.paint(p.shade, a.cover(ellipse(x, curve - full * 1.9, half * 0.55, 0.014), 0.06) * 0.7)
    a.paint(colour, a.between(*lens(x, curve, half, full * 0.8, full * 1.15)))
    a.paint(colour * 0.45, a.stroke(bow(x, curve, half, 0.0), np.maximum(0.012 - 0.04 * x * x / half, 0)))
    a.paint(WHITE, a.cover(ellipse(x - p.light * 0.03, curve - full * 0.55, half * 0.3, full * 0.16), 0.03) * 0.3)


def laugh(canvas: Canvas, p: People, draw: Draws) -> None:
    a = canvas.area(-0.4, 0.15, 0.4, 0.65)
    x, y = a.x - p.turn * 1.1, a.y - p.nod - p.mouth_y + 0.035
    half = draw.bell(0.17, 0.22)
    down = draw.bell(0.08, 0.16)
    curve = y + 0.4 * x * x
    a.paint(lip_colour(p, draw), a.between(*lens(x, curve, half + 0.03, 0.035, down + 0.025)))
    within = mixed(MOUTH, TONGUE, a.cover(ellipse(x, y - down, half * 0.6, down * 0.45), 0.02))
    within = mixed(within, EYEBALL, a.cover(above(x, y, down * 0.42, 0.0, -0.6)))
    a.paint(within, a.between(*lens(x, curve, half, 0.012, down)))


def lip_colour(p: People, draw: Draws) -> Array:
    """The skin's, or painted."""
    return mixed(p.skin * LIP, one_of(draw, LIPSTICKS), draw.chance(0.5 * p.woman))


def eyes(canvas: Canvas, p: People, draw: Draws) -> None:
    a = canvas.area(-0.42, -0.2, 0.42, 0.2)
    x, y = a.x - p.turn, a.y - p.nod - p.eye_y
    side = np.where(x < 0, np.float32(-1), np.float32(1))
    x = np.abs(x) - p.eye_gap  # both eyes at once, outwards
    y = y + x * draw.bell(-0.08, 0.16)
    half, up, down = draw.bell(0.11, 0.14), draw.bell(0.055, 0.09), draw.bell(0.035, 0.055)
    lashes = draw.bell(0.016, 0.028) + 0.015 * p.woman
    a.paint(p.shade, a.cover(ellipse(x, y + 0.015, half * 1.15, 0.075), 0.12) * 0.6)
    a.paint(INK, a.between(*lens(x - lashes * 0.25, y, half + lashes * 0.4, up + lashes, 0.02)))
    a.paint(eyeball(a, p, draw, x, y, side), a.between(*lens(x, y, half, up, down)))


def eyeball(a: Area, p: People, draw: Draws, x: Array, y: Array, side: Array) -> Array:
    """White, iris, pupil and highlight: a colour for each pixel."""
    iris = tinted(draw, one_of(draw, IRISES, iris_shares(p)))
    radius = draw.bell(0.068, 0.08)
    x, y = x - side * draw.bell(-0.03, 0.03), y + draw.bell(-0.02, 0.005)
    colour = mixed(EYEBALL, INK, a.cover(-0.035 - y, 0.06) * 0.3)  # the lid's shadow
    colour = mixed(colour, iris * 0.55, a.cover(circle(x, y, radius)))
    colour = mixed(colour, iris * 1.15, a.cover(circle(x, y - 0.012, radius * 0.72), 0.03))
    colour = mixed(colour, INK * 0.5, a.cover(circle(x, y, radius * 0.48)))
    return mixed(colour, WHITE, a.stroke(circle(x - side * p.light * 0.02, y + 0.026, 0.0), 0.018))


def iris_shares(p: People) -> npt.NDArray[np.float64]:
    """Dark skins mostly have brown eyes. (k, n)."""
    return IRIS_SHARES[(p.tone[:, 0, 0] > 0.5).astype(np.intp)].T


def brows(canvas: Canvas, p: People, draw: Draws) -> None:
    a = canvas.area(-0.42, -0.35, 0.42, 0.0)
    x, y = np.abs(a.x - p.turn) - p.eye_gap - 0.01, a.y - p.nod - p.eye_y + draw.bell(0.15, 0.2)
    half = draw.bell(0.11, 0.14)
    line = bow(x, y + x * draw.bell(-0.22, 0.08), half, draw.bell(0.6, 3.2))
    thick = draw.bell(0.02, 0.034) - 0.008 * p.woman
    a.paint(p.hair * 0.62, a.stroke(line, thick * np.clip(1.1 - x / half * 0.4, 0.3, 1.6)) * 0.92)
