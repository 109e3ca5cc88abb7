from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from infergraph.errors import InvalidInput
from infergraph.tasks.vision.boxes import check_box_counts, crop, item_boxes

HEIGHT, WIDTH = 20, 30


def item(boxes: Any, count: Any = None) -> dict[str, Any]:
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    return {
        "boxes": rows,
        "num_detections": np.array([len(rows) if count is None else count], np.int64),
    }


def test_the_padding_is_left_out() -> None:
    boxes = item_boxes(item([[1, 2, 3, 4], [5, 6, 7.5, 8], [0, 0, 0, 0]], 2), HEIGHT, WIDTH)

    assert boxes.dtype == np.float32
    assert boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7.5, 8]]


def test_no_boxes() -> None:
    assert item_boxes(item([]), HEIGHT, WIDTH).shape == (0, 4)
    assert item_boxes(item([[0, 0, 0, 0]], 0), HEIGHT, WIDTH).shape == (0, 4)


def test_a_box_partly_outside_is_clipped() -> None:
    boxes = item_boxes(item([[-5, -0.5, 100, 10], [10, 5, 30, 20.5]]), HEIGHT, WIDTH)

    assert boxes.tolist() == [[0, 0, 30, 10], [10, 5, 30, 20]]


@pytest.mark.parametrize(
    "box",
    [
        [np.nan, 0, 5, 5],
        [0, 0, np.inf, 5],
        [-np.inf, 0, 5, 5],
        [5, 0, 5, 5],
        [6, 0, 5, 5],
        [0, 9, 5, 8],
        [30, 0, 40, 5],
        [0, -9, 5, 0],
        [0, 0, 0, 0],
    ],
)
def test_what_is_no_box_in_the_image_is_refused(box: list[float]) -> None:
    with pytest.raises(InvalidInput) as caught:
        item_boxes(item([[0, 0, 5, 5], box, [1, 1, 2, 2]]), HEIGHT, WIDTH)

    shown = [float(np.float32(side)) for side in box]
    assert str(caught.value) == (
        f"tensor 'boxes': box 1 is {shown} in an image of 30x20 pixels; accepted: x1, y1, x2, y2 "
        "in pixels, with x1 < x2 and y1 < y2 in the part that lies within the image"
    )


@pytest.mark.parametrize("count", [-1, 3, 2**40])
def test_a_number_that_the_rows_do_not_have_is_refused(count: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        item_boxes(item([[0, 0, 1, 1]] * 2, count), HEIGHT, WIDTH)

    assert str(caught.value) == (
        f"tensor 'num_detections': {count}; accepted: 0 to 2, the rows of tensor 'boxes'"
    )


def counted(*counts: int) -> list[dict[str, Any]]:
    return [{"num_detections": np.array([count], np.int64)} for count in counts]


def test_as_many_boxes_as_the_settings_allow() -> None:
    check_box_counts([*counted(3, 3), {"image": b""}, *counted(0, -1)], 3, 6)


@pytest.mark.parametrize(
    ("items", "text"),
    [
        (
            counted(4),
            "tensor 'num_detections': 4 boxes; accepted: at most 3 in an image (setting "
            "'max_boxes')",
        ),
        (counted(1, 4), "item 1: tensor 'num_detections': 4 boxes; accepted: at most 3"),
        # What is below 0 makes no room for others.
        (
            counted(3, -9, 3, 1),
            "tensor 'num_detections': 7 boxes in 4 images; accepted: at most 6 in a request "
            "(setting 'max_request_boxes')",
        ),
    ],
)
def test_more_boxes_are_refused(items: list[dict[str, Any]], text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_box_counts(items, 3, 6)

    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ([0, 0, 30, 20], (0, 20), (0, 30)),
        ([2, 3, 5, 7], (3, 7), (2, 5)),
        ([2.9, 3.1, 5.1, 7.9], (3, 8), (2, 6)),
        ([4.2, 4.2, 4.4, 4.4], (4, 5), (4, 5)),
        ([29.5, 19.5, 30, 20], (19, 20), (29, 30)),
    ],
)
def test_crops_round_outward(
    box: list[float], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    image = np.arange(HEIGHT * WIDTH * 3).reshape(HEIGHT, WIDTH, 3)

    cropped = crop(image, np.array(box, np.float32))

    np.testing.assert_array_equal(cropped, image[slice(*rows), slice(*columns)])


def test_a_box_on_the_last_edge_has_a_pixel() -> None:
    image = np.arange(HEIGHT * WIDTH * 3).reshape(HEIGHT, WIDTH, 3)

    assert crop(image, np.array([30, 20, 30, 20])).tolist() == image[19:, 29:].tolist()
