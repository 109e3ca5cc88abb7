"""People of six kinds, some with things in their hands, and a few with a weapon."""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image

from zoo.scene_canvas import Canvas, Colour, any_colour, near, shade

KINDS = (
    "pedestrian",
    "child",
    "police officer",
    "construction worker",
    "medic",
    "business person",
)
"""The labels of human classification."""

HEIGHTS = {"child": (62, 84)}
"""Heights in pixels at the scene's middle; those of adults otherwise."""
ADULT_HEIGHT = (98, 130)

WEAPONS = ("knife", "pistol")
_HARMLESS = ("nothing", "nothing", "bag", "umbrella", "telephone", "balloon")
_SKINS: tuple[Colour, ...] = ((244, 208, 176), (214, 166, 122), (160, 108, 72), (98, 64, 44))
_HAIR: tuple[Colour, ...] = ((36, 26, 20), (92, 58, 30), (206, 170, 96), (150, 150, 150))


@dataclass(frozen=True)
class Person:
    """A person to be drawn: one of `KINDS`, and a weapon or an empty string."""

    kind: str
    weapon: str = ""


@dataclass(frozen=True)
class _Look:
    """Colours of a person; the figure's proportions."""

    skin: Colour
    hair: Colour
    top: Colour
    legs: Colour
    shoes: Colour
    head: float
    shoulders: float


def draw_person(rng: random.Random, person: Person, height: float) -> Image.Image:
    """A person of this height in pixels, without the room for what is held beside the body."""
    look = _look(rng, person.kind)
    # Wide enough for an arm that is stretched out to the right; mirrored half of the time.
    canvas = Canvas(height * 0.75, height)
    _legs(canvas, look, rng)
    _body(canvas, look, person.kind, rng)
    hand = _arms(canvas, look, bool(person.weapon), rng)
    _head(canvas, look, person.kind, rng)
    held = person.weapon or rng.choice(_HARMLESS)
    _hold(canvas, held, hand, rng)
    picture = canvas.picture(mirrored=rng.random() < 0.5)
    return picture.crop(picture.getbbox())


def _look(rng: random.Random, kind: str) -> _Look:
    skin, hair = near(rng, rng.choice(_SKINS)), near(rng, rng.choice(_HAIR))
    legs = near(rng, rng.choice([(40, 48, 78), (70, 70, 74), (112, 92, 66), (36, 36, 40)]))
    top = any_colour(rng)
    shoes = near(rng, (40, 34, 30))
    if kind == "child":
        return _Look(skin, hair, top, any_colour(rng), any_colour(rng), 0.15, 0.13)
    if kind == "police officer":
        top = legs = near(rng, (30, 40, 92), 10)
    elif kind == "construction worker":
        top = near(rng, (246, 122, 24), 12)
    elif kind == "medic":
        top = legs = near(rng, (238, 240, 240), 8)
    elif kind == "business person":
        top = legs = near(rng, rng.choice([(52, 54, 60), (34, 36, 48), (96, 98, 104)]), 8)
    return _Look(skin, hair, top, legs, shoes, 0.085, rng.uniform(0.11, 0.14))


_MIDDLE = 0.36


def _legs(canvas: Canvas, look: _Look, rng: random.Random) -> None:
    spread = rng.uniform(0.03, 0.12)
    hips = 0.56
    for side in (-1, 1):
        foot = _MIDDLE + side * (0.05 + spread)
        canvas.line([(_MIDDLE + side * 0.045, hips), (foot, 0.95)], look.legs, 0.068)
        canvas.box(foot - 0.05, 0.94, foot + 0.07, 0.995, look.shoes, 0.02)


def _body(canvas: Canvas, look: _Look, kind: str, rng: random.Random) -> None:
    left, right = _MIDDLE - look.shoulders, _MIDDLE + look.shoulders
    top = 2 * look.head + 0.01
    canvas.box(left, top, right, 0.6, look.top, 0.05)
    if kind == "police officer":
        canvas.box(left, 0.54, right, 0.58, (20, 20, 22))
        canvas.disc(left + 0.08, top + 0.09, 0.022, (240, 206, 60))
    elif kind == "construction worker":
        for y in (0.36, 0.5):
            canvas.box(left, y, right, y + 0.035, (236, 244, 120))
    elif kind == "medic":
        red = near(rng, (208, 24, 30), 8)
        canvas.box(_MIDDLE - 0.02, 0.3, _MIDDLE + 0.02, 0.42, red)
        canvas.box(_MIDDLE - 0.07, 0.34, _MIDDLE + 0.07, 0.38, red)
    elif kind == "business person":
        canvas.polygon(
            [(_MIDDLE - 0.05, top), (_MIDDLE + 0.05, top), (_MIDDLE, 0.4)], (240, 240, 240)
        )
        canvas.polygon(
            [(_MIDDLE - 0.015, top), (_MIDDLE + 0.015, top), (_MIDDLE, 0.38)],
            near(rng, rng.choice([(170, 24, 30), (24, 40, 140), (30, 100, 60)])),
        )
    elif rng.random() < 0.4:
        y = rng.uniform(0.34, 0.5)
        canvas.box(left, y, right, y + 0.04, any_colour(rng))


def _arms(canvas: Canvas, look: _Look, stretched: bool, rng: random.Random) -> tuple[float, float]:
    """Draws both arms and gives the place of the hand that holds something."""
    shoulder = 2 * look.head + 0.06
    left, right = _MIDDLE - look.shoulders, _MIDDLE + look.shoulders
    sleeve = shade(look.top, 0.85)
    canvas.line([(left, shoulder), (left - rng.uniform(0.02, 0.07), 0.58)], sleeve, 0.055)
    if stretched or rng.random() < 0.4:
        hand = (right + rng.uniform(0.16, 0.22), shoulder + rng.uniform(-0.05, 0.12))
    else:
        hand = (right + rng.uniform(0.03, 0.08), 0.58)
    canvas.line([(right - 0.02, shoulder), hand], sleeve, 0.055)
    canvas.disc(*hand, 0.032, look.skin)
    return hand


def _head(canvas: Canvas, look: _Look, kind: str, rng: random.Random) -> None:
    radius = look.head
    width = radius / 0.75
    x1, x2 = _MIDDLE - width, _MIDDLE + width
    if kind not in ("construction worker", "police officer") and rng.random() < 0.4:
        canvas.box(x1 - 0.01, radius, x2 + 0.01, 2.6 * radius, look.hair, 0.03)
    canvas.disc(_MIDDLE, radius + 0.01, radius, look.skin)
    if kind == "police officer":
        canvas.box(x1 - 0.02, 0.02, x2 + 0.02, radius * 0.8, shade(look.top, 0.8), 0.02)
        canvas.box(x1, radius * 0.7, x2 + 0.09, radius * 1.0, (16, 16, 18))
    elif kind == "construction worker":
        helmet = near(rng, (248, 212, 30), 8)
        canvas.ellipse(x1 - 0.015, 0.0, x2 + 0.015, radius * 1.7, helmet)
        canvas.box(x1 - 0.05, radius * 0.72, x2 + 0.05, radius * 0.95, helmet)
        canvas.box(x1, radius * 0.95, x2, radius * 1.8, look.skin, 0.02)
    elif kind == "medic" and rng.random() < 0.6:
        canvas.box(x1 - 0.01, 0.0, x2 + 0.01, radius * 0.6, (240, 242, 242), 0.02)
    else:
        canvas.ellipse(x1 - 0.01, 0.0, x2 + 0.01, radius * 1.0, look.hair)
    eye = radius * 1.15
    for x in (_MIDDLE + width * 0.1, _MIDDLE + width * 0.6):
        canvas.disc(x, eye, radius * 0.1, (20, 20, 20))


def _hold(canvas: Canvas, thing: str, hand: tuple[float, float], rng: random.Random) -> None:
    x, y = hand
    if thing == "knife":
        canvas.box(x - 0.02, y - 0.03, x + 0.035, y + 0.05, (60, 40, 28))
        canvas.polygon(
            [(x - 0.03, y - 0.03), (x + 0.05, y - 0.03), (x + 0.02, y - 0.25)], (214, 220, 226)
        )
        canvas.polygon(
            [(x + 0.01, y - 0.03), (x + 0.05, y - 0.03), (x + 0.02, y - 0.25)], (150, 156, 164)
        )
    elif thing == "pistol":
        dark = near(rng, (24, 24, 28), 6)
        canvas.box(x - 0.03, y - 0.075, x + 0.19, y - 0.02, dark)
        canvas.polygon(
            [
                (x - 0.03, y - 0.03),
                (x + 0.05, y - 0.03),
                (x + 0.03, y + 0.08),
                (x - 0.04, y + 0.08),
            ],
            dark,
        )
    elif thing == "bag":
        colour = any_colour(rng)
        canvas.ring(x, y + 0.04, 0.04, shade(colour, 0.7), 0.012)
        canvas.box(x - 0.07, y + 0.05, x + 0.09, y + 0.2, colour, 0.02)
    elif thing == "umbrella":
        canvas.line([(x, y + 0.04), (x, max(0.02, y - 0.22))], (50, 50, 54), 0.014)
        top = max(0.0, y - 0.26)
        canvas.polygon([(x - 0.14, top + 0.1), (x, top), (x + 0.16, top + 0.1)], any_colour(rng))
    elif thing == "telephone":
        canvas.box(x - 0.02, y - 0.06, x + 0.035, y + 0.03, (30, 34, 44), 0.01)
        canvas.box(x - 0.01, y - 0.05, x + 0.025, y + 0.015, (150, 200, 230))
    elif thing == "balloon":
        top = max(0.05, y - 0.28)
        canvas.line([(x, y), (x + 0.02, top)], (90, 90, 90), 0.008)
        canvas.disc(x + 0.02, top, 0.06, any_colour(rng, (0.7, 1.0)))
