"""Pictures with their captions for the training and scoring of image-captioning.

A scene gives one example of the whole street, and one of each object in its box: what a captioner
is shown with and without the boxes of a detector.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from zoo.captions import KINDS, caption, kind
from zoo.outside_pictures import outside_picture
from zoo.outside_texts import UNKNOWN
from zoo.scenes import OBJECTS, Scene, SceneObject, photo, scene
from zoo.vision_data import jittered, rendered, squeezed, whole_pixels

WIDTH, HEIGHT = 320, 192
ROWS, COLUMNS = 6, 10
_PART = 500
_LAYOUT_OF = ("few",) * 15 + ("vehicles", "vehicles", "people", "things", "empty")


@dataclass(frozen=True)
class Example:
    """A picture, larger than the network takes it; what is said of it, and where that is.

    Attributes:
        pixels: UINT8 [HEIGHT, WIDTH, 3].
        caption: Its text.
        cells: INT64 [objects, 3]: each object's number in `KINDS`, and the row and the column of
            the cell that its middle is in, of `ROWS` and `COLUMNS`.
    """

    pixels: npt.NDArray[np.uint8]
    caption: str
    cells: npt.NDArray[np.int64]


def captioned_scene(seed: int, split: str) -> Scene:
    """A scene of few objects, most of any kind, some of one kind, some empty; goes by its seed."""
    return scene(seed, split, _LAYOUT_OF[seed % len(_LAYOUT_OF)])


def parts(split: str, scenes: int, boxes: int = 1) -> list[list[Example]]:
    """Scenes, each with up to `boxes` of its objects in their boxes.

    In parts, so that more scenes are rendered without those that are kept already.
    """
    make = functools.partial(_of_scene, split=split, boxes=boxes)
    ranges = [range(first, min(first + _PART, scenes)) for first in range(0, scenes, _PART)]
    return [rendered(f"captions {split} {boxes}", make, seeds) for seeds in ranges]


def close_ups(split: str, count: int) -> list[Example]:
    """Whole close-ups, each kind of object in turn."""
    make = functools.partial(_of_photo, split=split)
    return rendered(f"captions {split} close-ups", make, range(count))


def outside_examples(count: int) -> list[Example]:
    """Pictures of the training split that are not of the world."""
    return rendered("captions outside", _outside, range(count))


def _of_scene(seed: int, split: str, boxes: int) -> list[Example]:
    made = captioned_scene(seed, split)
    rng = random.Random(seed)
    whole = (0, 0, made.image.width, made.image.height)
    chosen = rng.sample(made.objects, min(boxes, len(made.objects)))
    return [
        _example(made.image, whole, made.objects),
        *(
            _example(made.image, whole_pixels(jittered(rng, each.box), made.image), (each,))
            for each in chosen
        ),
    ]


def _of_photo(seed: int, split: str) -> list[Example]:
    made = photo(seed, split, OBJECTS[seed % len(OBJECTS)])
    return [_example(made.image, (0, 0, made.image.width, made.image.height), made.objects)]


def _outside(seed: int) -> list[Example]:
    rng = random.Random(f"outside captions/{seed}")
    sides = rng.randint(96, 320), rng.randint(96, 320)
    picture = Image.fromarray(outside_picture(seed, "train", *sides))
    return [Example(squeezed(picture, (0, 0, *sides), WIDTH, HEIGHT), UNKNOWN, _cells([]))]


def _example(
    image: Image.Image, part: tuple[int, int, int, int], objects: tuple[SceneObject, ...]
) -> Example:
    left, top, right, bottom = part
    across, down = COLUMNS / (right - left), ROWS / (bottom - top)
    cells = [
        (
            KINDS.index(kind(each)),
            min(max(int(((y1 + y2) / 2 - top) * down), 0), ROWS - 1),
            min(max(int(((x1 + x2) / 2 - left) * across), 0), COLUMNS - 1),
        )
        for each in objects
        for x1, y1, x2, y2 in (each.box,)
    ]
    return Example(squeezed(image, part, WIDTH, HEIGHT), caption(objects), _cells(cells))


def _cells(cells: list[tuple[int, int, int]]) -> npt.NDArray[np.int64]:
    return np.array(cells, np.int64).reshape(-1, 3)
