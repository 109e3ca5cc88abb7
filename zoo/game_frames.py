"""Frames of a game with a score of six digits and an icon, each a function of a seed.

Digits are of many styles: Pillow's font in all weights and shapes, seven segments, dots. The icon
is a close-up of one of the world's objects.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from zoo.scenes import OBJECTS, photo

WIDTH, HEIGHT = 480, 270
DIGITS = 6
DIGIT_BOXES = [[24 + 32 * place, 16, 54 + 32 * place, 58] for place in range(DIGITS)]
ICON_BOX = [360, 16, 456, 112]
LABELS = tuple("0123456789")

_SCALE = 4
_SEGMENTS = {
    "0": "abcdef", "1": "bc", "2": "abged", "3": "abgcd", "4": "fgbc",
    "5": "afgcd", "6": "afgedc", "7": "abc", "8": "abcdefg", "9": "abcdfg",
}  # fmt: skip
_SEGMENT_LINES = {
    "a": ((0, 0), (1, 0)), "b": ((1, 0), (1, 1)), "c": ((1, 1), (1, 2)), "d": ((0, 2), (1, 2)),
    "e": ((0, 1), (0, 2)), "f": ((0, 0), (0, 1)), "g": ((0, 1), (1, 1)),
}  # fmt: skip
_NOT_DIGITS = "ABCDEFGHKLMNPRTUVWXYZ?!+*%&=<>"
_STYLES = ("font", "segments", "dots")
_LEAST_CONTRAST = 70

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Frame:
    """A frame and what it shows.

    Attributes:
        image: RGB, WIDTH x HEIGHT.
        number: Six digits; "?" where a cell shows none.
        icon: One of `OBJECTS`.
    """

    image: Image.Image
    number: str
    icon: str


@dataclass(frozen=True)
class _Style:
    """How the digits of one frame look."""

    kind: str
    ink: Colour
    ground: Colour
    size: float
    stroke: float
    shear: float
    squeeze: float


def frame(seed: int, split: str = "train", *, blanks: bool = False, icons: bool = True) -> Frame:
    """A frame; frames of different splits have nothing in common but the styles of digits.

    Args:
        seed: From 0.
        split: train, validation or held-out.
        blanks: Whether some cells show no digit.
        icons: Whether the icon is drawn, which takes most of the time.
    """
    rng = random.Random(f"game frame {split} {seed}")
    image = _ground(rng)
    style = _style(rng)
    drawn = "".join(rng.choice(LABELS) for _ in range(DIGITS))
    if blanks:
        drawn = "".join(" " if rng.random() < 0.3 else digit for digit in drawn)
    bar = (DIGIT_BOXES[0][0] - 6, 10, DIGIT_BOXES[-1][2] + 6, 64)
    unlike = abs(_brightness(image.crop(bar)) - _brightness(Image.new("RGB", (1, 1), style.ink)))
    if unlike < _LEAST_CONTRAST or rng.random() < 0.4:
        ImageDraw.Draw(image).rounded_rectangle(bar, rng.randint(0, 12), fill=style.ground)
    for sign, box in zip(drawn, DIGIT_BOXES, strict=True):
        shown = sign if sign != " " else rng.choice([" ", rng.choice(_NOT_DIGITS)])
        _draw(rng, image, shown, box, style)
    icon = rng.choice(OBJECTS)
    if icons:
        side = ICON_BOX[2] - ICON_BOX[0]
        picture = photo(seed, split, icon).image.resize((side, side), Image.Resampling.LANCZOS)
        image.paste(picture, (ICON_BOX[0], ICON_BOX[1]))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.8)))
    return Frame(image, drawn.replace(" ", "?"), icon)


def _style(rng: random.Random) -> _Style:
    dark, light = rng.randint(0, 70), rng.randint(170, 255)
    inverted = rng.random() < 0.4
    ink, ground = (dark, light) if inverted else (light, dark)

    def tinted(value: int) -> Colour:
        red, green, blue = (min(255, max(0, value + rng.randint(-40, 40))) for _ in range(3))
        return red, green, blue

    return _Style(
        kind=rng.choice(_STYLES),
        ink=tinted(ink),
        ground=tinted(ground),
        size=rng.uniform(0.62, 0.86),
        stroke=rng.uniform(0, 0.05),
        shear=rng.uniform(-0.22, 0.22),
        squeeze=rng.uniform(0.75, 1.1),
    )


def _brightness(image: Image.Image) -> float:
    """The mean of an image in grey, from 0 to 255."""
    return float(np.asarray(image.convert("L")).mean())


def _ground(rng: random.Random) -> Image.Image:
    """A gradient with shapes on it."""
    top, bottom = (tuple(rng.randint(20, 230) for _ in range(3)) for _ in range(2))
    strip = Image.new("RGB", (1, 2))
    strip.putdata([top, bottom])
    image = strip.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(3, 14)):
        x, y = rng.randint(-20, WIDTH), rng.randint(70, HEIGHT)
        size = rng.randint(8, 70)
        fill = tuple(rng.randint(0, 255) for _ in range(3))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((x, y, x + size, y + rng.randint(8, 70)), fill=fill)
    return image


def _draw(rng: random.Random, image: Image.Image, sign: str, box: list[int], style: _Style) -> None:
    """Draws one sign into its cell, a little out of its middle."""
    width, height = (box[2] - box[0]) * _SCALE, (box[3] - box[1]) * _SCALE
    mask = Image.new("L", (width, height))
    tall = style.size * height
    if style.kind == "font" or sign not in _SEGMENTS:
        font = _font(round(tall * 1.3))
        left, top, right, bottom = font.getbbox(sign)
        at = ((width - right - left) / 2, (height - bottom - top) / 2)
        stroke = round(style.stroke * tall)
        ImageDraw.Draw(mask).text(at, sign, fill=255, font=font, stroke_width=stroke)
    else:
        _draw_segments(mask, sign, tall, style)
    shift = style.shear * height / 2
    moved = (rng.uniform(-0.06, 0.06) * width, rng.uniform(-0.05, 0.05) * height)
    middle = width / 2 * (1 - 1 / style.squeeze)
    mask = mask.transform(
        mask.size,
        Image.Transform.AFFINE,
        (1 / style.squeeze, style.shear, middle - shift + moved[0], 0, 1, moved[1]),
        Image.Resampling.BILINEAR,
    ).resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.BOX)
    image.paste(Image.new("RGB", mask.size, style.ink), (box[0], box[1]), mask)


def _draw_segments(mask: Image.Image, sign: str, tall: float, style: _Style) -> None:
    draw = ImageDraw.Draw(mask)
    wide = tall * 0.5
    left, top = (mask.width - wide) / 2, (mask.height - tall) / 2
    thick = tall * (0.1 + style.stroke)
    for segment in _SEGMENTS[sign]:
        (x1, y1), (x2, y2) = _SEGMENT_LINES[segment]
        start = (left + x1 * wide, top + y1 * tall / 2)
        end = (left + x2 * wide, top + y2 * tall / 2)
        if style.kind == "segments":
            draw.line((*start, *end), fill=255, width=round(thick))
            continue
        steps = 4
        for step in range(steps + 1):
            x = start[0] + (end[0] - start[0]) * step / steps
            y = start[1] + (end[1] - start[1]) * step / steps
            draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=255)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
