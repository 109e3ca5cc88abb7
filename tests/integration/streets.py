"""Rendered streets as clients send them, and what of an answer is right."""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from zoo.scenes import Scene, SceneObject, photo, scene

SPLIT = "held-out"
MOST = 16
"""`max_detections` of the shipped detector."""

Frames = tuple[Scene, ...]
_LAYOUTS = ("empty", "mixed", "people", "vehicles", "mixed", "crowd", "things", "mixed")


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


@functools.cache
def frames() -> Frames:
    """Streets of every kind: none of anything, people, vehicles, more than `MOST` people."""
    return tuple(scene(100 + seed, SPLIT, layout) for seed, layout in enumerate(_LAYOUTS))


@functools.cache
def street(layout: str, objects: int | None = None) -> Scene:
    """A street of a layout, with that many objects if it says so."""
    seeds = (scene(seed, SPLIT, layout) for seed in range(1000))
    return next(made for made in seeds if objects in (None, len(made.objects)))


@functools.cache
def streets(count: int, objects: int) -> Frames:
    """Different streets with so many objects each."""
    seeds = (scene(seed, SPLIT) for seed in range(10_000))
    return tuple(itertools.islice((each for each in seeds if len(each.objects) == objects), count))


@functools.cache
def close_ups(count: int) -> Frames:
    return tuple(photo(seed, SPLIT) for seed in range(500, 500 + count))


def encoded(made: Sequence[Scene]) -> list[bytes]:
    return [jpeg(each.image) for each in made]


def true_boxes(made: Scene, labels: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """The inputs `boxes` and `num_detections` of a scene's objects of some classes."""
    boxes = [each.box for each in made.objects if each.label in labels]
    return {
        "boxes": np.array(boxes, np.float32).reshape(1, -1, 4),
        "num_detections": np.array([[len(boxes)]], np.int64),
    }


def matched(
    made: Scene, boxes: npt.NDArray[Any], count: int, labels: Sequence[str] | None = None
) -> list[tuple[SceneObject, int]]:
    """Objects of a scene, each with the row of the box that is on it.

    Boxes overlap by at least half; where `labels` are given, they are the same.
    """
    free = set(range(count))
    pairs: list[tuple[SceneObject, int]] = []
    for each in made.objects:
        rows = [row for row in free if labels is None or labels[row] == each.label]
        best = max(rows, key=lambda row: overlap(boxes[row], each.box), default=None)
        if best is not None and overlap(boxes[best], each.box) >= 0.5:
            free.remove(best)
            pairs.append((each, best))
    return pairs


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return float(both / (areas - both))
