"""What is around the face: background, neck and clothes, and what is worn on it."""

import numpy as np

from pbgen.data.faces.canvas import Canvas
from pbgen.data.faces.colours import mixed, one_of, palette, tinted
from pbgen.data.faces.draws import Draws
from pbgen.data.faces.outlines import away, torso
from pbgen.data.faces.people import People
from pbgen.data.faces.shapes import above, box, circle, convex, ellipse, ripple

BACKGROUNDS = palette("8fc1d9 a9d6c5 f2d6a0 f0b8a0 c5b8e0 b9cf9a e8dccb 7fa6c9 d99fae 7d99a6")
CLOTHES = palette("2f4b6e b5423c 3f7d5c e0a93a 5c4a7d e8e4dc 33353d c76b8f 4a90a4 8a5a3c")
COLLARS = palette("f7f5f0 f7f5f0 cfe0ee 3a3d48")
FRAMES = palette("1f1f24 1f1f24 5a3a28 8c2f2f b08d3c 2f4f6f")
WHITE, GOLD = palette("ffffff e6b84c")


def background(canvas: Canvas, p: People, draw: Draws) -> None:
    a = canvas.area()
    colour = tinted(draw, one_of(draw, BACKGROUNDS), 0.06)
    end = np.clip(colour * draw.uniform(0.72, 0.92)[:, None], 0, 1)
    a.paint(colour, np.ones_like(a.x))
    a.paint(end, np.clip((a.y + a.x * draw.uniform(-0.8, 0.8)) / 2.4 + 0.5, 0, 1))
    a.paint(WHITE, a.cover(circle(a.x, a.y + 0.1, 0.55), 0.9) * draw.uniform(0.05, 0.3))


def neck(canvas: Canvas, p: People, draw: Draws) -> None:
    a = canvas.area(-0.6, 0.3, 0.6, 1.0)
    half = p.width * (0.5 - p.jaw * 0.25) * draw.bell(0.95, 1.1)
    chest = np.maximum(torso(a, p), np.abs(a.x) - 0.5)
    column = a.cover(np.minimum(np.maximum(np.abs(a.x) - half, 0.3 - a.y), chest))
    a.paint(p.skin, column)
    chin = ellipse(a.x + p.light * 0.03, a.y - p.nod - 0.13, p.width * 0.8, p.height - 0.03)
    a.paint(p.shade * 0.92, column * a.cover(chin, 0.12))


def clothes(canvas: Canvas, p: People, draw: Draws) -> None:
    """A pullover with a round neck, or open to a point as shirts are; plain or striped."""
    a = canvas.area(-9, 0.5, 9, 9)
    colour = tinted(draw, one_of(draw, CLOTHES))
    trim = np.minimum(colour * (0.7 + 0.6 * draw.chance(0.5))[:, None], 1)
    pointed = np.maximum(draw.chance(0.25), p.wears_shirt)
    round_neck = ellipse(a.x, a.y - 0.58, p.width * draw.bell(0.48, 0.6), draw.bell(0.14, 0.28))
    free = np.where(pointed > 0, above(a.x, a.y, 0.88, -1.1), round_neck)
    body = a.cover(np.maximum(torso(a, p), -free))
    a.paint(colour, body)
    a.paint(trim, body * a.cover(ripple(a.y * draw.uniform(4, 7)) * 0.05) * draw.chance(0.25))
    a.darken(body * away(a, p) * 0.27)
    a.paint(trim, body * a.cover(free - 0.035))


def collar(canvas: Canvas, p: People, draw: Draws) -> None:
    """A shirt's: two flaps."""
    a = canvas.area(-0.5, 0.5, 0.5, 1.1)
    colour = one_of(draw, COLLARS)
    flap = convex(np.abs(a.x), a.y, ((0.24, 0.58), (0.33, 0.68), (0.16, 0.95), (0.0, 0.83)))
    a.paint(colour * 0.7, a.cover(flap - 0.015))
    a.paint(colour, a.cover(flap))


def earrings(canvas: Canvas, p: People, draw: Draws) -> None:
    a = canvas.area(-0.65, 0.1, 0.65, 0.4)
    radius = draw.uniform(0.025, 0.045)
    a.paint(GOLD, a.stroke(circle(np.abs(a.x) - p.width * 1.01, a.y - p.eye_y - 0.21, 0.0), radius))


def glasses(canvas: Canvas, p: People, draw: Draws) -> None:
    a = canvas.area(-0.6, -0.3, 0.6, 0.3)
    x, y = a.x - p.turn * 1.2, a.y - p.nod - p.eye_y
    across = np.abs(x)
    frame = one_of(draw, FRAMES)
    half, height = draw.bell(0.145, 0.165), draw.bell(0.11, 0.15)
    corner = height * draw.uniform(0.35, 0.98)
    dark = draw.chance(0.15)
    thick = draw.bell(0.012, 0.022)
    glass = box(across - p.eye_gap, y - 0.015, half, height, corner)
    a.paint(mixed(WHITE, frame * 0.6, dark), a.cover(glass) * (0.1 + 0.8 * dark))
    a.paint(frame, a.stroke(np.abs(glass), thick))
    bridge = np.maximum(np.abs(y + 0.03 - across * 0.2), across - (p.eye_gap - half))
    a.paint(frame, a.stroke(bridge, thick))
    temple = np.maximum(np.abs(y + 0.03), np.maximum(p.eye_gap + half - across, np.abs(a.x) - p.width))
    a.paint(frame, a.stroke(temple, thick))


def hat(canvas: Canvas, p: People, draw: Draws) -> None:
    a = canvas.area(-0.85, -1.2, 0.85, 0.0)
    colour = tinted(draw, one_of(draw, CLOTHES))
    brim = draw.bell(-0.4, -0.3)
    y = a.y - brim - 0.12 * a.x * a.x
    dome = a.cover(np.maximum(ellipse(a.x, a.y + 0.2, p.width + 0.07, p.height), y))
    a.paint(colour, dome)
    a.darken(dome * away(a, p) * 0.25)
    band = a.cover(box(a.x, y + 0.02, p.width + 0.09, 0.075, 0.05))
    a.paint(colour * 0.82, band)
    ribs = np.clip(2 - 63 * a.pixel, 0, 1) * 0.35
    a.paint(colour * 0.55, band * np.maximum(ripple(a.x * 9), 0) * ribs)
