"""Answers of one picture, as the pipelines give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

ROWS = 6
Array = npt.NDArray[Any]


def texts(*values: str, rows: int = ROWS) -> Array:
    """BYTES [1, rows]."""
    data = np.empty((1, rows), dtype=object)
    data[0] = [value.encode() for value in values] + [b""] * (rows - len(values))
    return data


def scores(*values: float, rows: int = ROWS) -> Array:
    """FP32 [1, rows]."""
    return np.array([[*values, *[0.0] * (rows - len(values))]], np.float32)


def boxes(*corners: Sequence[float], rows: int = ROWS) -> Array:
    """FP32 [1, rows, 4]."""
    return np.array([[*corners, *[[0.0] * 4] * (rows - len(corners))]], np.float32)


def number(value: int) -> Array:
    """INT64 [1, 1]."""
    return np.array([[value]], np.int64)


CAR, DOG, MAN = (10, 20, 60, 50), (70, 40, 90, 60), (30, 5, 40, 45)

VIDEO = {
    "num_detections": number(2),
    "num_found": number(2),
    "boxes": boxes(CAR, DOG),
    "scores": scores(0.9, 0.8),
    "labels": texts("car", "dog"),
    "objects": texts("sedan", "dog"),
    "object_scores": scores(0.7, 0.6),
}
MONITORING = {
    "num_detections": number(3),
    "num_found": number(3),
    "vehicle_num_detections": number(1),
    "vehicle_boxes": boxes(CAR),
    "vehicle_labels": texts("car"),
    "plates": texts("AB1234"),
    "plate_scores": scores(0.95),
    "vehicles": texts("red sedan"),
    "vehicle_scores": scores(0.75),
    "person_num_detections": number(1),
    "person_boxes": boxes(MAN),
    "people": texts("medic"),
    "people_scores": scores(0.65),
}
NSFW = {
    "num_detections": number(1),
    "num_found": number(1),
    "boxes": boxes(CAR),
    "scores": scores(0.9),
    "labels": texts("car"),
    "safety": texts("unsafe"),
    "safety_scores": scores(0.85),
}
