"""Lines of text in a picture: their size and colours, and where there is room for them."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]
_ELLIPSIS = "..."
_SMALLEST = 9
_OTHERWISE = str.maketrans(
    {"ß": "ss", "Æ": "AE", "æ": "ae", "Œ": "OE", "œ": "oe", "Ø": "O", "ø": "o", "Ł": "L", "ł": "l"}
    | {"¿": "?", "¡": "!", "€": "EUR", "£": "GBP", "\u2013": "-", "\u2014": "-"}
)
"""What is no letter with an accent, and not in the font either."""
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
ERROR: Colour = (214, 39, 40)

_COLOURS: tuple[Colour, ...] = (
    (230, 57, 70), (29, 120, 214), (46, 160, 67), (255, 159, 28), (148, 74, 201),
    (0, 168, 181), (233, 75, 160), (190, 196, 36), (140, 86, 55), (94, 96, 206),
    (255, 112, 67), (0, 137, 98), (199, 125, 255), (88, 166, 255), (214, 170, 0), (173, 40, 84),
)  # fmt: skip
_SALT = b"\0\x37"
"""With it the labels that are common on a street have different colours."""


def colour_of(label: str) -> Colour:
    """The colour of a label: the same in every picture and every run."""
    return _COLOURS[hashlib.blake2s(label.encode(), salt=_SALT).digest()[0] % len(_COLOURS)]


def contrast(colour: Colour) -> tuple[Colour, Colour]:
    """The colours of a text on this one, and of the text's outline."""
    red, green, blue = colour
    bright = 0.299 * red + 0.587 * green + 0.114 * blue > 150
    return (BLACK, WHITE) if bright else (WHITE, BLACK)


@dataclass(frozen=True)
class Lettering:
    """Text of one size.

    Attributes:
        size: Height of a line's letters in pixels.
        stroke: Width of the outline in pixels.
    """

    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    size: int
    stroke: int

    @classmethod
    def for_picture(cls, width: int, height: int) -> Lettering:
        """Letters that can be read in a picture of this size, and leave most of it to be seen."""
        size = 0.6 * min(width, height) ** 0.5 + 0.008 * max(width, height)
        return cls.of_size(max(_SMALLEST, round(size)))

    @classmethod
    def of_size(cls, size: int) -> Lettering:
        # Pillow brings this font along: no file is looked for.
        return cls(ImageFont.load_default(size), size, 1 if size >= 14 else 0)

    @property
    def smaller(self) -> Lettering | None:
        """Smaller letters; None if they could not be read."""
        size = min(round(self.size * 0.85), self.size - 1)
        return self.of_size(size) if size >= _SMALLEST else None

    @property
    def line(self) -> int:
        """Height of a line in pixels."""
        return round(self.size * 1.25)

    @property
    def margin(self) -> int:
        """Between a text and the edge of its ground, in pixels."""
        return max(2, self.size // 5)

    def width(self, text: str) -> int:
        """Of a text in pixels, with its outline."""
        return int(self.font.getlength(_spelled(text))) + 1 + 2 * self.stroke

    def cut(self, text: str, width: int) -> str:
        """The text, its end replaced by dots where it would be wider than this."""
        if self.width(text) <= width:
            return text
        while text and self.width(text + _ELLIPSIS) > width:
            text = text[:-1]
        return text + _ELLIPSIS if text else ""

    def wrap(self, parts: Iterable[str], width: int, between: str = "   ") -> list[str]:
        """Lines of parts, none of them wider than this."""
        lines: list[str] = []
        for part in parts:
            if lines and self.width(lines[-1] + between + part) <= width:
                lines[-1] += between + part
            else:
                lines.append(self.cut(part, width))
        return lines

    def write(
        self, picture: Image.Image, place: tuple[float, float], lines: Sequence[str], ground: Colour
    ) -> None:
        """Writes lines from a corner of their ground on."""
        letters, outline = contrast(ground)
        draw = ImageDraw.Draw(picture)
        x, y = place[0] + self.margin + self.stroke, place[1] + self.margin
        for number, line in enumerate(lines):
            draw.text(
                (x, y + number * self.line + self.line / 2),
                _spelled(line),
                fill=letters,
                font=self.font,
                anchor="lm",
                stroke_width=self.stroke,
                stroke_fill=outline,
            )

    def extent(self, lines: Sequence[str]) -> tuple[int, int]:
        """Width and height of the ground of lines in pixels."""
        width = max((self.width(line) for line in lines), default=0)
        return width + 2 * self.margin, len(lines) * self.line + 2 * self.margin


def _spelled(text: str) -> str:
    """The text in letters that Pillow's font has, which are without accents."""
    apart = unicodedata.normalize("NFKD", text.translate(_OTHERWISE))
    return "".join(each for each in apart if not unicodedata.combining(each))


def place_near(box: Box, extent: tuple[int, int], room: Box, taken: Sequence[Box]) -> Box:
    """Where a ground of this extent goes: near its box, inside the room, over few others.

    Above the box if there is room, else inside it at its top, below it, or inside at its bottom.
    """
    left, top, right, bottom = box
    width, height = extent
    places = [
        _inside((x, y, x + width, y + height), room)
        for y in (top - height, top, bottom, bottom - height)
        for x in (left, right - width)
    ]
    # A place that had to be moved into the room covers what it should be beside.
    wanted = [top - height, top, bottom, bottom - height]
    costs = [
        sum(_overlap(place, other) for other in taken)
        + 0.5 * width * abs(place[1] - wanted[number // 2])
        for number, place in enumerate(places)
    ]
    return places[min(range(len(places)), key=costs.__getitem__)]


def _inside(box: Box, room: Box) -> Box:
    width, height = box[2] - box[0], box[3] - box[1]
    x = max(room[0], min(box[0], room[2] - width))
    y = max(room[1], min(box[1], room[3] - height))
    return x, y, x + width, y + height


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)
