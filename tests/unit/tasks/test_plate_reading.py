"""Plate reading: readers of every family, plates found in boxes, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from infergraph.devices import Placement
from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.tasks.plate_reading import PlateReading, Readers
from infergraph.tasks.vision.boxes import crop
from infergraph.tasks.vision.detectors import load_detector
from infergraph.tasks.vision.picture_writer import Reading
from infergraph.tensors.decode_memory import decode_memory
from tests.checkpoints.detectors import OBJECTS
from tests.pictures import Pixels, encoded, pattern

from .conftest import Ask, Serve
from .known_detector import Found, KnownDetector
from .picture_references import read

SIZES = [(160, 120), (200, 96), (160, 120)]
IMAGES = [pattern(*size, seed=seed) for seed, size in enumerate(SIZES)]
FILES = [encoded(image) for image in IMAGES]
# Of the first image three, of the second one, of the third none.
BOXES = np.zeros((3, 4, 4), np.float32)
BOXES[0, :3] = [[10.4, 20.6, 90, 70], [0, 0, 160, 120], [-20, 100.5, 60.2, 500]]
BOXES[1, 0] = [30, 3, 150, 93]
COUNTS = np.array([[3], [1], [0]])


async def test_the_whole_of_each_box_is_read_without_a_locator(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    path = checkpoint("trocr")
    runtime = await serve("plate-reading", path, locator=None, max_new_tokens=12)
    clipped = np.clip(BOXES, 0, [160, 120, 160, 120])
    expected = read(
        path,
        [crop(IMAGES[0], box) for box in clipped[0, :3]] + [crop(IMAGES[1], BOXES[1, 0])],
    )
    assert expected[0].text
    texts = [reading.text for reading in expected]
    scores = [reading.score if reading.text else 0 for reading in expected]

    together = await ask(runtime, image=FILES, boxes=BOXES, num_detections=COUNTS)
    alone = [
        await ask(
            runtime,
            image=FILES[index : index + 1],
            boxes=BOXES[index : index + 1],
            num_detections=COUNTS[index : index + 1],
        )
        for index in range(3)
    ]

    assert together["text"] == [*texts[:3], "", texts[3], *[""] * 7]
    assert np.ravel(together["score"]) == pytest.approx(
        [*scores[:3], 0, scores[3], *[0] * 7], abs=1e-4
    )
    assert [text for answer in alone for text in answer["text"]] == together["text"]
    assert np.ravel([answer["score"] for answer in alone]) == pytest.approx(
        np.ravel(together["score"]), abs=1e-4
    )


async def test_of_an_image_without_boxes_all_is_read(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    path = checkpoint("trocr")
    runtime = await serve("plate-reading", path, locator=None, max_new_tokens=12)

    answer = await ask(runtime, image=FILES[:2])

    expected = read(path, IMAGES[:2])
    assert answer["text"] == [reading.text for reading in expected]
    assert answer["score"] == pytest.approx(
        [reading.score if reading.text else 0 for reading in expected], abs=1e-4
    )


async def test_the_best_plate_in_each_box_is_read(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    path, plates = checkpoint("trocr"), checkpoint("plates")
    runtime = await serve(
        "plate-reading", path, locator=plates, locator_threshold=0.05, max_new_tokens=12
    )
    placement = Placement(torch.device("cpu"), torch.float32, compile=False)
    locator = load_detector(plates, placement, threshold=0.05, max_batch_size=1)
    pictures = []
    for box in np.clip(BOXES[0, :3], 0, [160, 120, 160, 120]):
        left, top = int(box[0]), int(box[1])
        with torch.inference_mode():
            (found,) = locator([locator.prepare(crop(IMAGES[0], box))])
        pictures.append(crop(IMAGES[0], found.boxes[0] + [left, top, left, top]))
    expected = read(path, pictures)

    answer = await ask(runtime, image=FILES, boxes=BOXES, num_detections=COUNTS)

    assert answer["text"][:4] == [*(reading.text for reading in expected), ""]
    assert answer["text"][5:] == [""] * 7


@pytest.mark.parametrize("form", [dict, json.dumps])
async def test_each_variant_may_have_a_locator_of_its_own(
    form: Callable[[dict[str, str]], Any], checkpoint: Callable[[str], str], serve: Serve
) -> None:
    found = []
    for locators in ({"test": checkpoint("plates"), "*": "./nowhere"}, {"other": "./nowhere"}):
        runtime: Any = await serve("plate-reading", checkpoint("trocr"), locator=form(locators))
        found.append(runtime.model.locator is not None)

    assert found == [True, False]


async def test_where_no_plate_is_found_nothing_is_read(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve(
        "plate-reading", checkpoint("trocr"), locator=checkpoint("plates"), locator_threshold=0.999
    )

    answer = await ask(runtime, image=FILES, boxes=BOXES, num_detections=COUNTS)

    assert answer["text"] == [""] * 12
    assert not np.any(answer["score"])


class Noting:
    """A reader that notes the pictures, and reads each one's width off it."""

    def __init__(self) -> None:
        self.pictures: list[Pixels] = []

    def __call__(self, pictures: Sequence[Pixels]) -> list[Reading]:
        self.pictures += pictures
        return [Reading(f"w{picture.shape[1]}", 0.5, 0.5) for picture in pictures]


async def noted(
    runtime: Any,
    ask: Ask,
    labels: Sequence[str],
    found: dict[tuple[int, int], Sequence[Found]],
) -> tuple[dict[str, list[Any]], list[Pixels], KnownDetector]:
    """What is answered of `BOXES`, and read, if the locator finds this in crops of these sizes."""
    assert isinstance(runtime, PlateReading)
    locator, reader = KnownDetector(labels, found, max_batch_size=2), Noting()
    assert runtime.model.locator is not None
    runtime.model = Readers(replace(runtime.model.locator, detector=locator), reader)
    answer = await ask(runtime, image=FILES, boxes=BOXES, num_detections=COUNTS)
    return answer, reader.pictures, locator


async def test_plates_are_cut_out_of_the_image_with_a_margin(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    # The crops (height, width) begin at (10, 20), (0, 0), (0, 100) and (30, 3).
    found = {
        (50, 80): [(0, 0.9, (20, 10, 40, 20)), (0, 0.8, (0, 0, 9, 9))],
        (120, 160): [],
        (20, 61): [(0, 0.9, (1, 8, 61, 20))],
        (90, 120): [(0, 0.6, (10, 10, 50, 20))],
    }
    runtime = await serve(
        "plate-reading",
        checkpoint("trocr"),
        locator=checkpoint("plates"),
        margin=0.1,
        upper_case=True,
    )

    answer, pictures, locator = await noted(runtime, ask, ["plate"], found)

    # The margin reaches beyond a box, but not beyond the image.
    assert answer["text"] == ["W24", "", "W67", "", "W48", *[""] * 7]
    assert answer["score"] == [[0.5, 0, 0.5, 0], [0.5, 0, 0, 0], [0, 0, 0, 0]]
    expected = [IMAGES[0][29:41, 28:52], IMAGES[0][106:120, 0:67], IMAGES[1][12:24, 36:84]]
    # Items run together in any order.
    assert len(pictures) == 3
    for wanted in expected:
        assert any(np.array_equal(picture, wanted) for picture in pictures)
    assert sorted(size for call in locator.calls for size in call) == sorted(found)


@pytest.mark.parametrize("locator", [None, "plates"])
async def test_of_a_large_image_only_the_boxes_wait(
    locator: str | None, checkpoint: Callable[[str], str], serve: Serve
) -> None:
    runtime = await serve(
        "plate-reading", checkpoint("trocr"), locator=locator and checkpoint(locator), margin=0.5
    )
    picture = pattern(2000, 1500)
    boxes = np.array([[0, 0, 100, 80], [10.5, 20.5, 90.2, 70.1], [1900, 1400, 2000, 1500]])
    item = {"image": encoded(picture), "boxes": boxes, "num_detections": np.array([3])}

    prepared = runtime.prepare(item)

    windows = prepared.windows
    assert decode_memory().held == 0
    assert decode_memory().kept == sum(window.pixels.nbytes for window in windows)
    assert sum(window.pixels.size for window in windows) < picture.size / 20
    for window, box in zip(windows, boxes, strict=True):
        np.testing.assert_array_equal(
            window.crop(box.astype(np.float32)), crop(picture, box.astype(np.float32))
        )
    if locator is not None:
        wide = np.array([1850.3, 1350.7, 2000, 1500], np.float32)
        np.testing.assert_array_equal(windows[2].crop(wide), crop(picture, wide))


async def test_an_image_of_large_boxes_waits_once(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    runtime = await serve("plate-reading", checkpoint("trocr"), locator=None)
    boxes = np.array([[0, 0, 100, 80]] * 2)
    item = {"image": encoded(pattern(100, 80)), "boxes": boxes, "num_detections": np.array([2])}

    prepared = runtime.prepare(item)

    first, second = (window.pixels for window in prepared.windows)
    assert np.shares_memory(first, second)
    assert decode_memory().kept == 100 * 80 * 3
    del prepared, first, second
    assert decode_memory().kept == 0


async def test_only_the_labels_of_plates_count(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    found = {(50, 80): [(1, 0.9, (0, 0, 9, 9)), (4, 0.6, (0, 0, 7, 7))]}
    runtime = await serve(
        "plate-reading",
        checkpoint("trocr"),
        locator=checkpoint("yolos"),
        locator_labels='["dog", "bus"]',
    )
    assert isinstance(runtime, PlateReading)

    answer, _, _ = await noted(runtime, ask, OBJECTS, found)

    assert runtime.model.locator is not None
    assert runtime.model.locator.plates == [2, 4]
    assert answer["text"] == ["w7", *[""] * 11]


async def test_in_a_box_too_narrow_for_the_locator_there_is_no_plate(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve(
        "plate-reading", checkpoint("trocr"), locator=checkpoint("plates"), locator_threshold=0.01
    )
    runtime.model = replace(runtime.model, reader=Noting())
    boxes = np.array([[[0, 5, 4000, 5.5], [10, 5, 90, 75]]], np.float32)

    answer = await ask(
        runtime, image=[encoded(pattern(4000, 90))], boxes=boxes, num_detections=np.array([[2]])
    )

    assert answer["text"][0] == ""
    assert answer["text"][1].startswith("w")
    assert answer["score"] == [[0, 0.5]]


async def test_a_network_call_has_at_most_max_crops(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = await serve("plate-reading", checkpoint("trocr"), locator=None, max_crops=3)
    assert isinstance(runtime, PlateReading)
    run, calls = runtime.model.reader._read, []

    def noting(batch: torch.Tensor) -> list[Reading]:
        calls.append(len(batch))
        return run(batch)

    monkeypatch.setattr(runtime.model.reader, "_read", noting)
    await ask(runtime, image=FILES, boxes=BOXES, num_detections=COUNTS)

    assert calls == [3, 1]


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("box", "count", "text"),
    [
        ([NAN, 0, 9, 9], 2, "tensor 'boxes': box 1 is [nan, 0.0, 9.0, 9.0] in an image of 200x96"),
        ([0, 0, INF, 9], 2, "tensor 'boxes': box 1 is [0.0, 0.0, inf, 9.0]"),
        ([9, 0, 9, 9], 2, "tensor 'boxes': box 1 is"),
        ([9, 9, 3, 20], 2, "tensor 'boxes': box 1 is"),
        ([200, 9, 230, 20], 2, "tensor 'boxes': box 1 is"),
        ([-9, -9, 0, 20], 2, "tensor 'boxes': box 1 is"),
        ([1, 1, 9, 9], 5, "tensor 'num_detections': 5; accepted: 0 to 4"),
        ([1, 1, 9, 9], -1, "tensor 'num_detections': -1; accepted: 0 to 4"),
    ],
)
async def test_a_bad_box_is_the_callers_fault(
    box: list[float],
    count: int,
    text: str,
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
) -> None:
    runtime = await serve("plate-reading", checkpoint("trocr"), locator=None)
    boxes, counts = BOXES.copy(), COUNTS.copy()
    boxes[1, 1], counts[1] = box, count

    with pytest.raises(InvalidInput) as caught:
        await ask(runtime, image=FILES, boxes=boxes, num_detections=counts)

    assert caught.value.status_code == 400
    assert text in str(caught.value)
    assert "item 1" in str(caught.value)


async def test_boxes_past_the_count_are_not_looked_at(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("plate-reading", checkpoint("trocr"), locator=None)
    boxes = BOXES.copy()
    boxes[0, 3], boxes[2] = NAN, INF

    answer = await ask(runtime, image=FILES, boxes=boxes, num_detections=COUNTS)

    assert answer["text"][3] == ""


async def test_boxes_come_with_their_number(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("plate-reading", checkpoint("trocr"), locator=None)

    with pytest.raises(InvalidInput, match="only 'boxes' came; accepted: both, or neither"):
        await ask(runtime, image=FILES, boxes=BOXES)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"locator": "./nowhere"},
            "setting 'locator': checkpoint './nowhere': there is no such folder; accepted: a",
        ),
        ({"locator": "torchvision/alexnet"}, "torchvision has no detector 'alexnet'"),
        (
            {"locator": "PLATES", "locator_labels": ["plate", "number"]},
            "setting 'locator_labels': the locator has no label number; accepted: plate",
        ),
        (
            {"locator": None, "max_new_tokens": 41},
            "setting 'max_new_tokens' = 41: the checkpoint's decoder has 40 positions",
        ),
        ({"locator": None, "margin": 1.5}, "setting 'margin' = 1.5"),
        ({"locator": None, "groups": {}}, "unknown setting 'groups'"),
    ],
)
async def test_a_setting_that_does_not_fit_fails_at_load(
    settings: dict[str, Any], text: str, checkpoint: Callable[[str], str], serve: Serve
) -> None:
    if settings.get("locator") == "PLATES":
        settings = settings | {"locator": checkpoint("plates")}
    with pytest.raises(ConfigurationError) as caught:
        await serve("plate-reading", checkpoint("trocr"), **settings)

    assert text in str(caught.value)
