"""Colours of labels."""

from __future__ import annotations

import hashlib

Colour = tuple[int, int, int]

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
