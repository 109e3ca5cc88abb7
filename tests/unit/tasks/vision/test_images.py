"""Limits of a whole request, which hold before any of its images is decoded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from infergraph.errors import InvalidInput, Overloaded
from infergraph.tasks.vision import images as image_runtime
from infergraph.tensors import image
from infergraph.tensors.decode_memory import DecodeMemory, decode_memory
from infergraph.tensors.shared_media import sharing_media
from tests.pictures import Pixels, pattern_file

from ..conftest import Ask, Serve

FILES = [
    pattern_file(50, 40, seed=seed, format=format)
    for seed, format in enumerate(["PNG", "JPEG", "WEBP"])
]
TASKS = {
    "image-preprocess": "vit",
    "alexnet": "vit",
    "object-detection": "compact-fcos",
    "plate-reading": "trocr",
}
NOTHING_GROUPED = {
    "image-preprocess": {},
    "alexnet": {},
    "object-detection": {"groups": {}, "optional_outputs": []},
    "plate-reading": {"locator": None},
}


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files that were decoded, as they are."""
    files: list[bytes] = []
    decode = image_runtime.decode_image

    def noting(data: bytes, **options: Any) -> Pixels:
        files.append(data)
        return decode(data, **options)

    monkeypatch.setattr(image_runtime, "decode_image", noting)
    return files


async def served(task: str, checkpoint: Callable[[str], str], serve: Serve, **settings: Any) -> Any:
    # All outputs, whichever labels the checkpoint has.
    declared: dict[str, Any] = {"outputs": []} if task == "object-detection" else {}
    return await serve(
        task, checkpoint(TASKS[task]), declared=declared, **NOTHING_GROUPED[task], **settings
    )


@pytest.mark.parametrize("task", TASKS)
async def test_the_pixels_of_a_request_are_limited(
    task: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask, decoded: list[bytes]
) -> None:
    runtime = await served(task, checkpoint, serve, max_request_pixels=5999)

    await ask(runtime, image=FILES[:2])
    assert sorted(decoded) == sorted(FILES[:2])
    decoded.clear()
    with pytest.raises(InvalidInput) as caught:
        await ask(runtime, image=FILES)

    assert (
        "tensor 'image': 3 images of 6000 pixels together; accepted: at most 5999 in a request "
        "(setting 'max_request_pixels')"
    ) in str(caught.value)
    assert decoded == []


async def test_an_image_that_is_too_large_by_itself_is_told_so(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    limits = {"max_image_pixels": 2000, "max_request_pixels": 4000}
    runtime = await served("image-preprocess", checkpoint, serve, **limits)

    with pytest.raises(InvalidInput, match=r"item 2: .* 100x80 pixels; .* 'max_image_pixels'"):
        await ask(runtime, image=[*FILES[:2], pattern_file(100, 80)])


@pytest.mark.parametrize("task", ["alexnet", "plate-reading"])
@pytest.mark.parametrize(
    ("counts", "text"),
    [
        (
            [5, 0, 0],
            "item 0: tensor 'num_detections': 5 boxes; accepted: at most 4 in an image "
            "(setting 'max_boxes')",
        ),
        ([0, 0, 2**40], "item 2: tensor 'num_detections': 1099511627776 boxes; accepted: at most"),
        (
            [4, 0, 3],
            "tensor 'num_detections': 7 boxes in 3 images; accepted: at most 6 in a request"
            " (setting 'max_request_boxes')",
        ),
    ],
)
async def test_boxes_are_limited(
    counts: list[int],
    text: str,
    task: str,
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
    decoded: list[bytes],
) -> None:
    runtime = await served(task, checkpoint, serve, max_boxes="4", max_request_boxes="6")
    boxes = np.tile(np.array([0, 0, 9, 9], np.float32), (3, 8, 1))

    async def send(counts: list[int]) -> None:
        await ask(
            runtime, image=FILES, boxes=boxes, num_detections=np.array(counts, np.int64)[:, None]
        )

    await send([4, 0, 2])
    decoded.clear()
    with pytest.raises(InvalidInput) as caught:
        await send(counts)

    assert text in str(caught.value)
    assert decoded == []


@pytest.mark.parametrize("task", TASKS)
async def test_an_image_leaves_the_budget_with_its_request(
    task: str,
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Room for one image at a time.
    memory = DecodeMemory(50_000)
    monkeypatch.setattr(image, "decode_memory", lambda: memory)
    runtime = await served(task, checkpoint, serve)

    for _ in range(2):
        await ask(runtime, image=FILES)

    assert memory.held == 0


async def test_models_of_a_pipeline_decode_an_image_once(
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    headers: list[Any] = []
    decode = image._decoded

    def noting(header: Any, scale: int) -> Pixels:
        headers.append(header)
        return decode(header, scale)

    monkeypatch.setattr(image, "_decoded", noting)
    runtimes = [await served(task, checkpoint, serve) for task in TASKS]
    alone = [await ask(runtime, image=FILES) for runtime in runtimes]
    assert len(headers) == len(TASKS) * len(FILES)
    headers.clear()

    with sharing_media():
        # At once, as steps that do not need each other's answers.
        together = await asyncio.gather(*(ask(runtime, image=FILES) for runtime in runtimes))

    assert len(headers) == len(FILES)
    for mine, shared in zip(alone, together, strict=True):
        assert mine.keys() == shared.keys()
        for name, values in mine.items():
            assert np.array_equal(values, shared[name]), name
    assert decode_memory().held == 0


async def test_too_little_memory_is_told_as_overload(
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = await served("alexnet", checkpoint, serve)
    monkeypatch.setattr(image, "_upright_rgb", lambda *_: np.empty(1 << 60, np.uint8))

    with pytest.raises(Overloaded, match="50x40 pixels: not enough memory to decode it now"):
        await ask(runtime, image=FILES[:1])

    assert decode_memory().held == 0
