"""Lines of text in a map of probabilities, as differentiable binarisation (DB) finds them.

A network says of each pixel how likely it is the middle of a line. What lies above a threshold
falls into components; the least rectangle around each, made larger again by what training shrank
lines by, is a line. Follows PaddleOCR, in numpy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .quads import Quads, size_of

Map = npt.NDArray[np.float32]
"""FP32 [H, W], probabilities."""
Points = npt.NDArray[np.float64]
"""[n, 2]: x and y."""


@dataclass(frozen=True, slots=True)
class LineRules:
    """What of a map is a line.

    Attributes:
        map_threshold: Pixels of a higher probability are of lines.
        threshold: A line's score, the mean of the map in its rectangle, is above this.
        unclip_ratio: How far the sides of a rectangle are moved outward, in its area divided by its
            circumference.
        min_side: A rectangle's shorter side has at least so many pixels of the map.
        max_candidates: Most components that are looked at, the largest ones.
    """

    map_threshold: float
    threshold: float
    unclip_ratio: float
    min_side: float
    max_candidates: int


def find_lines(probabilities: Map, rules: LineRules) -> tuple[Quads, npt.NDArray[np.float32]]:
    """The lines in a map.

    Returns:
        Rectangles FP32 [n, 4, 2] in pixels of the map, 0 at its left and upper edge, which level
        ones do not reach out of; and their scores FP32 [n].
    """
    quads, scores = [], []
    for points in _components(probabilities > rules.map_threshold, rules.max_candidates):
        rectangle = least_rectangle(points)
        if min(size_of(rectangle)) < rules.min_side:
            continue
        score = _mean_inside(probabilities, rectangle)
        if score <= rules.threshold:
            continue
        # Points are the middles of pixels.
        whole = _unclipped(rectangle, rules.unclip_ratio) + 0.5
        quads.append(_within(whole, *probabilities.shape))
        scores.append(score)
    return (
        np.array(quads, np.float32).reshape(-1, 4, 2),
        np.array(scores, np.float32),
    )


def _components(mask: npt.NDArray[np.bool_], most: int) -> Iterator[Points]:
    """Of each group of pixels that touch each other, also by corners, the outermost of each row.

    The largest `most` of them, in order of their first pixels.
    """
    # A column apart, no run goes on in the next row, and none touches one of another row's end.
    stride = mask.shape[1] + 2
    padded = np.zeros((mask.shape[0], stride), np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded.ravel())
    # Runs of pixels: the first one of each, and the one after its last.
    starts, ends = np.flatnonzero(steps == 1) + 1, np.flatnonzero(steps == -1) + 1
    _, group = np.unique(_connected(starts, ends, stride), return_inverse=True)
    sizes = np.bincount(group, weights=ends - starts)
    # By groups, and within a group by rows: of each row of a group the first run and the last.
    order = np.argsort(group, kind="stable")
    group, starts, ends = group[order], starts[order], ends[order]
    y = starts // stride
    new = np.ones(len(order) + 1, bool)
    new[1:-1] = (np.diff(group) != 0) | (np.diff(y) != 0)
    left, right = starts[new[:-1]] % stride - 1, (ends[new[1:]] - 1) % stride - 1
    group, y = group[new[:-1]], y[new[:-1]]
    bounds = np.searchsorted(group, np.arange(len(sizes) + 1))
    for number in np.sort(np.argsort(-sizes, kind="stable")[:most]):
        rows = slice(bounds[number], bounds[number + 1])
        x = np.concatenate([left[rows], right[rows]])
        yield np.stack([x, np.tile(y[rows], 2)], axis=1).astype(np.float64)


def _connected(
    starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], stride: int
) -> npt.NDArray[np.int64]:
    """Of each run of pixels the first run of those that it is connected with."""
    # Of the next row, the runs that touch what lies below a run.
    first = np.searchsorted(ends, starts + stride, side="left")
    counts = np.maximum(np.searchsorted(starts, ends + stride, side="right") - first, 0)
    upper = np.repeat(np.arange(len(starts)), counts)
    lower = np.arange(len(upper)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    roots = np.arange(len(starts))
    while True:
        one, other = roots[upper], roots[lower]
        apart = one != other
        if not apart.any():
            return roots
        np.minimum.at(
            roots,
            np.maximum(one[apart], other[apart]),
            np.minimum(one[apart], other[apart]),
        )
        while not np.array_equal(shorter := roots[roots], roots):
            roots = shorter


def least_rectangle(points: Points) -> npt.NDArray[np.float32]:
    """The rectangle of least area around points, FP32 [4, 2], in the order of a line's corners.

    A line is at most 45 degrees off its text's direction, as nothing else is known of it: the
    first side is the one that is closest to level.
    """
    hull = _hull(points)
    sides = np.roll(hull, -1, axis=0) - hull
    lengths = np.linalg.norm(sides, axis=1)
    # One side of the least rectangle lies on a side of the hull.
    across = sides[lengths > 0] / lengths[lengths > 0, None]
    across = np.concatenate([across, [[1.0, 0.0]]]) if not len(across) else across
    down = np.stack([-across[:, 1], across[:, 0]], axis=1)
    along, beside = hull @ across.T, hull @ down.T
    extents = np.ptp(along, axis=0) * np.ptp(beside, axis=0)
    best = int(extents.argmin())
    x, y = across[best], down[best]
    if abs(x[0]) < abs(x[1]):
        x, y, along, beside = y, -x, beside, -along
    if x[0] < 0:
        x, y, along, beside = -x, -y, -along, -beside
    left, right = along[:, best].min(), along[:, best].max()
    top, bottom = beside[:, best].min(), beside[:, best].max()
    corners = [
        left * x + top * y,
        right * x + top * y,
        right * x + bottom * y,
        left * x + bottom * y,
    ]
    return np.array(corners, np.float32)


def _hull(points: Points) -> Points:
    """The convex hull's corners, in order around it."""
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))].tolist()
    halves = []
    for each in (ordered, ordered[::-1]):
        half: list[list[float]] = []
        for x, y in each:
            while len(half) > 1 and (
                (half[-1][0] - half[-2][0]) * (y - half[-2][1])
                <= (half[-1][1] - half[-2][1]) * (x - half[-2][0])
            ):
                half.pop()
            half.append([x, y])
        halves += half[:-1]
    return np.array(halves or ordered[:1])


def _mean_inside(probabilities: Map, rectangle: npt.NDArray[np.float32]) -> float:
    """The mean of the pixels in a rectangle, those on its edges among them."""
    limits = np.array(probabilities.shape[::-1]) - 1
    low = np.clip(np.floor(rectangle.min(axis=0)).astype(int), 0, limits)
    high = np.clip(np.ceil(rectangle.max(axis=0)).astype(int), 0, limits)
    part = probabilities[low[1] : high[1] + 1, low[0] : high[0] + 1]
    x = np.arange(low[0], high[0] + 1)[None]
    y = np.arange(low[1], high[1] + 1)[:, None]
    inside = np.ones(part.shape, bool)
    for (x1, y1), (x2, y2) in zip(rectangle, np.roll(rectangle, -1, axis=0), strict=True):
        # Half a pixel more, as PaddleOCR fills a polygon with its edges.
        reach = 0.5 * max(abs(x2 - x1), abs(y2 - y1))
        inside &= (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) >= -reach
    return float(part[inside].mean()) if inside.any() else 0.0


def _unclipped(rectangle: npt.NDArray[np.float32], ratio: float) -> npt.NDArray[np.float32]:
    """A rectangle with all of its sides moved outward by its area x ratio / circumference."""
    width, height = size_of(rectangle)
    more = width * height * ratio / max(2 * (width + height), 1e-6)
    x = (rectangle[1] - rectangle[0]) / max(width, 1e-6) * more
    y = (rectangle[3] - rectangle[0]) / max(height, 1e-6) * more
    moves: npt.NDArray[np.float32] = np.stack([-x - y, x - y, x + y, y - x])
    return rectangle + moves


def _within(rectangle: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """The rectangle, turned as this one, around what of it lies within a map."""
    inside = rectangle
    for axis, limit, sign in ((0, 0, 1), (1, 0, 1), (0, width, -1), (1, height, -1)):
        following = np.roll(inside, -1, axis=0)
        depth, next_depth = (sign * (points[:, axis] - limit) for points in (inside, following))
        crossing = (depth < 0) != (next_depth < 0)
        share = (depth / np.where(crossing, depth - next_depth, 1))[crossing, None]
        crossed = inside[crossing] + share * (following - inside)[crossing]
        inside = np.concatenate([inside[depth >= 0], crossed])
        # In order around it again: a corner, and what lies after it on its side.
        order = np.concatenate([np.flatnonzero(depth >= 0), np.flatnonzero(crossing) + 0.5])
        inside = inside[np.argsort(order)]
    origin = rectangle[0]
    sides = [rectangle[1] - origin, rectangle[3] - origin]
    x, y = (side / max(float(np.linalg.norm(side)), 1e-6) for side in sides)
    along, across = (inside - origin) @ x, (inside - origin) @ y
    (left, right), (top, bottom) = ((values.min(), values.max()) for values in (along, across))
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    kept: npt.NDArray[np.float32] = origin + np.array(corners, np.float32) @ np.stack([x, y])
    return kept
