"""Rendered street scenes and close-ups with their ground truth, each a function of a seed.

A scene is 640 x 384 pixels: vehicles with plates, people, things and clutter at several depths, in
some light. Scenes of different splits have other seeds and no plate in common.

    python -m zoo.scenes --count 12 --layout mixed --output scenes.png    # look at some
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from zoo import scene_people
from zoo.scene_light import photographed, street
from zoo.scene_people import KINDS, WEAPONS, Person, draw_person
from zoo.scene_things import THINGS, draw_clutter, draw_thing
from zoo.scene_vehicles import BODIES, COLOURS, Plate, Vehicle, draw_vehicle, plate_text

WIDTH, HEIGHT = 640, 384
CLASSES = ("person", "car", "truck", "bus", "bicycle", "dog", "bench", "traffic light")
"""What the detector tells apart; COCO's names."""

OBJECTS = (*BODIES, "adult", "child", *THINGS)
"""What object classification tells apart."""

LAYOUTS = ("mixed", "few", "empty", "people", "vehicles", "things", "crowd")
SPLITS = {"train": 0, "validation": 1 << 40, "held-out": 1 << 41}
"""Split -> where its seeds begin."""

_MOST_HIDDEN = 0.3
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class SceneObject:
    """An object in a picture.

    Attributes:
        label: One of `CLASSES`.
        name: One of `OBJECTS`.
        box: x1 y1 x2 y2 in pixels.
        attribute: Of a vehicle, a label of vehicle classification; of a person, one of `KINDS`;
            else empty.
        plate: A vehicle's plate, if it has one.
        unsafe: Whether it burns or carries a weapon.
    """

    label: str
    name: str
    box: Box
    attribute: str = ""
    plate: Plate | None = None
    unsafe: bool = False


@dataclass(frozen=True)
class Scene:
    """A picture in RGB and what is in it, far objects first."""

    image: Image.Image
    objects: tuple[SceneObject, ...]


def scene(seed: int, split: str = "train", layout: str = "mixed") -> Scene:
    """A street scene; the same seed, split and layout give the same one.

    Args:
        seed: From 0.
        split: train, validation or held-out.
        layout: mixed (0 to 9 objects of any kind), few (1 to 4 of them), empty, people, vehicles,
            things, or crowd (more than 16 people).
    """
    rng = _random(seed, split, layout)
    horizon = rng.uniform(0.34, 0.48)
    picture = street(rng, WIDTH, HEIGHT, horizon)
    wishes = _wishes(rng, layout)
    # What stands farther away is drawn first and higher up.
    depths = sorted(rng.random() for _ in wishes)
    clutter = sorted(rng.random() for _ in range(0 if layout == "crowd" else rng.randint(0, 4)))
    placed: list[SceneObject] = []
    for wish, depth in zip(wishes, depths, strict=True):
        while clutter and clutter[0] < depth:
            _place_clutter(rng, picture, clutter.pop(0), horizon, placed)
        _place(rng, picture, wish, depth, horizon, split, placed, crowded=layout == "crowd")
    for depth in clutter:
        _place_clutter(rng, picture, depth, horizon, placed)
    return Scene(photographed(rng, picture), tuple(placed))


def photo(seed: int, split: str = "train", name: str | None = None, size: int = 224) -> Scene:
    """A close-up of one object on a street, `size` pixels square: a scene of one object.

    Args:
        seed: From 0.
        split: train, validation or held-out.
        name: One of `OBJECTS`; None is any.
        size: In pixels.
    """
    rng = _random(seed, split, f"photo {size}")
    name = name or rng.choice(OBJECTS)
    picture = street(rng, size, size, rng.uniform(0.3, 0.7))
    for _ in range(rng.randint(0, 2)):
        thing = draw_clutter(rng, rng.uniform(0.6, 1.1) * size / 224)
        picture.paste(
            thing, (rng.randint(-30, size - 20), rng.randint(0, size - thing.height // 2)), thing
        )
    sprite, made = _draw(rng, name, split, lambda low, high: size)
    share = rng.uniform(0.6, 0.95) * size / max(sprite.size)
    sprite, made = _resized(sprite, made, share)
    x = rng.randint(0, size - sprite.width)
    y = rng.randint(0, size - sprite.height)
    picture.paste(sprite, (x, y), sprite)
    return Scene(photographed(rng, picture), (_moved(made, x, y),))


def _random(seed: int, split: str, kind: str) -> random.Random:
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is unknown; accepted: {', '.join(SPLITS)}")
    return random.Random(f"{kind} {SPLITS[split] + seed}")


def _wishes(rng: random.Random, layout: str) -> list[str]:
    """Names of the objects that a scene is to have."""
    vehicles, people, things = list(BODIES), ["adult"] * 4 + ["child"], list(THINGS)
    if layout == "empty":
        return []
    if layout == "people":
        return rng.choices(people, k=rng.randint(1, 6))
    if layout == "vehicles":
        return rng.choices(vehicles, k=rng.randint(1, 5))
    if layout == "things":
        return rng.choices(things, k=rng.randint(1, 5))
    if layout == "crowd":
        return rng.choices(people, k=22)
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is unknown; accepted: {', '.join(LAYOUTS)}")
    number = rng.randint(1, 4) if layout == "few" else rng.randint(0, 9)
    kinds = rng.choices((vehicles, people, things), weights=(4, 4, 3), k=number)
    return [rng.choice(kind) for kind in kinds]


def _draw(
    rng: random.Random, name: str, split: str, size: Callable[[float, float], float]
) -> tuple[Image.Image, SceneObject]:
    """An object by its name of `OBJECTS`, with its box in its own picture.

    `size` chooses the width of vehicles and things, or a person's height, between two numbers.
    """
    plate = None
    unsafe = False
    if name in BODIES:
        label, _, sizes = BODIES[name]
        vehicle = Vehicle(
            name,
            rng.choice(list(COLOURS)),
            plate_text(rng, split) if rng.random() < 0.9 else "",
            burning=rng.random() < 0.2,
        )
        picture, plate = draw_vehicle(rng, vehicle, size(*sizes))
        attribute, unsafe = vehicle.label, vehicle.burning
    elif name in THINGS:
        label, attribute = name, ""
        picture = draw_thing(rng, name, size(*THINGS[name][1]))
    else:
        label = "person"
        kind = "child" if name == "child" else rng.choice([k for k in KINDS if k != "child"])
        weapon = rng.choice(WEAPONS) if name != "child" and rng.random() < 0.3 else ""
        sizes = scene_people.HEIGHTS.get(kind, scene_people.ADULT_HEIGHT)
        picture = draw_person(rng, Person(kind, weapon), size(*sizes))
        attribute, unsafe = kind, bool(weapon)
    box = picture.getbbox() or (0, 0, *picture.size)
    return picture, SceneObject(label, name, tuple(map(float, box)), attribute, plate, unsafe)


def _resized(
    picture: Image.Image, made: SceneObject, share: float
) -> tuple[Image.Image, SceneObject]:
    size = max(2, round(picture.width * share)), max(2, round(picture.height * share))

    def scaled(box: Box) -> Box:
        x1, y1, x2, y2 = (side * share for side in box)
        return x1, y1, x2, y2

    plate = made.plate and Plate(made.plate.text, scaled(made.plate.box))
    resized = SceneObject(
        made.label, made.name, scaled(made.box), made.attribute, plate, made.unsafe
    )
    return picture.resize(size, Image.Resampling.LANCZOS), resized


def _moved(made: SceneObject, x: int, y: int) -> SceneObject:
    def moved(box: Box) -> Box:
        return box[0] + x, box[1] + y, box[2] + x, box[3] + y

    plate = made.plate and Plate(made.plate.text, moved(made.plate.box))
    return SceneObject(made.label, made.name, moved(made.box), made.attribute, plate, made.unsafe)


def _place(
    rng: random.Random,
    picture: Image.Image,
    name: str,
    depth: float,
    horizon: float,
    split: str,
    placed: list[SceneObject],
    *,
    crowded: bool,
) -> None:
    """Draws an object where it hides little of the others; where there is no room, none."""
    scale = (0.55 if crowded else 0.75) + 0.5 * depth
    sprite, made = _draw(rng, name, split, lambda low, high: rng.uniform(low, high) * scale)
    ground = HEIGHT * (horizon + 0.1) + depth * HEIGHT * (0.86 - horizon)
    for _ in range(12):
        x = rng.randint(-round(sprite.width * 0.08), WIDTH - round(sprite.width * 0.92))
        y = round(min(ground + rng.uniform(-8, 8), HEIGHT + 0.05 * sprite.height) - sprite.height)
        moved = _moved(made, x, y)
        if all(_hidden(other.box, moved.box) <= _MOST_HIDDEN for other in placed) and all(
            other.plate is None or _hidden(other.plate.box, moved.box) == 0 for other in placed
        ):
            picture.paste(sprite, (x, y), sprite)
            placed.append(_clipped(moved))
            return


def _clipped(made: SceneObject) -> SceneObject:
    x1, y1, x2, y2 = made.box
    box = max(x1, 0.0), max(y1, 0.0), min(x2, float(WIDTH)), min(y2, float(HEIGHT))
    return SceneObject(made.label, made.name, box, made.attribute, made.plate, made.unsafe)


def _place_clutter(
    rng: random.Random,
    picture: Image.Image,
    depth: float,
    horizon: float,
    placed: list[SceneObject],
) -> None:
    sprite = draw_clutter(rng, 0.75 + 0.5 * depth)
    ground = HEIGHT * (horizon + 0.1) + depth * HEIGHT * (0.86 - horizon)
    x, y = rng.randint(0, WIDTH - sprite.width), round(ground - sprite.height)
    box = (float(x), float(y), float(x + sprite.width), float(y + sprite.height))
    if all(_hidden(other.box, box) <= 0.1 for other in placed):
        picture.paste(sprite, (x, y), sprite)


def _hidden(box: Box, by: Box) -> float:
    """The share of a box that another covers."""
    width = min(box[2], by[2]) - max(box[0], by[0])
    height = min(box[3], by[3]) - max(box[1], by[1])
    area = (box[2] - box[0]) * (box[3] - box[1])
    return max(width, 0) * max(height, 0) / area


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw some scenes side by side.")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--layout", choices=[*LAYOUTS, "photo"], default="mixed")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    seeds = range(args.seed, args.seed + args.count)
    pictures = [
        photo(seed, args.split).image
        if args.layout == "photo"
        else scene(seed, args.split, args.layout).image
        for seed in seeds
    ]
    columns = min(4, args.count)
    width, height = pictures[0].size
    sheet = Image.new("RGB", (columns * width, -(-args.count // columns) * height))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % columns * width, index // columns * height))
    sheet.save(args.output)


if __name__ == "__main__":
    main()
