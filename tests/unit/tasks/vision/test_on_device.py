"""Images that are resized on the model's device are answered as those that are resized before.

The device is the CPU here: what is done there is the same for any that torch has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from infergraph import devices
from infergraph.devices import Placement
from infergraph.errors import ConfigurationError, InvalidInput, Overloaded, StageUnavailable
from infergraph.tasks.vision import on_device
from infergraph.tasks.vision.classifiers import load_classifier
from infergraph.tasks.vision.detectors import load_detector
from infergraph.tasks.vision.on_device import WHOLE, ResizeOptions, kept_parts, resized_on_device
from infergraph.tasks.vision.transform import ProcessorTransform, load_transform
from infergraph.tensors import decode_memory as memory
from infergraph.tensors.decode_memory import DecodeMemory
from tests.pictures import encoded, pattern
from zoo.scenes import scene

from ..conftest import MODEL_SETTINGS, Ask, Serve
from ..image_references import FAMILIES

CPU = torch.device("cpu")
PLACEMENT = Placement(CPU, torch.float32, False)
IMAGES = [
    pattern(90, 70),
    pattern(300, 220, seed=1),
    pattern(90, 70, seed=2),
    pattern(7, 5, seed=3),
    pattern(33, 150, seed=4),
    pattern(600, 21, seed=5),
]
STREETS = [np.array(scene(seed, "held-out").image) for seed in (3, 4, 5, 6)]
"""Of one size; smaller ones of them are made by leaving rows and columns out."""


def embedded(model: str) -> str:
    return str(MODEL_SETTINGS / model / "embedded")


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> DecodeMemory:
    """The process's budget of decoded memory, for this test alone: 4 MB, of which 2 may wait."""
    own = DecodeMemory(4_000_000)
    monkeypatch.setattr(on_device, "decode_memory", lambda: own)
    return own


@pytest.mark.parametrize("family", FAMILIES)
def test_pixels_are_those_of_the_cpu_to_a_level(
    family: str, checkpoint: Callable[[str], str]
) -> None:
    transform = load_transform(checkpoint(family))
    assert transform.anywhere
    taken = [np.ascontiguousarray(transform.taken(image)) for image in IMAGES]

    found = resized_on_device(taken, CPU, transform.on_device)

    for image, mine in zip(IMAGES, found, strict=True):
        wanted = transform(image)
        assert mine.shape[1:] == transform.shape(*transform.taken(image).shape[:2])
        # Torch resizes UINT8 on the CPU in two passes, and rounds after each: of some pixels of a
        # small image that adds up. A level is 1/255 of the range, divided by a deviation of 0.2.
        levels = (mine - wanted).abs() * 255 * 0.2
        assert levels.max() <= 5
        assert levels.mean() <= 0.5


@pytest.mark.parametrize("model", ["resnet", "alexnet", "inception", "content-safety"])
async def test_labels_are_those_of_the_cpu(model: str, serve: Serve, ask: Ask) -> None:
    files = [encoded(street) for street in STREETS] + [encoded(STREETS[0][::2, ::2])]
    wanted = await ask(await serve(model, embedded(model)), image=files)

    found = await ask(
        await serve(model, embedded(model), resize="device", max_batch_size=2), image=files
    )

    assert found["label"] == wanted["label"]
    assert found["score"] == pytest.approx(wanted["score"], abs=0.02)


async def test_boxes_are_labelled_as_on_the_cpu(serve: Serve, ask: Ask) -> None:
    boxes = [[4.5, 3, 90.2, 80], [40, 20, 44.5, 110], [0, 0, 160, 96], [60, 60, 120, 90]]
    asked: dict[str, Any] = {
        "image": [encoded(street) for street in STREETS[:2]],
        "boxes": np.array([boxes] * 2, np.float32),
        "num_detections": np.array([[4], [2]]),
    }
    wanted = await ask(
        await serve("vehicle-classification", embedded("vehicle-classification")), **asked
    )

    found = await ask(
        await serve("vehicle-classification", embedded("vehicle-classification"), resize="device"),
        **asked,
    )

    assert found["label"] == wanted["label"]
    np.testing.assert_allclose(found["score"], wanted["score"], atol=0.03)


async def test_objects_are_those_of_the_cpu(serve: Serve, ask: Ask) -> None:
    # Some of a size that is scaled down, one scaled up, one of which few pixels are looked at.
    large = np.kron(STREETS[0], np.ones((5, 5, 1), np.uint8))
    streets = [*STREETS[:3], STREETS[3][::2, ::2], large]
    files = [encoded(street) for street in streets]
    wanted = await ask(await serve("object-detection", embedded("object-detection")), image=files)

    found = await ask(
        await serve("object-detection", embedded("object-detection"), resize="device"), image=files
    )

    assert sum(wanted["num_detections"]) > 5
    for name in ("num_detections", "classes", "labels"):
        assert found[name] == wanted[name]
    np.testing.assert_allclose(found["boxes"], wanted["boxes"], atol=0.05)
    np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-3)


@pytest.mark.parametrize("family", ["yolos", "detr", "rt-detr", "compact-fcos"])
def test_detectors_of_other_kinds(family: str, checkpoint: Callable[[str], str]) -> None:
    before, after = (
        load_detector(
            checkpoint(family),
            PLACEMENT,
            threshold=0.0,
            max_batch_size=4,
            options=ResizeOptions(resize=where),
        )
        for where in ("cpu", "device")
    )
    assert (before.on_device, after.on_device) == (False, True)
    images = [pattern(160, 120, seed=1), pattern(160, 120, seed=2), pattern(80, 60, seed=3)]
    with torch.inference_mode():
        wanted, found = (
            each([each.prepare(image) for image in images]) for each in (before, after)
        )

    assert [after.prepare(each).shape for each in images] == [
        before.prepare(each).shape for each in images
    ]
    for mine, theirs in zip(found, wanted, strict=True):
        assert len(mine) == len(theirs) > 0
        np.testing.assert_allclose(mine.scores, theirs.scores, atol=5e-3)


def test_images_are_copied_together_by_size_and_within_a_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(on_device, "_MOST_PIXELS", 250)
    images = [np.full((size, 10, 3), size, np.uint8) for size in (10, 20, 10, 20, 10, 40, 40)]

    def resize(pixels: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(pixels.shape))
        return pixels.float().mean(dim=(1, 2, 3))

    found = resized_on_device(images, CPU, resize)

    assert [float(each) for each in found] == [10, 20, 10, 20, 10, 40, 40]
    # Two of 100 pixels, and one of 200 or more.
    assert seen == [
        *((2, 3, 10, 10), (1, 3, 10, 10)),
        *((1, 3, 20, 10), (1, 3, 20, 10)),
        *((1, 3, 40, 10), (1, 3, 40, 10)),
    ]


def test_what_waits_is_counted_until_it_is_freed(budget: DecodeMemory) -> None:
    image = pattern(500, 400)
    left, right = (slice(None), slice(0, 100)), (slice(10, 20), slice(None))

    parts = kept_parts(image, [left, right])
    assert budget.kept == 3 * (400 * 100 + 10 * 500)
    assert all(
        np.array_equal(part, image[place]) for part, place in zip(parts, [left, right], strict=True)
    )
    del parts
    assert budget.kept == 0

    # Together they are more than the image.
    parts = kept_parts(image, [WHOLE, WHOLE, left])
    assert budget.kept == image.nbytes
    assert not any(np.shares_memory(part, image) for part in parts)
    parts += kept_parts(image, [WHOLE]) + kept_parts(image, [WHOLE])
    with pytest.raises(Overloaded, match="500x400 pixels: 600000 bytes of it would wait"):
        kept_parts(image, [WHOLE])
    del parts
    assert budget.kept == 0


async def test_images_wait_as_they_came_and_no_longer_than_the_request(
    serve: Serve, ask: Ask
) -> None:
    runtime = await serve("resnet", embedded("resnet"), resize="device")
    before = memory.decode_memory().kept
    prepared: Any = runtime.prepare({"image": encoded(STREETS[0])})
    (piece,) = prepared.pieces

    assert np.array_equal(piece, STREETS[0])
    assert memory.decode_memory().kept == before + STREETS[0].nbytes
    del prepared, piece
    await ask(runtime, image=[encoded(STREETS[0])])
    # The model's thread lets go of its batch after it has answered, and before it does more.
    await asyncio.wrap_future(runtime._thread.submit(int))
    assert memory.decode_memory().kept == before


async def test_the_answers_of_a_batch_come_from_the_device_at_once(
    serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = await serve("resnet", embedded("resnet"), resize="device", max_batch_size=3)
    items = [runtime.prepare({"image": encoded(street)}) for street in [*STREETS, *STREETS]]
    copies: list[torch.Size] = []
    original = torch.Tensor.cpu

    def cpu(values: torch.Tensor) -> torch.Tensor:
        copies.append(values.shape)
        return original(values)

    monkeypatch.setattr(torch.Tensor, "cpu", cpu)
    answers = runtime.predict_batch(items, None)

    assert [shape[0] for shape in copies] == [8]
    labels = [each["label"] for each in answers if isinstance(each, dict)]
    assert labels[:4] == labels[4:]


@pytest.mark.parametrize("model", ["resnet", "object-detection"])
async def test_a_device_that_is_lost_while_images_are_copied(
    model: str, serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = await serve(model, embedded(model), resize="device")

    def fail(*_: Any) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(on_device, "gathered", fail)

    with pytest.raises(StageUnavailable, match="its device is lost to this server"):
        await ask(runtime, image=[encoded(STREETS[0])])
    monkeypatch.undo()
    with pytest.raises(StageUnavailable, match="its device is lost to this server"):
        await ask(runtime, image=[encoded(STREETS[0])])


async def test_an_image_of_which_nothing_is_left(
    checkpoint: Callable[[str], str], budget: DecodeMemory
) -> None:
    detector = load_detector(
        checkpoint("detr"),
        PLACEMENT,
        threshold=0.5,
        max_batch_size=1,
        options=ResizeOptions(resize="device"),
    )

    with pytest.raises(InvalidInput, match="1x4000 pixels, of which nothing is left"):
        detector.prepare(pattern(1, 4000))
    assert budget.kept == 0


@pytest.mark.parametrize(
    ("resize", "device", "can", "wanted"),
    [
        ("auto", "cpu", True, False),
        ("auto", "cuda", True, True),
        ("auto", "cuda", False, False),
        ("auto", "mps", True, False),
        ("cpu", "cuda", True, False),
        ("device", "cpu", True, True),
    ],
)
def test_where_images_are_resized(resize: Any, device: str, can: bool, wanted: bool) -> None:
    placement = Placement(torch.device(device), torch.float32, False)

    options = ResizeOptions(resize=resize)

    assert options.resizes_on_device(placement, can=can, checkpoint="x") is wanted


def test_a_processor_that_needs_the_cpu_is_refused_on_the_device(
    checkpoint: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ProcessorTransform.__init__

    def made_for_pil(self: ProcessorTransform, processor: Any) -> None:
        original(self, processor)
        self.anywhere = False

    monkeypatch.setattr(ProcessorTransform, "__init__", made_for_pil)
    folder = checkpoint("vit")

    with pytest.raises(ConfigurationError, match="'resize' = 'device': the image processor of"):
        load_classifier(folder, PLACEMENT, ResizeOptions(resize="device"))
    assert not load_classifier(folder, PLACEMENT, ResizeOptions()).on_device


def test_memory_that_cuda_copies_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[bool] = []
    empty = torch.empty

    def fake(*shape: Any, pin_memory: bool = False, **more: Any) -> torch.Tensor:
        pinned.append(pin_memory)
        return empty(*shape, **more)

    monkeypatch.setattr(torch, "empty", fake)
    for device in (None, CPU, torch.device("cuda:1")):
        assert devices.host_array((2, 3), device).shape == (2, 3)

    assert pinned == [True]


def test_copies_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[bool] = []
    copy = torch.Tensor.copy_

    def noting(self: torch.Tensor, values: torch.Tensor, non_blocking: bool = False) -> Any:
        waits.append(not non_blocking)
        return copy(self, values, non_blocking)

    monkeypatch.setattr(torch.Tensor, "copy_", noting)
    arrays = [np.full((2, 3), value, np.uint8) for value in (1, 2)]

    found = devices.gathered(arrays, CPU)

    assert found.tolist() == [[[1] * 3] * 2, [[2] * 3] * 2]
    assert waits == [False, False]
