"""Other objects of the street that the detector knows, and clutter that it must leave alone."""

from __future__ import annotations

import math
import random

from PIL import Image

from zoo.scene_canvas import Canvas, any_colour, near, shade

THINGS: dict[str, tuple[float, tuple[float, float]]] = {
    "bicycle": (0.62, (72, 104)),
    "dog": (0.72, (46, 70)),
    "bench": (0.45, (78, 120)),
    "traffic light": (3.4, (24, 36)),
}
"""Thing -> height over width, and widths in pixels at the scene's middle."""

CLUTTER = ("tree", "bin", "hydrant", "sign", "cone")


def draw_thing(rng: random.Random, thing: str, width: float) -> Image.Image:
    """One of `THINGS`, of about this width in pixels."""
    ratio, _ = THINGS[thing]
    canvas = Canvas(width, width * ratio * rng.uniform(0.92, 1.08))
    _DRAWINGS[thing](canvas, rng)
    picture = canvas.picture(mirrored=rng.random() < 0.5)
    return picture.crop(picture.getbbox())


def draw_clutter(rng: random.Random, scale: float) -> Image.Image:
    """Something that is none of the detector's classes."""
    kind = rng.choice(CLUTTER)
    if kind == "tree":
        canvas = Canvas(90 * scale, 170 * scale)
        canvas.box(0.44, 0.5, 0.56, 1.0, near(rng, (92, 62, 38)))
        for _ in range(6):
            canvas.disc(
                rng.uniform(0.3, 0.7),
                rng.uniform(0.16, 0.45),
                rng.uniform(0.1, 0.16),
                near(rng, (48, 110, 50), 30),
            )
    elif kind == "bin":
        canvas = Canvas(30 * scale, 46 * scale)
        colour = any_colour(rng, (0.1, 0.6))
        canvas.polygon([(0.05, 0.12), (0.95, 0.12), (0.82, 1.0), (0.18, 1.0)], colour)
        canvas.box(0.0, 0.0, 1.0, 0.14, shade(colour, 0.7))
    elif kind == "hydrant":
        canvas = Canvas(22 * scale, 40 * scale)
        colour = near(rng, (200, 40, 36), 30)
        canvas.box(0.25, 0.15, 0.75, 1.0, colour, 0.08)
        canvas.box(0.0, 0.35, 1.0, 0.5, shade(colour, 0.8), 0.05)
        canvas.disc(0.5, 0.14, 0.12, colour)
    elif kind == "sign":
        canvas = Canvas(44 * scale, 130 * scale)
        canvas.box(0.46, 0.2, 0.54, 1.0, (120, 120, 124))
        colour = any_colour(rng)
        if rng.random() < 0.5:
            canvas.disc(0.5, 0.16, 0.16, colour)
            canvas.disc(0.5, 0.16, 0.1, (240, 240, 240))
        else:
            canvas.box(0.05, 0.02, 0.95, 0.3, colour, 0.02)
            canvas.box(0.15, 0.12, 0.85, 0.2, (240, 240, 240))
    else:
        canvas = Canvas(30 * scale, 38 * scale)
        canvas.polygon([(0.4, 0.0), (0.6, 0.0), (0.88, 0.9), (0.12, 0.9)], (244, 110, 30))
        canvas.polygon([(0.3, 0.36), (0.7, 0.36), (0.76, 0.56), (0.24, 0.56)], (244, 244, 240))
        canvas.box(0.0, 0.88, 1.0, 1.0, (50, 50, 52))
    return canvas.picture(mirrored=rng.random() < 0.5)


def _bicycle(canvas: Canvas, rng: random.Random) -> None:
    frame = any_colour(rng)
    tyre = near(rng, (30, 30, 32))
    back, front, pedals = (0.23, 0.64), (0.77, 0.64), (0.46, 0.66)
    seat, handle = (0.36, 0.26), (0.68, 0.22)
    for x, y in (back, front):
        canvas.ring(x, y, 0.34, tyre, 0.045)
        for spoke in range(4):
            angle = math.pi * spoke / 4 + 0.3
            dx, dy = 0.3 * math.cos(angle) * 0.62, 0.3 * math.sin(angle)
            canvas.line([(x - dx, y - dy), (x + dx, y + dy)], (150, 150, 150), 0.01)
    for points in ([back, pedals, handle, seat, pedals], [back, seat], [handle, front]):
        canvas.line(points, frame, 0.05)
    canvas.box(seat[0] - 0.08, seat[1] - 0.06, seat[0] + 0.07, seat[1], (40, 30, 26), 0.02)
    canvas.line([(handle[0] - 0.02, 0.1), handle, (handle[0] + 0.1, 0.12)], (40, 40, 42), 0.045)


def _dog(canvas: Canvas, rng: random.Random) -> None:
    fur = near(rng, rng.choice([(120, 84, 48), (60, 48, 40), (206, 186, 150), (90, 90, 92)]))
    for x in (0.24, 0.34, 0.62, 0.72):
        canvas.box(x, 0.6, x + 0.07, 1.0, shade(fur, rng.uniform(0.75, 0.95)))
    canvas.box(0.18, 0.38, 0.8, 0.7, fur, 0.16)
    canvas.line([(0.2, 0.45), (0.04, rng.uniform(0.1, 0.4))], fur, 0.08)
    canvas.disc(0.82, 0.26, 0.2, fur)
    canvas.box(0.86, 0.25, 1.0, 0.42, shade(fur, 0.85), 0.06)
    canvas.polygon([(0.7, 0.3), (0.72, 0.0), (0.82, 0.12)], shade(fur, 0.7))
    canvas.disc(0.87, 0.22, 0.035, (10, 10, 10))
    canvas.disc(0.98, 0.29, 0.035, (10, 10, 10))


def _bench(canvas: Canvas, rng: random.Random) -> None:
    wood = near(rng, rng.choice([(146, 96, 54), (110, 76, 46), (70, 110, 70)]))
    iron = near(rng, (52, 52, 56))
    for x in (0.1, 0.84):
        canvas.box(x, 0.5, x + 0.05, 1.0, iron)
        canvas.line([(x + 0.025, 0.55), (x - 0.02, 0.0)], iron, 0.07)
    for y in (0.03, 0.2, 0.37):
        canvas.box(0.0, y, 0.96, y + 0.12, wood)
    canvas.box(0.02, 0.55, 1.0, 0.67, shade(wood, 0.8))


def _traffic_light(canvas: Canvas, rng: random.Random) -> None:
    canvas.box(0.42, 0.4, 0.58, 1.0, near(rng, (86, 86, 90)))
    canvas.box(0.08, 0.0, 0.92, 0.56, near(rng, (34, 36, 38)), 0.04)
    lit = rng.randrange(3)
    lamps = ((230, 40, 36), (244, 190, 40), (60, 210, 90))
    for index, colour in enumerate(lamps):
        canvas.disc(0.5, 0.1 + 0.18 * index, 0.072, colour if index == lit else shade(colour, 0.3))


_DRAWINGS = {
    "bicycle": _bicycle,
    "dog": _dog,
    "bench": _bench,
    "traffic light": _traffic_light,
}
