"""Operations on boxes in an image, FP32 x1 y1 x2 y2 in pixels; no pixels are sent or decoded."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from ...errors import InvalidInput
from ...tensors import TensorSpec
from .base import Known, Operation, Values, Working, padding, real_rows

_MOST_BOXES = 300


def size_of_image(item: Working, tensor: str) -> tuple[int, int]:
    """Width and height of the image that a tensor BYTES [1] holds, the way up that it is shown.

    Raises:
        InvalidInput: it is no JPEG, PNG or WebP file, or damaged.
    """
    # Pillow, which nothing else of an operator needs.
    from ...tensors.image import image_size

    return image_size(item.values[tensor][0], tensor=tensor)


class Margin(Operation):
    """Makes boxes larger or smaller around their centres.

    Attributes:
        factor: By how much: 1.1 adds a twentieth of a side on each of its ends.
        boxes: FP32 [-1, rows, 4].
        count: The tensor that says how many rows are real.
        image: The image, at whose sides boxes end; without it they end at 0 only.
        into: The output; in the place of `boxes` unless given.
    """

    kind: Literal["margin"]
    factor: float = Field(gt=0, allow_inf_nan=False)
    boxes: str = "boxes"
    count: str | None = "num_detections"
    image: str | None = None
    into: str | None = None

    def reads(self) -> list[str]:
        return [name for name in (self.boxes, self.count, self.image) if name is not None]

    def given(self, known: Known) -> list[TensorSpec]:
        spec = self.found(known, self.boxes, "FP32", -1, 4)
        if self.count is not None:
            self.found(known, self.count, "INT64", 1)
        if self.image is not None:
            self.found(known, self.image, "BYTES", 1)
        optional = any(known[name].optional for name in self.reads())
        return [TensorSpec(self.into or self.boxes, "FP32", spec.shape, optional)]

    def apply(self, item: Working) -> None:
        boxes = item.values[self.boxes].copy()
        rows = real_rows(item, self.count, len(boxes), self.boxes)
        sides = np.full(2, np.inf) if self.image is None else size_of_image(item, self.image)
        starts, ends = boxes[:rows, :2].copy(), boxes[:rows, 2:].copy()
        margins = (ends - starts) * ((self.factor - 1) / 2)
        boxes[:rows, :2] = np.clip(starts - margins, 0, sides)
        boxes[:rows, 2:] = np.clip(ends + margins, 0, sides)
        into = self.into or self.boxes
        item.values[into] = boxes
        if self.boxes in item.empty:
            item.empty.add(into)


class _Laid(Operation):
    """Lays boxes over an image, as many over each.

    Attributes:
        image: BYTES [-1, 1].
        boxes: The output FP32 [-1, rows, 4].
        count: The output INT64 [-1, 1]: how many rows there are.
    """

    image: str = "image"
    boxes: str = "boxes"
    count: str = "num_detections"

    def reads(self) -> list[str]:
        return [self.image]

    def _of_rows(self, known: Known, rows: int) -> list[TensorSpec]:
        optional = self.found(known, self.image, "BYTES", 1).optional
        return [
            TensorSpec(self.boxes, "FP32", (-1, rows, 4), optional),
            TensorSpec(self.count, "INT64", (-1, 1), optional),
        ]


class Regions(_Laid):
    """Gives the same boxes for every image, in proportion to its size.

    Attributes:
        regions: The boxes, in pixels of an image of `size`.
        size: Width and height.
    """

    kind: Literal["regions"]
    regions: list[tuple[float, float, float, float]] = Field(min_length=1, max_length=_MOST_BOXES)
    size: tuple[PositiveInt, PositiveInt]

    def given(self, known: Known) -> list[TensorSpec]:
        width, height = self.size
        for x1, y1, x2, y2 in self.regions:
            if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
                raise self.wrong(
                    f"region {[x1, y1, x2, y2]} of an image of {width}x{height} pixels; accepted: "
                    "x1, y1, x2, y2 in it, with x1 < x2 and y1 < y2"
                )
        return self._of_rows(known, len(self.regions))

    def apply(self, item: Working) -> None:
        scale = np.array(size_of_image(item, self.image)) / np.array(self.size)
        item.values[self.boxes] = (np.array(self.regions) * np.tile(scale, 2)).astype(np.float32)
        item.values[self.count] = np.array([len(self.regions)], np.int64)


class Tile(_Laid):
    """Covers an image with a grid of boxes, row by row from its top left.

    Attributes:
        rows: Tiles from top to bottom.
        columns: Tiles from left to right.
        overlap: The share of a tile's sides that it has in common with each neighbour.
    """

    kind: Literal["tile"]
    rows: PositiveInt
    columns: PositiveInt
    overlap: float = Field(default=0, ge=0, lt=1)

    def given(self, known: Known) -> list[TensorSpec]:
        tiles = self.rows * self.columns
        if tiles > _MOST_BOXES:
            raise self.wrong(f"{tiles} tiles; accepted: at most {_MOST_BOXES}")
        return self._of_rows(known, tiles)

    def apply(self, item: Working) -> None:
        width, height = size_of_image(item, self.image)
        lefts, rights = self._cut(width, self.columns)
        tops, bottoms = self._cut(height, self.rows)
        boxes = [
            (left, top, right, bottom)
            for top, bottom in zip(tops, bottoms, strict=True)
            for left, right in zip(lefts, rights, strict=True)
        ]
        item.values[self.boxes] = np.array(boxes, np.float32)
        item.values[self.count] = np.array([len(boxes)], np.int64)

    def _cut(self, length: int, parts: int) -> tuple[list[float], list[float]]:
        """Where the parts of a side begin and end."""
        part = length / (parts - (parts - 1) * self.overlap)
        starts = [index * part * (1 - self.overlap) for index in range(parts)]
        return starts, [min(start + part, length) for start in starts]


class TileMerge(Operation):
    """Puts what was found in tiles together, and keeps the best of boxes that overlap.

    The boxes are given for each tile: FP32 [-1, T, K, 4] in pixels of the tile, with scores and
    labels [-1, T, K] and a count [-1, T]; `tiles` FP32 [-1, T, 4] says where each tile lies.
    Without `tiles` they are boxes of the image: FP32 [-1, K, 4], with [-1, K] and [-1, 1]. Of two
    boxes of one label that overlap by more than `iou` the one of the lower score is dropped.

    Attributes:
        boxes: The boxes; the output of that name is FP32 [-1, most, 4].
        scores: Their scores; the output is FP32 [-1, most], best first.
        labels: Their labels; the output is BYTES [-1, most].
        count: How many rows are real, of each tile; the output is INT64 [-1, 1].
        tiles: The tiles.
        iou: Intersection over union.
        most: Rows of the outputs: the best are kept.
    """

    kind: Literal["tile-merge"]
    boxes: str = "boxes"
    scores: str = "scores"
    labels: str = "labels"
    count: str = "num_detections"
    tiles: str | None = None
    iou: float = Field(default=0.5, ge=0, le=1)
    most: PositiveInt = 100

    @property
    def blocking(self) -> bool:
        return True

    def reads(self) -> list[str]:
        names = [self.boxes, self.scores, self.labels, self.count]
        return names if self.tiles is None else [*names, self.tiles]

    def given(self, known: Known) -> list[TensorSpec]:
        tiled = () if self.tiles is None else (-1,)
        self.found(known, self.boxes, "FP32", *tiled, -1, 4)
        self.found(known, self.scores, "FP32", *tiled, -1)
        self.found(known, self.labels, "BYTES", *tiled, -1)
        self.found(known, self.count, "INT64", -1)
        if self.tiles is not None:
            self.found(known, self.tiles, "FP32", -1, 4)
        optional = any(known[name].optional for name in self.reads())
        return [
            TensorSpec(self.boxes, "FP32", (-1, self.most, 4), optional),
            TensorSpec(self.scores, "FP32", (-1, self.most), optional),
            TensorSpec(self.labels, "BYTES", (-1, self.most), optional),
            TensorSpec(self.count, "INT64", (-1, 1), optional),
        ]

    def apply(self, item: Working) -> None:
        boxes, scores, labels = self._flat(item)
        order = np.argsort(-scores, kind="stable")
        kept: list[int] = []
        for row in order.tolist():
            same = [other for other in kept if labels[other] == labels[row]]
            if not same or _overlaps(boxes[row], boxes[same]).max() <= self.iou:
                kept.append(row)
            if len(kept) == self.most:
                break
        for name, values in ((self.boxes, boxes), (self.scores, scores), (self.labels, labels)):
            rest = padding(values, self.most - len(kept))
            item.values[name] = np.concatenate([values[kept], rest])
        item.values[self.count] = np.array([len(kept)], np.int64)

    def _flat(self, item: Working) -> tuple[Values, Values, Values]:
        """The real rows of all tiles, with boxes in pixels of the image."""
        boxes, scores = item.values[self.boxes], item.values[self.scores]
        labels, counts = item.values[self.labels], item.values[self.count]
        if self.tiles is None:
            boxes, scores, labels = boxes[None], scores[None], labels.reshape(1, -1)
        else:
            boxes = boxes + np.tile(item.values[self.tiles][:, :2], 2)[:, None]
            labels = labels.reshape(len(boxes), -1)
        shapes = {boxes.shape[:2], scores.shape, labels.shape, (len(counts), scores.shape[1])}
        if len(shapes) > 1:
            raise InvalidInput(
                f"tensors '{self.boxes}', '{self.scores}', '{self.labels}' and '{self.count}' have "
                f"{list(boxes.shape[:2])}, {list(scores.shape)}, {list(labels.shape)} and "
                f"{list(counts.shape)} rows; accepted: as many in each"
            )
        rows = scores.shape[1]
        if ((counts < 0) | (counts > rows)).any():
            raise InvalidInput(
                f"tensor '{self.count}': {counts.tolist()}; accepted: 0 to {rows}, the rows of "
                f"tensor '{self.boxes}'"
            )
        if np.isnan(scores).any():
            raise InvalidInput(f"tensor '{self.scores}' has nan; accepted: numbers")
        real = np.arange(rows) < counts[:, None]
        return boxes[real], scores[real], labels[real]


def _overlaps(box: Values, others: Values) -> npt.NDArray[np.float32]:
    """Intersection over union of a box and each of others."""
    starts = np.maximum(box[:2], others[:, :2])
    ends = np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.clip(ends - starts, 0, None), axis=1)
    sizes = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    overlaps: npt.NDArray[np.float32] = shared / np.maximum(sizes - shared, 1e-9)
    return overlaps
