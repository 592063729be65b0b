"""Hair and beards."""

import numpy as np

from pbgen.data.faces.canvas import Area, Canvas
from pbgen.data.faces.draws import Array, Draws
from pbgen.data.faces.outlines import away, skull
from pbgen.data.faces.people import People
from pbgen.data.faces.shapes import above, box, circle, ellipse, joined, lens, ripple


def bun(canvas: Canvas, p: People, draw: Draws) -> None:
    a = canvas.area(-0.5, -1.2, 0.5, -0.4)
    radius = draw.bell(0.17, 0.24)
    x, y = a.x - p.parting, a.y + p.height + p.lift + radius * 0.2
    a.paint(p.hair * 0.7, a.cover(circle(x, y, radius)))
    a.paint(p.hair, a.cover(circle(x - p.light * 0.04, y + 0.03, radius * 0.8), 0.15))


def flow(a: Area, p: People) -> Array:
    """Distance to the outline of long hair: it falls from the temples and widens in waves."""
    fall = np.maximum(a.y, 0)
    half = p.width + p.sides + fall * 0.14 + p.curls * ripple(a.y * 2.2 + p.wave)
    middle = (p.length - 0.25) / 2
    return box(a.x, a.y - middle, half, p.length - middle, 0.2)


def back_hair(canvas: Canvas, p: People, draw: Draws) -> None:
    a = canvas.area(-0.95, -0.4, 0.95, 1.2)
    a.paint(p.hair * 0.6, a.cover(flow(a, p)))


def locks(canvas: Canvas, p: People, draw: Draws) -> None:
    """The long hair that falls before the ears and the shoulders."""
    a = canvas.area(-0.95, -0.4, 0.95, 1.2)
    fall = np.maximum(a.y + 0.1, 0)
    wave = p.curls * ripple(a.y * 1.7 + p.wave)
    inner = p.width * draw.bell(0.84, 0.93) - fall * fall * draw.uniform(0.0, 0.35) + wave - np.abs(a.x)
    shape = np.maximum(np.maximum(flow(a, p), inner), -0.25 - a.y)
    inside = a.cover(shape)
    a.paint(p.hair, inside)
    comb(a, p, inside, a.x + ripple(a.y * 0.9 + p.wave) * 0.06)
    a.darken(inside * (away(a, p) + a.cover(0.35 - a.y, 0.9)) * 0.22)


def hair(canvas: Canvas, p: People, draw: Draws) -> None:
    """What lies on the skull, down to the hairline, with sideburns."""
    a = canvas.area(-0.9, -1.1, 0.9, 0.5)
    lumps = p.curls * ripple(a.x * 3.1 + p.wave) * ripple(a.y * 3.1 - p.wave)
    high = 0.2 - p.sides * 0.4
    outer = ellipse(a.x, a.y + high, p.width + p.sides + 0.015, p.height + p.lift + 0.012 - high) + lumps
    front = above(a.x - p.parting, a.y, p.line, p.slope, p.bend) + p.curls * ripple(a.x * 2.6 + p.wave) * 1.2
    burns = p.width * draw.bell(0.88, 0.96) + np.maximum(a.y - 0.02, 0) * 0.9 - np.abs(a.x - p.turn * 0.5)
    shape = np.maximum(outer, joined(front, burns, 0.16))
    inside = a.cover(shape)
    a.paint(p.shade, a.cover(shape - 0.04, 0.08) * a.cover(skull(a, p) + 0.08) * 0.6)
    a.paint(p.hair, inside)
    comb(a, p, inside, (a.x - p.parting) * (1 + 0.5 * a.y))
    gloss = a.cover(np.abs(outer + 0.14) - 0.015, 0.13) * a.cover(np.abs(a.x - p.light * 0.22) - 0.15, 0.45)
    a.paint(np.clip(p.hair * 1.25 + 0.12, 0, 1), inside * gloss * 0.6)
    a.darken(inside * away(a, p) * 0.27)


def beard(canvas: Canvas, p: People, draw: Draws) -> None:
    a = canvas.area(-0.65, -0.2, 0.65, 0.8)
    x, y = a.x - p.turn, a.y - p.nod
    stubble = draw.chance(0.3)
    edge = above(x, y, p.mouth_y - draw.bell(0.06, 0.12), 0.0, -1.7)
    outline = skull(a, p) - draw.uniform(0.0, 0.07) * (1 - stubble)
    inside = a.cover(np.maximum(outline, -0.03 - a.y)) * (1 - a.cover(edge, 0.04 + 0.11 * stubble))
    inside *= 0.95 - 0.7 * stubble
    a.paint(p.hair * 0.8, inside)
    comb(a, p, inside, x * (1.5 + y))
    a.darken(inside * away(a, p) * 0.27)


def moustache(canvas: Canvas, p: People, draw: Draws) -> None:
    a = canvas.area(-0.35, 0.1, 0.35, 0.6)
    x, y = np.abs(a.x - p.turn * 1.2), a.y - p.nod - p.mouth_y + 0.065
    half = draw.bell(0.16, 0.21)
    droop = y - x * x * draw.uniform(0.2, 1.6)
    hairs = a.between(*lens(x - half * 0.2, droop, half, draw.bell(0.035, 0.05), draw.bell(0.02, 0.035)))
    a.paint(p.hair * 0.72, hairs * 0.97)


def comb(a: Area, p: People, inside: Array, across: Array) -> None:
    """Strands along the lines of equal `across`, as far as the pixels are fine enough to show them."""
    for strands in (5.3, 8.1, 19.0, 31.0):
        visible = np.clip(2 - 7 * strands * a.pixel, 0, 1)
        if visible.any():
            a.darken(inside * ripple(across * strands + p.wave * strands) * (visible * 0.07))
