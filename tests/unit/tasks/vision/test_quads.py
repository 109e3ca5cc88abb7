from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from infergraph.errors import InvalidInput
from infergraph.tasks.vision.quads import bounds, item_quads, quads_of, size_of, straightened
from tests.pictures import pattern

HEIGHT, WIDTH = 20, 30
GOOD = [1, 2, 9, 2, 9, 6, 1, 6]


def item(quads: Any, count: Any = None) -> dict[str, Any]:
    rows = np.array(quads, np.float32).reshape(-1, 8)
    return {
        "quads": rows,
        "num_detections": np.array([len(rows) if count is None else count], np.int64),
    }


def test_the_padding_is_left_out() -> None:
    quads = item_quads(item([GOOD, [0] * 8], 1), HEIGHT, WIDTH)

    assert quads.tolist() == [[[1, 2], [9, 2], [9, 6], [1, 6]]]
    assert item_quads(item([[0] * 8], 0), HEIGHT, WIDTH).shape == (0, 4, 2)


def test_corners_may_be_a_little_outside() -> None:
    quad = [-2, -1.5, 32, 0, 31, 21, -1, 20]

    assert item_quads(item([quad]), HEIGHT, WIDTH).reshape(-1).tolist() == quad


@pytest.mark.parametrize(
    "quad",
    [
        [np.nan, 2, 9, 2, 9, 6, 1, 6],
        [1, 2, np.inf, 2, 9, 6, 1, 6],
        [0] * 8,
        # Counterclockwise, crossed, dented, without an area, beside the image, too far outside.
        [1, 6, 9, 6, 9, 2, 1, 2],
        [1, 2, 9, 6, 9, 2, 1, 6],
        [1, 2, 9, 2, 3, 3, 1, 6],
        [1, 2, 9, 2, 9, 2, 1, 2],
        [30, 2, 32, 2, 32, 6, 30, 6],
        [1, 2, 46, 2, 46, 6, 1, 6],
        [-3e38, 2, 3e38, 2, 3e38, 6, -3e38, 6],
    ],
)
def test_what_is_no_quad_in_the_image_is_refused(quad: list[float]) -> None:
    with pytest.raises(InvalidInput) as caught:
        item_quads(item([GOOD, quad, GOOD]), HEIGHT, WIDTH)

    shown = [float(np.float32(side)) for side in quad]
    assert str(caught.value).startswith(
        f"tensor 'quads': quad 1 is {shown} in an image of 30x20 pixels; accepted: x and y of"
    )


@pytest.mark.parametrize("count", [-1, 3])
def test_a_count_without_rows_is_refused(count: int) -> None:
    with pytest.raises(InvalidInput, match=rf"'num_detections': {count}; accepted: 0 to 2, the"):
        item_quads(item([GOOD, GOOD], count), HEIGHT, WIDTH)


def test_bounds_and_corners_of_boxes() -> None:
    boxes = np.array([[1, 2, 9, 6], [0, 0, 3, 5]], np.float32)

    assert quads_of(boxes)[0].reshape(-1).tolist() == GOOD
    assert bounds(quads_of(boxes)).tolist() == boxes.tolist()
    assert size_of(quads_of(boxes)[0]) == (8, 4)


def test_an_upright_quad_is_cut_out_as_it_is() -> None:
    image = pattern(60, 40)
    (quad,) = quads_of(np.array([[7, 5, 31, 21]], np.float32))

    np.testing.assert_array_equal(straightened(image, quad), image[5:21, 7:31])


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_quad_says_where_the_top_left_is(turn: int) -> None:
    image = pattern(60, 40)
    (quad,) = quads_of(np.array([[7, 5, 31, 21]], np.float32))

    turned = straightened(image, np.roll(quad, -turn, axis=0))

    np.testing.assert_array_equal(turned, np.rot90(image[5:21, 7:31], turn))


@pytest.mark.parametrize("degrees", [-30, 10])
def test_what_was_turned_is_straightened(degrees: float) -> None:
    line = pattern(80, 16, seed=3)
    whole = Image.new("RGB", (140, 140))
    whole.paste(Image.fromarray(line), (30, 62))
    turned = np.asarray(whole.rotate(degrees, Image.Resampling.BICUBIC, center=(70, 70)))
    angle = np.deg2rad(-degrees)
    around = np.array([[-40, -8], [40, -8], [40, 8], [-40, 8]])
    quad = around @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) + 70

    straight = straightened(turned, quad.astype(np.float32))

    assert straight.shape == line.shape
    inner = np.abs(straight.astype(int) - line)[2:-2, 2:-2]
    assert inner.mean() < 4


def test_perspective_is_undone() -> None:
    line = pattern(90, 30, seed=5)
    quad = np.array([[20, 10], [118, 24], [110, 50], [28, 56]], np.float32)
    # From the image to the line: what Pillow asks for.
    rows = []
    for (x, y), (u, v) in zip(quad, [(0, 0), (90, 0), (90, 30), (0, 30)], strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    values = np.array([0, 0, 90, 0, 90, 30, 0, 30])
    matrix = np.linalg.solve(np.array(rows, float), values).tolist()
    image = np.asarray(
        Image.fromarray(line).transform(
            (140, 70), Image.Transform.PERSPECTIVE, matrix, Image.Resampling.BICUBIC
        )
    )

    straight = Image.fromarray(straightened(image, quad)).resize((90, 30))

    inner = np.abs(np.asarray(straight).astype(int) - line)[3:-3, 3:-3]
    assert inner.mean() < 5


def test_beyond_the_image_its_edge_goes_on() -> None:
    image = pattern(60, 40)
    (quad,) = quads_of(np.array([[-4, 10, 20, 20]], np.float32))

    straight = straightened(image, quad)

    np.testing.assert_array_equal(straight[:, 4:], image[10:20, :20])
    np.testing.assert_array_equal(straight[:, :4], np.repeat(image[10:20, :1], 4, axis=1))


def test_of_a_large_quad_no_more_pixels_are_made_than_are_allowed() -> None:
    image = pattern(400, 200)
    (quad,) = quads_of(np.array([[0, 0, 400, 200]], np.float32))

    small = straightened(image, quad, most=800)

    assert small.shape == (20, 40, 3)
    expected = np.asarray(Image.fromarray(image).resize((40, 20), Image.Resampling.BOX))
    assert np.abs(small.astype(int) - expected).mean() < 3


def test_of_the_least_quad_a_pixel_is_left() -> None:
    image = pattern(60, 40)
    (quad,) = quads_of(np.array([[5.4, 5.4, 5.6, 5.6]], np.float32))

    assert straightened(image, quad).tolist() == [[image[5, 5].tolist()]]
