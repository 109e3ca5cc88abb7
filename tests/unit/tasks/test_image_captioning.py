"""Image captioning: whole images, boxes, batches whose answers never mix, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.tasks.image_captioning import ImageCaptioning
from infergraph.tasks.vision.boxes import crop, widened
from infergraph.tensors.decode_memory import decode_memory
from tests.pictures import encoded, pattern

from .conftest import Ask, Serve
from .picture_references import read

SIZES = [(160, 120), (200, 96), (160, 120)]
IMAGES = [pattern(*size, seed=seed) for seed, size in enumerate(SIZES)]
FILES = [encoded(image) for image in IMAGES]
# Of the first image three, of the second one, of the third none.
BOXES = np.zeros((3, 4, 4), np.float32)
BOXES[0, :3] = [[10.4, 20.6, 90, 70], [0, 0, 160, 120], [-20, 80.5, 60.2, 500]]
BOXES[1, 0] = [30, 3, 150, 93]
COUNTS = np.array([[3], [1], [0]])
OUTSIDE = np.array([0, 300, 0], np.float32)[:, None, None]
MODEL = "image-captioning"


async def test_whole_images_of_requests_that_run_together(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    path = checkpoint("vit-gpt2")
    runtime = await serve(MODEL, path, max_new_tokens=12)
    expected = read(path, IMAGES)
    assert len({reading.text for reading in expected}) > 1

    alone = [await ask(runtime, image=[file]) for file in FILES]
    together = await asyncio.gather(*(ask(runtime, image=FILES[-n:]) for n in (1, 2, 3, 3, 2, 1)))

    for index, reading in enumerate(expected):
        assert alone[index]["text"] == [reading.text]
        assert alone[index]["score"] == pytest.approx([reading.probability], abs=1e-4)
    for count, answer in zip((1, 2, 3, 3, 2, 1), together, strict=True):
        wanted = expected[-count:]
        assert answer["text"] == [reading.text for reading in wanted]
        assert answer["score"] == pytest.approx([each.probability for each in wanted], abs=1e-4)


@pytest.mark.parametrize("margin", [0.0, 0.5])
async def test_each_box_is_described(
    margin: float, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    path = checkpoint("blip")
    runtime = await serve(MODEL, path, max_new_tokens=12, margin=margin, max_crops=3)
    boxes = [*np.clip(BOXES[0, :3], 0, [160, 120, 160, 120]), BOXES[1, 0]]
    images = [IMAGES[0]] * 3 + [IMAGES[1]]
    expected = read(
        path,
        [
            crop(image, widened(box, margin, *image.shape[:2]))
            for image, box in zip(images, boxes, strict=True)
        ],
    )

    answer = await ask(runtime, image=FILES, boxes=BOXES, num_detections=COUNTS)

    texts = [reading.text for reading in expected]
    assert len(set(texts)) > 1
    assert answer["text"] == [*texts[:3], "", texts[3], *[""] * 7]
    scores = [reading.probability for reading in expected]
    assert np.ravel(answer["score"]) == pytest.approx(
        [*scores[:3], 0, scores[3], *[0] * 7], abs=1e-4
    )


async def test_what_waits_is_the_boxes_and_is_freed(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    runtime = await serve(MODEL, checkpoint("captioner"))
    assert isinstance(runtime, ImageCaptioning)
    item = {"image": FILES[1], "boxes": BOXES[1], "num_detections": COUNTS[1]}

    prepared = runtime.prepare(item)

    assert [part.shape for part in prepared.parts] == [(90, 120, 3)]
    assert decode_memory().kept == 90 * 120 * 3
    del prepared
    assert decode_memory().kept == 0


async def test_an_image_in_which_nothing_was_found_has_an_answer(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve(MODEL, checkpoint("captioner"))

    answer = await ask(
        runtime,
        image=FILES[:1],
        boxes=np.zeros((1, 4, 4), np.float32),
        num_detections=np.array([[0]]),
    )

    assert answer == {"text": [""] * 4, "score": [[0, 0, 0, 0]]}


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ({"boxes": BOXES}, "only 'boxes' came; accepted: both, or neither"),
        ({"num_detections": COUNTS}, "only 'num_detections' came; accepted: both, or neither"),
        (
            {"boxes": BOXES, "num_detections": np.array([[6], [1], [0]])},
            "item 0: tensor 'num_detections': 6; accepted: 0 to 4, the rows of tensor 'boxes'",
        ),
        (
            {"boxes": BOXES + OUTSIDE, "num_detections": COUNTS},
            "item 1: tensor 'boxes': box 0 is [330.0",
        ),
    ],
)
async def test_bad_boxes_are_the_callers_fault(
    tensors: dict[str, Any], text: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve(MODEL, checkpoint("captioner"))

    with pytest.raises(InvalidInput) as caught:
        await ask(runtime, image=FILES, **tensors)

    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("family", "settings", "text"),
    [
        ("yolos", {}, "the architecture 'yolos' does not write texts of pictures; accepted: vis"),
        ("git", {"max_new_tokens": 41}, "setting 'max_new_tokens' = 41: the checkpoint's decoder"),
        ("captioner", {"margin": 1.5}, "setting 'margin' = 1.5"),
        ("captioner", {"num_beams": 4}, "unknown setting 'num_beams'"),
    ],
)
async def test_a_setting_that_does_not_fit_fails_at_load(
    family: str,
    settings: dict[str, Any],
    text: str,
    checkpoint: Callable[[str], str],
    serve: Serve,
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await serve(MODEL, checkpoint(family), **settings)

    assert text in str(caught.value)
