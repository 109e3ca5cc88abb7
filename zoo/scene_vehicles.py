"""Vehicles seen from the side: nine bodies in six colours, most of them with a plate."""

from __future__ import annotations

import functools
import hashlib
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from zoo.scene_canvas import Canvas, Colour, near, shade

COLOURS: dict[str, Colour] = {
    "black": (32, 32, 36),
    "white": (236, 236, 232),
    "red": (196, 32, 36),
    "blue": (36, 76, 188),
    "green": (34, 132, 66),
    "yellow": (232, 196, 32),
}

BODIES: dict[str, tuple[str, float, tuple[float, float]]] = {
    "sedan": ("car", 0.36, (125, 190)),
    "hatchback": ("car", 0.45, (115, 165)),
    "convertible": ("car", 0.33, (120, 180)),
    "van": ("car", 0.50, (130, 190)),
    "pickup": ("truck", 0.40, (140, 205)),
    "box truck": ("truck", 0.50, (165, 240)),
    "tanker": ("truck", 0.42, (175, 250)),
    "city bus": ("bus", 0.40, (185, 265)),
    "double-decker": ("bus", 0.60, (165, 235)),
}
"""Body -> the detector's class, height over width, and widths in pixels at the scene's middle."""

PLATE_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
PLATE_LENGTH = 6

_GLASS: Colour = (150, 190, 210)
_TYRE: Colour = (24, 24, 26)


@dataclass(frozen=True)
class Plate:
    """A plate: its text, and its box (x1 y1 x2 y2) in pixels of the picture that it is in."""

    text: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Vehicle:
    """A vehicle to be drawn.

    Attributes:
        body: A key of `BODIES`.
        colour: A key of `COLOURS`.
        plate: The plate's text; empty for none.
        burning: Whether flames come out of it.
    """

    body: str
    colour: str
    plate: str
    burning: bool = False

    @property
    def label(self) -> str:
        """What vehicle classification says of it: `red sedan`."""
        return f"{self.colour} {self.body}"


LABELS = tuple(f"{colour} {body}" for body in BODIES for colour in COLOURS)
"""The labels of vehicle classification."""


def plate_text(rng: random.Random, split: str) -> str:
    """Two letters and four digits, without I, O and Q. A hash decides which plates are held out."""
    while True:
        text = "".join(rng.choices(PLATE_LETTERS, k=2)) + "".join(rng.choices("0123456789", k=4))
        held_out = hashlib.sha256(text.encode()).digest()[0] < 51
        if held_out == (split != "train"):
            return text


def draw_vehicle(
    rng: random.Random, vehicle: Vehicle, width: float
) -> tuple[Image.Image, Plate | None]:
    """A vehicle of about this width in pixels, and its plate within the picture."""
    _, ratio, _ = BODIES[vehicle.body]
    height = width * ratio * rng.uniform(0.94, 1.06)
    # Flames need room above the roof.
    head = 0.35 * height if vehicle.burning else 0.0
    canvas = Canvas(width, height)
    paint = near(rng, COLOURS[vehicle.colour], 12)
    glass = near(rng, shade(_GLASS, rng.uniform(0.5, 1.1)))
    _DRAWINGS[vehicle.body](canvas, paint, glass, rng)
    body = canvas.picture(mirrored=rng.random() < 0.5)
    picture = Image.new("RGBA", (body.width, body.height + round(head)))
    picture.paste(body, (0, round(head)))
    plate = None
    if vehicle.plate:
        plate = _mount_plate(rng, picture, vehicle.plate, round(head), body.height)
    if vehicle.burning:
        _flames(rng, picture, head)
    return picture, plate


def draw_plate(rng: random.Random, text: str, height: int) -> Image.Image:
    """A plate by itself, `height` pixels high and about four times as wide."""
    scale = 4
    font = _font(round(height * scale * rng.uniform(0.86, 0.98)))
    spaced = text[:2] + " " + text[2:] if rng.random() < 0.5 else text
    left, top, right, bottom = font.getbbox(spaced)
    margin = round(height * scale * rng.uniform(0.1, 0.2))
    size = round(right - left) + 2 * margin, height * scale
    ground = rng.choice([(240, 240, 236), (244, 214, 70), (226, 232, 240)])
    plate = Image.new("RGB", size, near(rng, ground, 10))
    draw = ImageDraw.Draw(plate)
    ink = near(rng, rng.choice([(16, 16, 20), (20, 28, 90)]), 10)
    draw.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=ink, width=max(1, size[1] // 24))
    draw.text((margin - left, (size[1] - (bottom - top)) / 2 - top), spaced, font=font, fill=ink)
    width = max(8, round(size[0] / scale * rng.uniform(0.92, 1.08)))
    return plate.resize((width, height), Image.Resampling.BOX)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _mount_plate(
    rng: random.Random, picture: Image.Image, text: str, top: int, height: int
) -> Plate:
    plate = draw_plate(rng, text, max(9, round(picture.width * rng.uniform(0.085, 0.105))))
    x = round(picture.width * rng.uniform(0.42, 0.56) - plate.width / 2)
    y = top + round(height * rng.uniform(0.60, 0.68) - plate.height / 2)
    picture.paste(plate, (x, y))
    return Plate(text, (x, y, x + plate.width, y + plate.height))


def _flames(rng: random.Random, picture: Image.Image, head: float) -> None:
    width, height = picture.size
    for colour, size in (((226, 74, 20), 1.0), ((248, 160, 30), 0.7), ((252, 228, 110), 0.4)):
        canvas = Canvas(width, height)
        start = rng.uniform(0.1, 0.2)
        points = [(start, (head + 0.35 * (height - head)) / height)]
        steps = rng.randint(7, 11)
        for step in range(steps):
            x = start + (0.8 - start) * (step + 0.5) / steps
            tip = step % 2 == 0
            rise = rng.uniform(0.6, 1.0) * size if tip else rng.uniform(0.0, 0.35) * size
            base = (head + 0.3 * (height - head)) / height
            points.append((x, base * (1 - rise)))
        points.append((0.8, points[0][1]))
        canvas.polygon(points, near(rng, colour))
        picture.alpha_composite(canvas.picture())


def _wheels(canvas: Canvas, places: tuple[float, ...], radius: float, rng: random.Random) -> None:
    rim = near(rng, (150, 150, 154), 30)
    for x in places:
        canvas.disc(x, 1 - radius, radius, _TYRE)
        canvas.disc(x, 1 - radius, radius * 0.55, rim)


def _lamps(canvas: Canvas, y: float, rng: random.Random) -> None:
    canvas.box(0.0, y, 0.025, y + 0.1, (250, 240, 190))
    canvas.box(0.975, y, 1.0, y + 0.1, near(rng, (180, 20, 20)))


def _sedan(canvas: Canvas, paint: Colour, glass: Colour, rng: random.Random) -> None:
    roof = rng.uniform(0.0, 0.04)
    canvas.polygon(
        [(0.2, 0.46), (0.33, roof), (0.66, roof), (0.83, 0.46), (0.83, 0.5), (0.2, 0.5)], paint
    )
    canvas.polygon([(0.25, 0.44), (0.35, roof + 0.09), (0.49, roof + 0.09), (0.49, 0.44)], glass)
    canvas.polygon([(0.52, 0.44), (0.52, roof + 0.09), (0.65, roof + 0.09), (0.77, 0.44)], glass)
    canvas.box(0.0, 0.42, 1.0, 0.84, paint, 0.12)
    canvas.line([(0.505, 0.45), (0.505, 0.8)], shade(paint, 0.7), 0.015)
    _lamps(canvas, 0.48, rng)
    _wheels(canvas, (0.2, 0.8), 0.19, rng)


def _hatchback(canvas: Canvas, paint: Colour, glass: Colour, rng: random.Random) -> None:
    canvas.polygon([(0.2, 0.44), (0.38, 0.0), (0.9, 0.02), (1.0, 0.5), (0.2, 0.5)], paint)
    canvas.polygon([(0.27, 0.42), (0.4, 0.09), (0.58, 0.09), (0.58, 0.42)], glass)
    canvas.polygon([(0.62, 0.42), (0.62, 0.09), (0.87, 0.1), (0.94, 0.42)], glass)
    canvas.box(0.0, 0.41, 1.0, 0.85, paint, 0.1)
    canvas.line([(0.6, 0.45), (0.6, 0.8)], shade(paint, 0.7), 0.015)
    _lamps(canvas, 0.48, rng)
    _wheels(canvas, (0.2, 0.81), 0.17, rng)


def _convertible(canvas: Canvas, paint: Colour, glass: Colour, rng: random.Random) -> None:
    canvas.line([(0.32, 0.4), (0.42, 0.02)], shade(glass, 0.8), 0.06)
    for x in (0.5, 0.66):
        canvas.box(x, 0.2, x + 0.07, 0.5, near(rng, (70, 46, 34)), 0.06)
    canvas.polygon([(0.0, 0.5), (0.3, 0.38), (0.8, 0.38), (1.0, 0.46), (1.0, 0.6)], paint)
    canvas.box(0.0, 0.44, 1.0, 0.84, paint, 0.14)
    _lamps(canvas, 0.5, rng)
    _wheels(canvas, (0.19, 0.8), 0.21, rng)


def _van(canvas: Canvas, paint: Colour, glass: Colour, rng: random.Random) -> None:
    canvas.polygon(
        [(0.0, 0.5), (0.16, 0.06), (0.24, 0.0), (1.0, 0.0), (1.0, 0.6), (0.0, 0.6)], paint
    )
    canvas.polygon([(0.07, 0.45), (0.19, 0.1), (0.33, 0.1), (0.33, 0.45)], glass)
    windows = rng.random() < 0.5
    for x in (0.4, 0.7):
        canvas.box(x, 0.1, x + 0.24, 0.4, glass if windows else shade(paint, 0.88), 0.03)
    canvas.box(0.0, 0.45, 1.0, 0.87, paint, 0.06)
    canvas.line([(0.365, 0.1), (0.365, 0.82)], shade(paint, 0.7), 0.012)
    _lamps(canvas, 0.54, rng)
    _wheels(canvas, (0.2, 0.82), 0.155, rng)


def _pickup(canvas: Canvas, paint: Colour, glass: Colour, rng: random.Random) -> None:
    canvas.polygon([(0.16, 0.44), (0.27, 0.0), (0.52, 0.0), (0.55, 0.44)], paint)
    canvas.polygon([(0.22, 0.4), (0.3, 0.08), (0.49, 0.08), (0.51, 0.4)], glass)
    if rng.random() < 0.5:
        canvas.box(0.6, 0.2, rng.uniform(0.75, 0.92), 0.46, near(rng, (140, 104, 62), 30))
    canvas.box(0.0, 0.4, 1.0, 0.82, paint, 0.06)
    canvas.line([(0.56, 0.44), (0.98, 0.44)], shade(paint, 0.6), 0.03)
    _lamps(canvas, 0.48, rng)
    _wheels(canvas, (0.19, 0.8), 0.2, rng)


def _cab(canvas: Canvas, paint: Colour, glass: Colour, rng: random.Random) -> None:
    canvas.polygon([(0.0, 0.45), (0.05, 0.14), (0.24, 0.12), (0.24, 0.8), (0.0, 0.8)], paint)
    canvas.polygon([(0.03, 0.42), (0.07, 0.19), (0.2, 0.19), (0.2, 0.42)], glass)
    canvas.box(0.0, 0.76, 1.0, 0.85, (60, 60, 64))
    _lamps(canvas, 0.6, rng)


def _box_truck(canvas: Canvas, paint: Colour, glass: Colour, rng: random.Random) -> None:
    _cab(canvas, paint, glass, rng)
    canvas.box(0.27, 0.0, 1.0, 0.79, paint)
    if rng.random() < 0.6:
        stripe = rng.uniform(0.1, 0.3)
        canvas.box(0.27, stripe, 1.0, stripe + 0.06, shade(paint, 0.6))
    canvas.line([(0.985, 0.02), (0.985, 0.78)], shade(paint, 0.6), 0.02)
    _wheels(canvas, (0.13, 0.72, 0.86), 0.145, rng)


def _tanker(canvas: Canvas, paint: Colour, glass: Colour, rng: random.Random) -> None:
    _cab(canvas, paint, glass, rng)
    canvas.box(0.27, 0.1, 1.0, 0.76, paint, 0.33)
    canvas.box(0.3, 0.18, 0.97, 0.26, shade(paint, 1.25), 0.04)
    for x in (0.45, 0.63, 0.81):
        canvas.line([(x, 0.11), (x, 0.75)], shade(paint, 0.7), 0.02)
    canvas.box(0.58, 0.03, 0.68, 0.11, shade(paint, 0.7))
    _wheels(canvas, (0.13, 0.68, 0.84), 0.17, rng)


def _windows(
    canvas: Canvas, top: float, bottom: float, count: int, glass: Colour, left: float = 0.09
) -> None:
    step = (0.97 - left) / count
    for index in range(count):
        canvas.box(left + index * step, top, left + (index + 0.86) * step, bottom, glass)


def _city_bus(canvas: Canvas, paint: Colour, glass: Colour, rng: random.Random) -> None:
    canvas.box(0.0, 0.0, 1.0, 0.86, paint, 0.08)
    _windows(canvas, 0.12, 0.46, rng.randint(5, 7), glass)
    canvas.box(0.005, 0.12, 0.07, 0.6, glass)
    canvas.box(0.0, 0.04, 0.2, 0.1, (30, 30, 30))
    _lamps(canvas, 0.66, rng)
    _wheels(canvas, (0.18, 0.8), 0.15, rng)


def _double_decker(canvas: Canvas, paint: Colour, glass: Colour, rng: random.Random) -> None:
    canvas.box(0.0, 0.0, 1.0, 0.9, paint, 0.06)
    count = rng.randint(5, 7)
    _windows(canvas, 0.07, 0.26, count, glass, 0.04)
    _windows(canvas, 0.36, 0.53, count, glass)
    canvas.box(0.005, 0.36, 0.07, 0.62, glass)
    canvas.line([(0.01, 0.31), (0.99, 0.31)], shade(paint, 0.65), 0.02)
    _lamps(canvas, 0.7, rng)
    _wheels(canvas, (0.18, 0.8), 0.11, rng)


_DRAWINGS = {
    "sedan": _sedan,
    "hatchback": _hatchback,
    "convertible": _convertible,
    "van": _van,
    "pickup": _pickup,
    "box truck": _box_truck,
    "tanker": _tanker,
    "city bus": _city_bus,
    "double-decker": _double_decker,
}
