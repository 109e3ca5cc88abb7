"""The images of the sample requests: scenes and close-ups that no training saw."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from itertools import count
from typing import Any

from PIL import Image

from zoo.scenes import Scene, SceneObject, photo, scene

SPLIT = "held-out"
VEHICLES = ("car", "truck", "bus")


def busy_scene() -> Scene:
    """The first scene with two plates, two people, something else, and not much more."""
    for seed in count():
        made = scene(seed, SPLIT)
        plates = sum(each.plate is not None for each in made.objects)
        people = sum(each.label == "person" for each in made.objects)
        others = sum(each.label not in (*VEHICLES, "person") for each in made.objects)
        if plates >= 2 and people >= 2 and others >= 1 and len(made.objects) <= 6:
            return made
    raise AssertionError("unreachable")


def close_ups(*names: str, unsafe: bool = False) -> list[Image.Image]:
    """A close-up of each kind of object; `unsafe` ones burn, or carry a weapon."""
    found = []
    for name in names:
        made = (photo(seed, SPLIT, name) for seed in count())
        found.append(next(each.image for each in made if each.objects[0].unsafe == unsafe))
    return found


def image_tensor(*images: Image.Image) -> dict[str, Any]:
    """The V2 tensor `image` of images as JPEG, in base64."""
    data = []
    for image in images:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=88)
        data.append(base64.b64encode(file.getvalue()).decode("ascii"))
    return {
        "name": "image",
        "datatype": "BYTES",
        "shape": [len(data), 1],
        "parameters": {"content_type": "base64"},
        "data": data,
    }


def box_tensors(made: Scene, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The V2 tensors `boxes` and `num_detections` of a scene's objects of some classes."""
    chosen: list[SceneObject] = [each for each in made.objects if each.label in labels]
    corners = [round(corner, 1) for each in chosen for corner in each.box]
    return [
        {"name": "boxes", "datatype": "FP32", "shape": [1, len(chosen), 4], "data": corners},
        {"name": "num_detections", "datatype": "INT64", "shape": [1, 1], "data": [len(chosen)]},
    ]


def probability_tensor(name: str, labels: Sequence[str], best: str, score: float) -> dict[str, Any]:
    """A V2 tensor of one row in which one label has a score, and the others share the rest."""
    rest = (1 - score) / (len(labels) - 1)
    row = [score if label == best else round(rest, 6) for label in labels]
    return {"name": name, "datatype": "FP32", "shape": [1, len(row)], "data": row}
