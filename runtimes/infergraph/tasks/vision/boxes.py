"""Boxes in an image, as tensors bring them: checked, clipped, and cut out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InvalidInput
from ...runtime import Item

_ACCEPTED = (
    "x1, y1, x2, y2 in pixels, with x1 < x2 and y1 < y2 in the part that lies within the image"
)

Boxes = npt.NDArray[np.float32]
_Pixels = npt.NDArray[Any]


def item_boxes(item: Item, height: int, width: int) -> Boxes:
    """The boxes of an item, without the padding, clipped to its image.

    Args:
        item: Has the tensors `boxes` FP32 [K, 4] (x1, y1, x2, y2, in pixels of the image as shown)
            and `num_detections` [1]: how many of the K rows are boxes.
        height: Pixels of the image.
        width: Pixels of the image.

    Returns:
        FP32 [n, 4], n = num_detections.

    Raises:
        InvalidInput: a number that is below 0 or above K, or a box that is not finite or has no
            part in the image; names the tensor, the box's index and its value.
    """
    rows = np.asarray(item["boxes"], dtype=np.float32)
    found = detection_count(item, "boxes", len(rows))
    clipped = np.clip(rows[:found], 0, np.array([width, height, width, height], np.float32))
    # A comparison with NaN is false, and clipping would hide what is infinite.
    bad = ~((clipped[:, :2] < clipped[:, 2:]).all(axis=1) & np.isfinite(rows[:found]).all(axis=1))
    if bad.any():
        index = int(bad.argmax())
        raise InvalidInput(
            f"tensor 'boxes': box {index} is {rows[index].tolist()} in an image of "
            f"{width}x{height} pixels; accepted: {_ACCEPTED}"
        )
    return clipped


def whole_or_boxes(item: Item, height: int, width: int) -> tuple[Boxes, int]:
    """The boxes of an item, and how many rows its answer has; without boxes the whole image is one.

    Args:
        item: As `item_boxes`, or without the two tensors.
        height: Pixels of the image.
        width: Pixels of the image.

    Raises:
        InvalidInput: as `item_boxes`, or only one of the two tensors came.
    """
    came = [name for name in ("boxes", "num_detections") if name in item]
    if not came:
        return np.array([[0, 0, width, height]], np.float32), 1
    if len(came) == 1:
        raise InvalidInput(
            f"of the tensors 'boxes' and 'num_detections' only '{came[0]}' came; accepted: both, "
            "or neither"
        )
    return item_boxes(item, height, width), len(item["boxes"])


def widened(box: npt.NDArray[np.float32], margin: float, height: int, width: int) -> Boxes:
    """A box that is wider by a share of its sides on each side, clipped to its image."""
    across, down = (box[2:] - box[:2]) * margin
    limits = np.array([width, height, width, height], np.float32)
    return np.clip(box + np.array([-across, -down, across, down], np.float32), 0, limits)


def detection_count(item: Item, tensor: str, rows: int) -> int:
    """How many rows of a tensor are real: the item's `num_detections` [1].

    Raises:
        InvalidInput: it is below 0 or above the number of rows.
    """
    found = int(np.asarray(item["num_detections"]).reshape(-1)[0])
    if not 0 <= found <= rows:
        raise InvalidInput(
            f"tensor 'num_detections': {found}; accepted: 0 to {rows}, "
            f"the rows of tensor '{tensor}'"
        )
    return found


def check_box_counts(items: Sequence[Item], most: int, most_together: int) -> None:
    """Checks how many boxes the items of a request have, before any image is decoded.

    Args:
        items: Those with boxes have the tensor `num_detections` [1].
        most: Most boxes of an item, the setting `max_boxes`.
        most_together: Most boxes of all items, the setting `max_request_boxes`.

    Raises:
        InvalidInput: there are more.
    """
    counts = [
        int(np.asarray(item["num_detections"]).reshape(-1)[0])
        for item in items
        if "num_detections" in item
    ]
    for index, count in enumerate(counts):
        if count > most:
            where = f"item {index}: " if len(items) > 1 else ""
            raise InvalidInput(
                f"{where}tensor 'num_detections': {count} boxes; accepted: at most {most} in an "
                "image (setting 'max_boxes')"
            )
    together = sum(max(0, count) for count in counts)
    if together > most_together:
        raise InvalidInput(
            f"tensor 'num_detections': {together} boxes in {len(items)} images; accepted: at most "
            f"{most_together} in a request (setting 'max_request_boxes')"
        )


def place_of(box: npt.NDArray[Any], height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns of an image that a clipped box touches, at least one pixel.

    Sides that lie within a pixel are rounded outward, so that no part of the box is lost.
    """
    x1, y1, x2, y2 = (float(side) for side in box)
    left, top = min(math.floor(x1), width - 1), min(math.floor(y1), height - 1)
    return (
        slice(top, max(math.ceil(y2), top + 1)),
        slice(left, max(math.ceil(x2), left + 1)),
    )


def crop(image: _Pixels, box: npt.NDArray[Any]) -> _Pixels:
    """The part of an image [H, W, C] that a clipped box touches, see `place_of`; a view."""
    return image[place_of(box, *image.shape[:2])]
