"""Quads: four corners around a line of text, as tensors bring them, and as pixels.

The corners of a quad go around it, beginning at the top left one of the text: top left, top right,
bottom right, bottom left, x and y each, in pixels of the image as shown. They may lie outside of
the image, as those of a turned rectangle at its edge do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...errors import InvalidInput
from ...runtime import Item
from ...tensors.image import Pixels
from .boxes import Boxes, detection_count

Quads = npt.NDArray[np.float32]
"""FP32 [n, 4, 2]."""

_ACCEPTED = (
    "x and y of the top left, top right, bottom right and bottom left corner, in pixels, of a quad "
    "that is convex and of which a part lies within the image"
)
_FARTHEST = 0.5
"""How far outside an image corners may lie, in its longer side."""
_MOST_PIXELS = 2**20
_LEAST_TURN = 1e-3
"""Of a side around the corner to the next one, as the area between them in pixels."""


def item_quads(item: Item, height: int, width: int) -> Quads:
    """The quads of an item, without the padding.

    Args:
        item: Has the tensors `quads` FP32 [K, 8] and `num_detections` [1]: how many of the K rows
            are quads.
        height: Pixels of the image.
        width: Pixels of the image.

    Returns:
        FP32 [n, 4, 2], n = num_detections.

    Raises:
        InvalidInput: a number that is below 0 or above K, or a quad that is not finite, not convex,
            far outside the image or without a part in it; names the tensor, the quad's index and
            its value.
    """
    rows = np.asarray(item["quads"], dtype=np.float32)
    quads = rows[: detection_count(item, "quads", len(rows))].reshape(-1, 4, 2)
    sides = np.array([width, height], np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        reach = sides / 2 + _FARTHEST * sides.max()
        near = (np.abs(quads - sides / 2) <= reach).all(axis=(1, 2))
        boxes = bounds(np.nan_to_num(quads))
        within = (boxes[:, :2] < sides).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
        good = near & within & _convex(quads)
    if not good.all():
        index = int((~good).argmax())
        raise InvalidInput(
            f"tensor 'quads': quad {index} is {rows[index].tolist()} in an image of "
            f"{width}x{height} pixels; accepted: {_ACCEPTED}"
        )
    return quads


def quads_of(boxes: Boxes) -> Quads:
    """The corners of boxes FP32 [n, 4] (x1, y1, x2, y2)."""
    return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)


def bounds(quads: Quads) -> Boxes:
    """The upright boxes around quads, FP32 [n, 4]: x1, y1, x2, y2."""
    return np.concatenate([quads.min(axis=1), quads.max(axis=1)], axis=-1)


def size_of(quad: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Width and height of what a quad [4, 2] shows, straightened: the means of opposite sides."""
    sides = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    return float(sides[0] + sides[2]) / 2, float(sides[1] + sides[3]) / 2


def straightened(image: Pixels, quad: npt.NDArray[np.float32], most: int = _MOST_PIXELS) -> Pixels:
    """What a quad shows, as if looked at from the front and upright.

    Args:
        image: UINT8 [H, W, 3].
        quad: FP32 [4, 2], checked as `item_quads` does.
        most: Most pixels of the result; a larger quad is scaled down.

    Returns:
        UINT8 [h, w, 3], as large as the quad is in the image, at least one pixel; bilinear, and
        beyond the image its outermost pixels.
    """
    width, height = size_of(quad)
    scale = min(1.0, (most / max(width * height, 1.0)) ** 0.5)
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    factor = max(1, int(1 / scale))
    corner, part = _around(image, quad, factor)
    matrix = _projection((quad - corner) / factor) / np.array([columns, rows, 1])
    straight = Image.fromarray(part).transform(
        (columns, rows),
        Image.Transform.PERSPECTIVE,
        matrix.ravel()[:8].tolist(),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(straight)


def _around(
    image: Pixels, quad: npt.NDArray[np.float32], factor: int
) -> tuple[npt.NDArray[np.int64], Pixels]:
    """The part of an image around a quad, divided by a factor, and where it begins.

    Beyond the image its outermost pixels go on.
    """
    low = np.floor(quad.min(axis=0)).astype(np.int64) - 1
    high = np.ceil(quad.max(axis=0)).astype(np.int64) + 1
    sides = np.array(image.shape[1::-1])
    inner_low, inner_high = np.clip(low, 0, sides - 1), np.clip(high, 1, sides)
    part = np.ascontiguousarray(image[inner_low[1] : inner_high[1], inner_low[0] : inner_high[0]])
    if factor > 1:
        # Bilinear sampling alone would leave most of it out.
        part = np.asarray(Image.fromarray(part).reduce(factor))
    before = -(-(inner_low - low) // factor)
    after = -(-(high - inner_high) // factor)
    if before.any() or after.any():
        part = np.pad(part, [(before[1], after[1]), (before[0], after[0]), (0, 0)], mode="edge")
    return inner_low - before * factor, part


def _convex(quads: Quads) -> npt.NDArray[np.bool_]:
    """Whether the corners of each quad go around it clockwise as shown, none of them inward."""
    sides = np.roll(quads, -1, axis=1) - quads
    following = np.roll(sides, -1, axis=1)
    turns = sides[..., 0] * following[..., 1] - sides[..., 1] * following[..., 0]
    convex: npt.NDArray[np.bool_] = np.all(turns > _LEAST_TURN, axis=1)
    return convex


def _projection(quad: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The matrix [3, 3] that takes the unit square to a quad, corner by corner."""
    corners = quad.astype(np.float64)
    (x0, y0), (x1, y1), _, (x3, y3) = corners
    right, below = corners[1] - corners[2], corners[3] - corners[2]
    more = corners[0] - corners[1] + corners[2] - corners[3]
    (g, h) = np.linalg.solve(np.stack([right, below], axis=1), more)
    return np.array(
        [
            [x1 - x0 + g * x1, x3 - x0 + h * x3, x0],
            [y1 - y0 + g * y1, y3 - y0 + h * y3, y0],
            [g, h, 1.0],
        ]
    )
