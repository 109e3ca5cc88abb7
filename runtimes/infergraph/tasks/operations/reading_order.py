"""The operation `aggregate-text`: lines of text in an image as one text, in reading order.

Boxes beside each other on a row are one line. Lines below each other are one block, whose text goes
on from line to line. A line under which two others stand beside each other, as a heading over two
columns, is a block of its own. Blocks are read from top to bottom, and from left to right where
they stand beside each other. Rows and lines follow their text where it is turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ...errors import InvalidInput
from ...tensors import TensorSpec
from .base import Known, Operation, Working, real_rows, text_array, texts_of

_Numbers = npt.NDArray[np.float64]
_Pairs = npt.NDArray[np.bool_]

_LARGEST_RATIO = 2.0
"""Of the heights of two lines that belong together."""
_LARGEST_ANGLE = np.deg2rad(20)
"""Between the directions of two lines that belong together."""
_LONG = 2.0
"""How much longer than high a line is whose direction is sure."""
_LEAST_OVERLAP = 0.5
"""Of what two boxes of a row are high, as a share of the lower one."""
# "Nord- und Südstraße": a hyphen before these stands for a word that is left out.
_AFTER_HYPHEN = frozenset({"und", "oder", "bis", "sowie", "and", "or", "et", "ou", "y", "o"})


class AggregateText(Operation):
    """Puts the texts of an image's lines together in reading order: BYTES [-1, 1].

    Lines of a block are joined by a space, or without their hyphen where it divides a word; blocks
    by a line break. Lines without text are left out.

    Attributes:
        texts: BYTES [-1, rows].
        boxes: FP32 [-1, rows, 4], or FP32 [-1, rows, 8]: the corners of each line, x y of its top
            left, top right, bottom right and bottom left.
        count: The tensor that says how many rows are real.
        word_gap: How far boxes of a row are apart at most, in heights of a line.
        line_gap: How far lines of a block are apart at most, in heights of a line.
        into: The output.
        lines: The output INT64 [-1, 1]: how many lines there are.
    """

    kind: Literal["aggregate-text"]
    texts: str = "text"
    boxes: str = "boxes"
    count: str | None = "num_detections"
    word_gap: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    line_gap: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    into: str = "text"
    lines: str = "num_lines"

    @property
    def blocking(self) -> bool:
        return True

    def reads(self) -> list[str]:
        return [name for name in (self.texts, self.boxes, self.count) if name is not None]

    def given(self, known: Known) -> list[TensorSpec]:
        self.found(known, self.texts, "BYTES", -1)
        spec = self.found(known, self.boxes, "FP32")
        if len(spec.shape) != 3 or spec.shape[2] not in (4, 8):
            raise self.wrong(f"tensor {spec}; accepted: FP32 [-1, -1, 4] or [-1, -1, 8]")
        if self.count is not None:
            self.found(known, self.count, "INT64", 1)
        optional = any(known[name].optional for name in self.reads())
        return [
            TensorSpec(self.into, "BYTES", (-1, 1), optional),
            TensorSpec(self.lines, "INT64", (-1, 1), optional),
        ]

    def apply(self, item: Working) -> None:
        boxes, texts = item.values[self.boxes], item.values[self.texts]
        if len(boxes) != len(texts):
            raise InvalidInput(
                f"tensor '{self.texts}': {len(texts)} rows; accepted: {len(boxes)}, as tensor "
                f"'{self.boxes}' has"
            )
        rows = real_rows(item, self.count, len(boxes), self.boxes)
        corners = boxes[:rows].astype(np.float64)
        if not np.isfinite(corners).all():
            row = int((~np.isfinite(corners)).any(axis=1).argmax())
            raise InvalidInput(
                f"tensor '{self.boxes}', row {row}: {corners[row].tolist()}; accepted: numbers"
            )
        if corners.shape[1] == 4:
            corners = corners[:, [0, 1, 2, 1, 2, 3, 0, 3]]
        said = [" ".join(text.split()) for text in texts_of(texts[:rows], self.texts)]
        kept = [row for row, text in enumerate(said) if text]
        blocks = in_reading_order(
            corners[kept].reshape(-1, 4, 2), word_gap=self.word_gap, line_gap=self.line_gap
        )
        written = [
            _wrapped([" ".join(said[kept[row]] for row in line) for line in block])
            for block in blocks
        ]
        item.values[self.into] = text_array(["\n".join(written)])
        item.values[self.lines] = np.array([sum(map(len, blocks))], np.int64)


def in_reading_order(
    corners: _Numbers, *, word_gap: float, line_gap: float
) -> list[list[list[int]]]:
    """Boxes of text in reading order: blocks of lines of boxes.

    Args:
        corners: [n, 4, 2]: top left, top right, bottom right and bottom left of each box's text.
        word_gap: See `AggregateText`.
        line_gap: See `AggregateText`.
    """
    if not len(corners):
        return []
    boxes = _Turned.of(corners)
    rows = [
        sorted(row, key=lambda box, row=row: boxes.along[_longest(boxes, row), box])  # type: ignore[misc]
        for row in _components(_on_one_row(boxes, word_gap))
    ]
    lines = _Turned.of(np.stack([_around(corners[row], boxes, row) for row in rows]))
    blocks = _chains(_goes_on(lines, line_gap))
    main = _unit((lines.corners[:, 1] - lines.corners[:, 0]).sum(axis=0)[None])[0]
    turned = lines.corners @ np.stack([main, [-main[1], main[0]]]).T
    extents = np.array(
        [np.concatenate([turned[b].min(axis=(0, 1)), turned[b].max(axis=(0, 1))]) for b in blocks]
    )
    return [[rows[line] for line in blocks[block]] for block in _ordered(extents)]


@dataclass(frozen=True, slots=True)
class _Turned:
    """Boxes of text, each looked at along the text of each.

    Attributes:
        corners: [n, 4, 2].
        directions: [n, 2]: of the text, of length 1.
        widths: [n].
        heights: [n].
        low: [n, n, 2]: where box j begins, along the text of box i and across it.
        high: [n, n, 2]: where it ends.
    """

    corners: _Numbers
    directions: _Numbers
    widths: _Numbers
    heights: _Numbers
    low: _Numbers
    high: _Numbers

    @classmethod
    def of(cls, corners: _Numbers) -> _Turned:
        sides = np.roll(corners, -1, axis=1) - corners
        lengths = np.linalg.norm(sides, axis=2)
        directions = _unit(sides[:, 0] - sides[:, 2])
        across = np.stack([-directions[:, 1], directions[:, 0]], axis=1)
        # [frame, 2, 2] applied to [box, corner, 2].
        seen = np.einsum("fdk,bck->fbcd", np.stack([directions, across], axis=1), corners)
        return cls(
            corners,
            directions,
            (lengths[:, 0] + lengths[:, 2]) / 2,
            np.maximum((lengths[:, 1] + lengths[:, 3]) / 2, 1e-6),
            seen.min(axis=2),
            seen.max(axis=2),
        )

    @property
    def along(self) -> _Numbers:
        """[n, n]: where the middle of box j is along the text of box i."""
        return (self.low[..., 0] + self.high[..., 0]) / 2

    def of_pairs(self) -> tuple[_Numbers, _Numbers, _Numbers, _Numbers]:
        """Begin and end of both boxes of each pair, along the longer one of them.

        [n, n, 2] each: of box i, `low` and `high`, then of box j.
        """
        n = len(self.widths)
        i, j = np.indices((n, n))
        frame = np.where(self.widths[:, None] >= self.widths[None], i, j)
        return self.low[frame, i], self.high[frame, i], self.low[frame, j], self.high[frame, j]

    def alike(self) -> _Pairs:
        """[n, n]: whether two boxes are about equally high, and turned alike as far as is sure."""
        ratio = self.heights[:, None] / self.heights[None]
        cosine = np.clip(self.directions @ self.directions.T, -1, 1)
        long = self.widths > _LONG * self.heights
        turned = long[:, None] & long[None] & (np.arccos(cosine) > _LARGEST_ANGLE)
        alike: _Pairs = (ratio <= _LARGEST_RATIO) & (ratio >= 1 / _LARGEST_RATIO) & ~turned
        return alike

    def mean_heights(self) -> _Numbers:
        """[n, n]: of the boxes of each pair."""
        means: _Numbers = (self.heights[:, None] + self.heights[None]) / 2
        return means


def _on_one_row(boxes: _Turned, word_gap: float) -> _Pairs:
    low, high, other_low, other_high = boxes.of_pairs()
    overlap = np.minimum(high, other_high) - np.maximum(low, other_low)
    lower = np.minimum(high - low, other_high - other_low)[..., 1]
    near = -overlap[..., 0] <= word_gap * boxes.mean_heights()
    together: _Pairs = boxes.alike() & near & (overlap[..., 1] >= _LEAST_OVERLAP * lower)
    return together


def _goes_on(lines: _Turned, line_gap: float) -> _Pairs:
    """[n, n]: whether line j comes directly below line i."""
    low, high, other_low, other_high = lines.of_pairs()
    overlap = np.minimum(high, other_high) - np.maximum(low, other_low)
    below = (other_low + other_high)[..., 1] > (low + high)[..., 1]
    # Boxes of neighbouring lines may overlap somewhat.
    gap = -overlap[..., 1] / lines.mean_heights()
    near = below & (overlap[..., 0] > 0) & (gap <= line_gap) & (gap >= -_LEAST_OVERLAP)
    # Not where another line is between them.
    direct: _Pairs = near & ~((near.astype(int) @ near.astype(int)) > 0)
    return direct & lines.alike()


def _chains(follows: _Pairs) -> list[list[int]]:
    """Lines of which each is the only one that follows the one before it, and follows only that."""
    only = follows & (follows.sum(axis=1) == 1)[:, None] & (follows.sum(axis=0) == 1)[None]
    after = {int(line): int(only[line].argmax()) for line in np.flatnonzero(only.any(axis=1))}
    chains = []
    for first in sorted(set(range(len(follows))) - set(after.values())):
        chain = [first]
        while chain[-1] in after:
            chain.append(after[chain[-1]])
        chains.append(chain)
    return chains


def _ordered(extents: _Numbers) -> list[int]:
    """Blocks [n, 4] (x1, y1, x2, y2) in reading order."""
    low, high = extents[:, :2], extents[:, 2:]
    sides = np.maximum(high - low, 1e-6)
    overlap = np.minimum(high[:, None], high[None]) - np.maximum(low[:, None], low[None])
    shares = np.maximum(overlap, 0) / np.minimum(sides[:, None], sides[None])
    middles = (low + high) / 2
    earlier = middles[:, None] < middles[None]
    # Whether the first one of a pair comes first: beside the other, or above it.
    comes_first = np.where(
        shares[..., 1] > shares[..., 0], earlier[..., 0], earlier[..., 1] & (shares[..., 0] > 0)
    )
    left = set(range(len(extents)))
    order: list[int] = []
    while left:
        free = [each for each in left if not any(comes_first[other, each] for other in left)]
        # Where each is to come after another, in a circle, the topmost one is next.
        order.append(min(free or left, key=lambda each: (low[each, 1], low[each, 0])))
        left.remove(order[-1])
    return order


def _wrapped(lines: Sequence[str]) -> str:
    text = ""
    for line in lines:
        divided = len(text) > 1 and text[-1] == "-" and text[-2].isalpha() and line[0].islower()
        if divided and line.split()[0] not in _AFTER_HYPHEN:
            text = text[:-1] + line
        else:
            text = f"{text} {line}" if text else line
    return text


def _components(together: _Pairs) -> list[list[int]]:
    """Groups of what is together, also by way of others."""
    left = set(range(len(together)))
    groups = []
    while left:
        group, new = set(), {min(left)}
        while new:
            group |= new
            new = set(np.flatnonzero(together[list(new)].any(axis=0)).tolist()) - group
        groups.append(sorted(group))
        left -= group
    return groups


def _longest(boxes: _Turned, row: Sequence[int]) -> int:
    return max(row, key=lambda box: boxes.widths[box])


def _around(corners: _Numbers, boxes: _Turned, row: Sequence[int]) -> _Numbers:
    """The corners of the box around those of a row, turned as the longest of them."""
    if len(row) == 1:
        only: _Numbers = corners[0]
        return only
    x = boxes.directions[_longest(boxes, row)]
    y = np.array([-x[1], x[0]])
    along, across = corners @ x, corners @ y
    return np.array(
        [
            along.min() * x + across.min() * y,
            along.max() * x + across.min() * y,
            along.max() * x + across.max() * y,
            along.min() * x + across.max() * y,
        ]
    )


def _unit(vectors: _Numbers) -> _Numbers:
    """Vectors [n, 2] of length 1; those of no length point to the right."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: _Numbers = np.where(lengths > 0, vectors / np.maximum(lengths, 1e-9), [1.0, 0.0])
    return unit
