"""Lines in maps that are drawn: what was drawn is found, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from infergraph.tasks.vision.quads import size_of
from infergraph.tasks.vision.text_map import LineRules, _components, find_lines, least_rectangle

RULES = LineRules(map_threshold=0.3, threshold=0.6, unclip_ratio=0, min_side=3, max_candidates=1000)
Quad = npt.NDArray[Any]


def rectangle(x: float, y: float, width: float, height: float, degrees: float = 0) -> Quad:
    """The corners of a rectangle around a point."""
    angle = np.deg2rad(degrees)
    along, across = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.array(
        [
            [x, y] + side * width / 2 * along + end * height / 2 * across
            for side, end in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
    )


def drawn(*quads: Quad, size: tuple[int, int] = (320, 240), value: float = 1.0) -> Any:
    """A map in which each quad is filled; four pixels of a side in one, so that edges are soft."""
    image = Image.new("L", (4 * size[0], 4 * size[1]), 0)
    for quad in quads:
        ImageDraw.Draw(image).polygon([(4 * x, 4 * y) for x, y in quad.tolist()], fill=255)
    return np.asarray(image.resize(size, Image.Resampling.BOX)).astype(np.float32) / 255 * value


@pytest.mark.parametrize("degrees", [0, 3, 15, -15, 30, -44])
def test_a_line_is_found_where_it_was_drawn(degrees: float) -> None:
    expected = rectangle(160, 120, 150, 24, degrees)

    quads, scores = find_lines(drawn(expected), RULES)

    assert len(quads) == 1
    # A pixel less on each side: the middles of pixels, without the half that the map knows.
    assert quads[0] == pytest.approx(expected, abs=1.5)
    assert scores[0] > 0.9


def test_a_tall_line_begins_at_its_upper_left_corner_too() -> None:
    expected = rectangle(100, 120, 20, 150, 5)

    (quad,), _ = find_lines(drawn(expected), RULES)

    assert quad == pytest.approx(expected, abs=1.5)


def test_lines_come_from_top_to_bottom_each_once() -> None:
    expected = [
        rectangle(80, 30, 100, 14),
        rectangle(230, 60, 90, 12, 10),
        rectangle(150, 140, 200, 20, -8),
        rectangle(150, 210, 12, 12),
    ]

    quads, scores = find_lines(drawn(*expected), RULES)

    assert len(quads) == len(scores) == 4
    for quad, was in zip(
        sorted(quads.tolist(), key=lambda quad: quad[0][1]), expected, strict=True
    ):
        assert np.array(quad) == pytest.approx(was, abs=1.5)


@pytest.mark.parametrize("degrees", [0, 12])
def test_sides_are_moved_outward_by_area_and_circumference(degrees: float) -> None:
    marked = rectangle(160, 120, 150, 20, degrees)
    more = 1.5 * 150 * 20 / (2 * (150 + 20))

    (quad,), _ = find_lines(drawn(marked), replace(RULES, unclip_ratio=1.5))

    expected = rectangle(160, 120, 150 + 2 * more, 20 + 2 * more, degrees)
    assert quad == pytest.approx(expected, abs=3)
    assert quad.mean(axis=0) == pytest.approx([160, 120], abs=0.5)


def test_what_is_faint_small_or_uneven_is_no_line() -> None:
    good = rectangle(160, 40, 100, 20)
    faint = drawn(good, value=0.29) + drawn(rectangle(160, 100, 100, 20), value=0.55)
    small = drawn(rectangle(160, 150, 100, 2.0))
    # Half of its rectangle is empty.
    corner = drawn(np.array([[40, 170], [140, 170], [40, 230], [40, 230]]))

    assert len(find_lines(faint + small, RULES)[0]) == 0
    assert len(find_lines(corner, replace(RULES, threshold=0.7))[0]) == 0
    assert len(find_lines(corner + drawn(good), replace(RULES, threshold=0.7))[0]) == 1


def test_a_line_ends_at_the_edges_of_the_map() -> None:
    rules = replace(RULES, unclip_ratio=1.5)
    level = np.array([[0, 0], [100, 0], [100, 30], [0, 30]])

    (quad,), _ = find_lines(drawn(level), rules)
    (turned,), _ = find_lines(drawn(rectangle(20, 120, 100, 30, 12)), rules)

    assert quad.min(axis=0).tolist() == [0, 0]
    assert quad[2] == pytest.approx([117, 47], abs=2)
    # Still a rectangle; each of its sides touches what lies within the map.
    sides = np.roll(turned, -1, axis=0) - turned
    assert (sides * np.roll(sides, 1, axis=0)).sum(axis=1) == pytest.approx(0, abs=0.1)
    assert turned[[0, 3], 0].min() < -1
    assert turned[[0, 3], 0].max() == pytest.approx(0, abs=0.1)


def test_an_empty_map_and_a_full_one() -> None:
    empty, scores = find_lines(np.zeros((32, 64), np.float32), RULES)
    full, _ = find_lines(np.ones((32, 64), np.float32), RULES)

    assert empty.shape == (0, 4, 2)
    assert scores.shape == (0,)
    assert full == pytest.approx(np.array([[[0.5, 0.5], [63.5, 0.5], [63.5, 31.5], [0.5, 31.5]]]))


def test_of_too_many_the_largest_are_found() -> None:
    sizes = [20, 60, 40, 80]
    quads = [rectangle(160, 30 + 50 * row, size, 12) for row, size in enumerate(sizes)]

    found, _ = find_lines(drawn(*quads), replace(RULES, max_candidates=2))

    assert [round(size_of(quad)[0], -1) for quad in found] == [60, 80]


def test_components_are_those_that_filling_finds() -> None:
    generator = np.random.default_rng(0)
    for _ in range(60):
        mask = generator.random(generator.integers(1, 14, 2)) < generator.random()
        components = [set(map(tuple, each.astype(int).tolist())) for each in _components(mask, 999)]
        expected = filled(mask)

        assert len(components) == len(expected)
        for component in components:
            (whole,) = [each for each in expected if component <= each]
            rows = {y for _, y in whole}
            ends = {
                (choose(x for x, row in whole if row == y), y)
                for y in rows
                for choose in (min, max)
            }
            assert component == ends


def filled(mask: npt.NDArray[np.bool_]) -> list[set[tuple[int, int]]]:
    """The pixels (x, y) of each component."""
    left = {(int(x), int(y)) for y, x in zip(*np.nonzero(mask), strict=True)}
    found = []
    while left:
        component, new = set(), {next(iter(left))}
        while new:
            component |= new
            left -= new
            new = {
                (x + dx, y + dy) for x, y in new for dx in (-1, 0, 1) for dy in (-1, 0, 1)
            } & left
        found.append(component)
    return found


def test_the_least_rectangle_of_points_is_no_larger_than_that_of_any_angle() -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        points = generator.normal(size=(12, 2)) * [20, 5]
        width, height = size_of(least_rectangle(points))
        areas = []
        for angle in np.deg2rad(np.arange(0, 90, 0.5)):
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            areas.append(float(np.prod(np.ptp(points @ turn, axis=0))))
        assert width * height <= min(areas) * 1.001


@pytest.mark.parametrize("points", [[[3, 4]], [[3, 4], [3, 4]], [[0, 0], [5, 0]], [[1, 1], [1, 9]]])
def test_the_least_rectangle_of_what_has_no_area(points: list[list[float]]) -> None:
    corners = least_rectangle(np.array(points, float))

    assert corners.min(axis=0).tolist() == np.min(points, axis=0).tolist()
    assert corners.max(axis=0).tolist() == np.max(points, axis=0).tolist()
