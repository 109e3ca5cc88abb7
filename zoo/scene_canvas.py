"""`Canvas`: draws shapes in an object's own units, and gives the object as a picture with alpha."""

from __future__ import annotations

import colorsys
import random
from collections.abc import Sequence

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

_OVERSAMPLING = 3


class Canvas:
    """A transparent canvas of `width` x `height` pixels; coordinates go from 0 to 1 on both axes.

    Everything is drawn larger and then reduced, for smooth edges.
    """

    def __init__(self, width: float, height: float) -> None:
        self.size = max(2, round(width)), max(2, round(height))
        self._width, self._height = (side * _OVERSAMPLING for side in self.size)
        self._image = Image.new("RGBA", (self._width, self._height))
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        self._draw.polygon([(x * self._width, y * self._height) for x, y in points], fill=colour)

    def box(
        self, x1: float, y1: float, x2: float, y2: float, colour: Colour, radius: float = 0
    ) -> None:
        """A rectangle; `radius` of its corners is a share of the canvas' height."""
        self._draw.rounded_rectangle(
            (x1 * self._width, y1 * self._height, x2 * self._width, y2 * self._height),
            radius * self._height,
            fill=colour,
        )

    def ellipse(self, x1: float, y1: float, x2: float, y2: float, colour: Colour) -> None:
        self._draw.ellipse(
            (x1 * self._width, y1 * self._height, x2 * self._width, y2 * self._height), fill=colour
        )

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """A circle; its radius is a share of the canvas' height."""
        reach = radius * self._height
        x, y = x * self._width, y * self._height
        self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)

    def ring(self, x: float, y: float, radius: float, colour: Colour, width: float) -> None:
        """A circle's outline; radius and line width are shares of the canvas' height."""
        reach = radius * self._height
        x, y = x * self._width, y * self._height
        self._draw.ellipse(
            (x - reach, y - reach, x + reach, y + reach),
            outline=colour,
            width=max(1, round(width * self._height)),
        )

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: float) -> None:
        """A line with joints; its width is a share of the canvas' height."""
        self._draw.line(
            [(x * self._width, y * self._height) for x, y in points],
            fill=colour,
            width=max(1, round(width * self._height)),
            joint="curve",
        )

    def picture(self, *, mirrored: bool = False) -> Image.Image:
        """What was drawn: RGBA, of the canvas' size."""
        image = self._image.reduce(_OVERSAMPLING)
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image


def shade(colour: Colour, factor: float) -> Colour:
    """A colour made darker (below 1) or lighter."""
    red, green, blue = (min(255, max(0, round(part * factor))) for part in colour)
    return red, green, blue


def near(rng: random.Random, colour: Colour, spread: int = 14) -> Colour:
    """A colour in the neighbourhood of another."""
    red, green, blue = (min(255, max(0, part + rng.randint(-spread, spread))) for part in colour)
    return red, green, blue


def any_colour(rng: random.Random, saturation: tuple[float, float] = (0.2, 0.9)) -> Colour:
    """A colour of any hue, neither black nor white."""
    red, green, blue = colorsys.hsv_to_rgb(
        rng.random(), rng.uniform(*saturation), rng.uniform(0.3, 0.9)
    )
    return round(red * 255), round(green * 255), round(blue * 255)
