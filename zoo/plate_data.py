"""Vehicles and plates for the trainings of plate reading, cut out of scenes and drawn alone."""

from __future__ import annotations

import functools
import random

import numpy as np
import numpy.typing as npt
from PIL import Image

from zoo.scene_canvas import near
from zoo.scene_light import photographed
from zoo.scene_vehicles import COLOURS, draw_plate, plate_text
from zoo.scenes import SceneObject, photo
from zoo.vision_data import jittered, rendered, squeezed, varied_scene, whole_pixels

VEHICLE_WIDTH, VEHICLE_HEIGHT = 160, 96
PLATE_WIDTH, PLATE_HEIGHT = 96, 32

VehicleExample = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.int64]]
PlateExample = tuple[npt.NDArray[np.uint8], str]

_DRAWN_PER_SEED = 20
_VEHICLES = ("car", "truck", "bus")
_BYSTANDERS = 0.2


def vehicles(
    split: str, scenes: int, close_ups: int
) -> list[tuple[VehicleExample, PlateExample | None]]:
    """Vehicles with their plates.

    Returns:
        (image UINT8 [VEHICLE_HEIGHT, VEHICLE_WIDTH, 3], plate's box FP32 [0 or 1, 4], class INT64
        [0 or 1]), and (plate UINT8 [PLATE_HEIGHT, PLATE_WIDTH, 3], text) or None.
    """
    of_scene = functools.partial(_of_scene, split=split)
    of_photo = functools.partial(_of_photo, split=split)
    return [
        *rendered(f"vehicles {split} scenes", of_scene, range(scenes)),
        *rendered(f"vehicles {split} close-ups", of_photo, range(close_ups)),
    ]


def drawn_plates(split: str, count: int) -> list[PlateExample]:
    """Plates drawn by themselves, in the sizes and the light that they have in scenes."""
    make = functools.partial(_drawn, split=split)
    return rendered(f"plates {split}", make, range(-(-count // _DRAWN_PER_SEED)))


def _of_scene(seed: int, split: str) -> list[tuple[VehicleExample, PlateExample | None]]:
    made = varied_scene(seed, split)
    return _examples(random.Random(seed), made.image, made.objects)


def _of_photo(seed: int, split: str) -> list[tuple[VehicleExample, PlateExample | None]]:
    # In these sizes plates are as many pixels wide as in scenes, or more.
    made = photo(seed, split, ("sedan", "van", "box truck", "city bus")[seed % 4], 200)
    return _examples(random.Random(seed), made.image, made.objects)


def _examples(
    rng: random.Random, image: Image.Image, objects: tuple[SceneObject, ...]
) -> list[tuple[VehicleExample, PlateExample | None]]:
    found: list[tuple[VehicleExample, PlateExample | None]] = []
    for made in objects:
        if made.label not in _VEHICLES:
            continue
        x1, y1, x2, y2 = whole_pixels(jittered(rng, made.box), image)
        vehicle = squeezed(image, (x1, y1, x2, y2), VEHICLE_WIDTH, VEHICLE_HEIGHT)
        boxes, plate = np.zeros((0, 4), np.float32), None
        if made.plate is not None:
            scale = np.array([VEHICLE_WIDTH / (x2 - x1), VEHICLE_HEIGHT / (y2 - y1)] * 2)
            placed = (np.array(made.plate.box) - [x1, y1, x1, y1]) * scale
            boxes = placed.astype(np.float32)[None]
            around = whole_pixels(jittered(rng, made.plate.box, 0.06), image)
            plate = squeezed(image, around, PLATE_WIDTH, PLATE_HEIGHT), made.plate.text
        found.append(((vehicle, boxes, np.zeros(len(boxes), np.int64)), plate))
    return found


def bystanders(split: str, scenes: int) -> list[VehicleExample]:
    """People and things of scenes as a locator sees them, none of which has a plate."""
    make = functools.partial(_bystanders, split=split)
    return rendered(f"bystanders {split}", make, range(scenes))


def _bystanders(seed: int, split: str) -> list[VehicleExample]:
    made = varied_scene(seed, split)
    rng = random.Random(seed)
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    return [
        (
            squeezed(
                made.image,
                whole_pixels(jittered(rng, each.box), made.image),
                VEHICLE_WIDTH,
                VEHICLE_HEIGHT,
            ),
            *nothing,
        )
        for each in made.objects
        if each.label not in _VEHICLES and rng.random() < _BYSTANDERS
    ]


def _drawn(seed: int, split: str) -> list[PlateExample]:
    rng = random.Random(f"plates {split} {seed}")
    plates: list[PlateExample] = []
    for _ in range(_DRAWN_PER_SEED):
        text = plate_text(rng, split)
        plate = draw_plate(rng, text, round(rng.triangular(9, 24, 13)))
        ground = Image.new(
            "RGB", (plate.width + 24, plate.height + 20), near(rng, rng.choice([*COLOURS.values()]))
        )
        ground.paste(plate, (12, 10))
        box = (12.0, 10.0, 12.0 + plate.width, 10.0 + plate.height)
        image = photographed(rng, ground)
        around = whole_pixels(jittered(rng, box, 0.06), image)
        plates.append((squeezed(image, around, PLATE_WIDTH, PLATE_HEIGHT), text))
    return plates
