"""Object detection: the tensors of an answer, its groups, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from infergraph.devices import Placement
from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.request import RequestContext
from infergraph.tasks.object_detection import ObjectDetection
from infergraph.tasks.vision.detections import Detections
from infergraph.tasks.vision.detectors import load_detector
from infergraph.v2 import Message, Tensor
from tests.checkpoints import detectors
from tests.checkpoints.detectors import OBJECTS
from tests.pictures import encoded, pattern

from .conftest import Ask, Serve
from .known_detector import Found, KnownDetector

CAR, TRUCK, BUS, PERSON, DOG = range(5)
SIZES = [(160, 120), (200, 96), (160, 120), (96, 200), (80, 60)]
IMAGES = [pattern(*size, seed=seed) for seed, size in enumerate(SIZES)]
FILES = [encoded(image) for image in IMAGES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return detectors.compact_fcos(tmp_path_factory.mktemp("compact-fcos"))


def found_in(folder: str, threshold: float) -> list[Detections]:
    """What the detector finds in each image, alone."""
    placement = Placement(torch.device("cpu"), torch.float32, compile=False)
    detector = load_detector(folder, placement, threshold=threshold, max_batch_size=1)
    with torch.inference_mode():
        return [detector([detector.prepare(image)])[0] for image in IMAGES]


def knowing(runtime: Any, found: dict[tuple[int, int], Sequence[Found]]) -> None:
    """Lets the runtime find what is listed for images of a size, (height, width)."""
    assert isinstance(runtime, ObjectDetection)
    runtime.model = replace(runtime.model, detector=KnownDetector(OBJECTS, found))


async def test_an_answer_is_what_the_detector_found(folder: str, serve: Serve, ask: Ask) -> None:
    expected = found_in(folder, 0.4)
    # For some images fewer, for some more than there are.
    size = sorted(map(len, expected))[2]
    assert min(map(len, expected)) < size < max(map(len, expected))
    runtime = await serve("object-detection", folder, threshold=0.4, max_detections=size)

    together = await ask(runtime, image=FILES)
    alone = [await ask(runtime, image=[file]) for file in FILES]

    for index, found in enumerate(expected):
        count = min(len(found), size)
        assert together["num_found"][index] == len(found)
        assert together["num_detections"][index] == count
        for answer, row in ((together, index), (alone[index], 0)):
            boxes = np.array(answer["boxes"][row])
            assert boxes[:count] == pytest.approx(found.boxes[:count], abs=0.01)
            assert answer["scores"][row][:count] == pytest.approx(found.scores[:count], abs=1e-4)
            assert answer["classes"][row][:count] == found.classes[:count].tolist()
            assert not boxes[count:].any()
        labels = together["labels"][size * index : size * (index + 1)]
        assert labels[:count] == [OBJECTS[number] for number in found.classes[:count]]
        assert labels[count:] == [""] * (size - count)
        assert alone[index]["labels"] == labels


async def test_of_more_than_k_the_best_are_answered_and_all_are_counted(
    folder: str, serve: Serve, ask: Ask
) -> None:
    runtime = await serve("object-detection", folder, threshold=0.1, max_detections=3)
    counts = [len(found) for found in found_in(folder, 0.1)]
    assert min(counts) > 100

    answer = await ask(runtime, image=FILES)

    assert answer["num_found"] == counts
    assert answer["num_detections"] == [3] * len(FILES)
    assert all(scores == sorted(scores, reverse=True) for scores in answer["scores"])
    assert [scores[0] for scores in answer["scores"]] == pytest.approx(
        [found.scores.max() for found in found_in(folder, 0.1)], abs=1e-4
    )


async def test_none_one_and_many_in_one_batch(folder: str, serve: Serve, ask: Ask) -> None:
    runtime = await serve("object-detection", folder, max_detections=2)
    many = [
        (DOG, 0.6, (0, 0, 9, 9)),
        (CAR, 0.9, (1, 2, 30, 40)),
        (PERSON, 0.7, (5, 5, 8, 20)),
        (BUS, 0.8, (2, 2, 4, 4)),
    ]
    known = {(60, 80): [], (96, 200): [(PERSON, 0.7, (-4, 3, 20, 300))], (120, 160): many}
    knowing(runtime, known)

    answer = await ask(runtime, image=[FILES[4], FILES[1], FILES[0]])

    assert answer["num_detections"] == [0, 1, 2]
    assert answer["num_found"] == [0, 1, 4]
    assert answer["boxes"] == [
        [[0, 0, 0, 0], [0, 0, 0, 0]],
        [[0, 3, 20, 96], [0, 0, 0, 0]],
        [[1, 2, 30, 40], [2, 2, 4, 4]],
    ]
    assert np.array(answer["scores"]) == pytest.approx(np.array([[0, 0], [0.7, 0], [0.9, 0.8]]))
    assert answer["classes"] == [[-1, -1], [PERSON, -1], [CAR, BUS]]
    assert answer["labels"] == ["", "", "person", "", "car", "bus"]
    # The car and the bus; and the person, who is not among the two best.
    assert answer["vehicle_num_detections_item"] == [2]
    assert answer["vehicle_num_detections"] == [2]
    assert answer["vehicle_boxes"] == [[[1, 2, 30, 40], [2, 2, 4, 4]]]
    assert answer["vehicle_labels"] == ["car", "bus"]
    assert answer["person_boxes_item"] == answer["person_labels_item"] == [1, 2]
    assert answer["person_num_detections"] == [1, 1]
    assert answer["person_boxes"] == [
        [[0, 3, 20, 96], [0, 0, 0, 0]],
        [[5, 5, 8, 20], [0, 0, 0, 0]],
    ]
    assert np.array(answer["person_scores"]) == pytest.approx(np.array([[0.7, 0], [0.7, 0]]))
    assert answer["person_labels"] == ["person", "", "person", ""]


async def test_nothing_at_all(folder: str, serve: Serve, ask: Ask) -> None:
    runtime = await serve("object-detection", folder, max_detections=3)
    knowing(runtime, {})

    answer = await ask(runtime, image=FILES[:1])

    assert answer == {
        "num_detections": [0],
        "boxes": [[[0, 0, 0, 0]] * 3],
        "scores": [[0, 0, 0]],
        "classes": [[-1, -1, -1]],
        "labels": ["", "", ""],
        "num_found": [0],
    }


async def test_datatypes_are_those_declared(folder: str, serve: Serve) -> None:
    runtime = await serve("object-detection", folder, max_detections=1)
    knowing(runtime, {(120, 160): [(CAR, 0.9, (1, 2, 30, 40))]})

    answer = await runtime.infer(Message([Tensor.of_bytes("image", FILES[:1])]), RequestContext())

    assert {tensor.name: (tensor.datatype, tensor.shape) for tensor in answer.tensors} == {
        "num_detections": ("INT64", (1, 1)),
        "boxes": ("FP32", (1, 1, 4)),
        "scores": ("FP32", (1, 1)),
        "classes": ("INT64", (1, 1)),
        "labels": ("BYTES", (1, 1)),
        "num_found": ("INT64", (1, 1)),
        "vehicle_num_detections": ("INT64", (1, 1)),
        "vehicle_boxes": ("FP32", (1, 1, 4)),
        "vehicle_scores": ("FP32", (1, 1)),
        "vehicle_labels": ("BYTES", (1, 1)),
    }


async def test_boxes_are_of_the_image_as_shown(folder: str, serve: Serve, ask: Ask) -> None:
    runtime = await serve("object-detection", folder, threshold=0.3)
    file = encoded(IMAGES[0], "JPEG", exif=_turned())
    shown = np.asarray(
        Image.open(io.BytesIO(encoded(IMAGES[0], "JPEG"))).transpose(Image.Transpose.ROTATE_270)
    )

    turned, upright = await ask(runtime, image=[file]), await ask(runtime, image=[encoded(shown)])

    assert upright["num_found"][0] > 0
    assert turned["num_found"] == upright["num_found"]
    # Another JPEG decoder rounds some pixels in another way.
    assert np.array(turned["boxes"]) == pytest.approx(np.array(upright["boxes"]), abs=1)
    assert np.array(turned["boxes"])[..., 3].max() > IMAGES[0].shape[0]


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


async def test_labels_are_renamed_and_grouped_by_their_new_names(
    folder: str, serve: Serve, ask: Ask
) -> None:
    runtime = await serve(
        "object-detection",
        folder,
        labels={"car": "motor vehicle", "truck": "motor vehicle", "chair": "seat"},
        groups={"vehicle": ["motor vehicle"], "person": ["person", "dog"]},
    )
    found = [(TRUCK, 0.9, (0, 0, 9, 9)), (BUS, 0.8, (0, 0, 8, 8)), (DOG, 0.7, (0, 0, 7, 7))]
    knowing(runtime, {(120, 160): found})

    answer = await ask(runtime, image=FILES[:1])

    assert answer["labels"][:4] == ["motor vehicle", "bus", "dog", ""]
    assert answer["vehicle_labels"][:2] == ["motor vehicle", ""]
    assert answer["person_labels"][:2] == ["dog", ""]


async def test_outputs_that_nobody_declared_are_left_out(
    folder: str, serve: Serve, ask: Ask
) -> None:
    names = ["num_detections", "boxes", "scores", "classes", "labels"]
    names += ["person_boxes", "person_num_detections"]
    runtime = await serve(
        "object-detection",
        folder,
        declared={"outputs": [spec for spec in _declared() if spec["name"] in names]},
        groups={"person": ["person"]},
    )
    knowing(runtime, {(120, 160): [(PERSON, 0.9, (0, 0, 9, 9))]})

    answer = await ask(runtime, image=FILES[:1])

    assert sorted(answer) == sorted(names)


async def test_a_model_that_declares_no_outputs_gives_all(
    folder: str, serve: Serve, ask: Ask
) -> None:
    runtime = await serve("object-detection", folder, declared={"outputs": []})
    knowing(runtime, {(120, 160): [(PERSON, 0.9, (0, 0, 9, 9))]})

    answer = await ask(runtime, image=FILES[:1])

    assert answer["person_num_detections"] == answer["num_found"] == [1]
    assert not any(name.startswith("vehicle") for name in answer)


def _declared(**shapes: list[int]) -> list[dict[str, Any]]:
    """What model-settings/object-detection declares, with other shapes."""
    ones = {"datatype": "INT64", "shape": [-1, 1]}
    specs: dict[str, dict[str, Any]] = {"num_found": ones}
    for prefix in ("", "vehicle_", "person_"):
        specs |= {
            f"{prefix}num_detections": ones,
            f"{prefix}boxes": {"datatype": "FP32", "shape": [-1, -1, 4]},
            f"{prefix}scores": {"datatype": "FP32", "shape": [-1, -1]},
            f"{prefix}labels": {"datatype": "BYTES", "shape": [-1, -1]},
        }
    specs["classes"] = {"datatype": "INT64", "shape": [-1, -1]}
    for name, shape in shapes.items():
        specs[name] = specs[name] | {"shape": shape}
    return [{"name": name, **spec} for name, spec in specs.items()]


@pytest.mark.parametrize(
    ("settings", "outputs", "text"),
    [
        (
            {"groups": {"vehicle": ["car", "tram"]}},
            None,
            "group 'vehicle' has the unknown labels tram; the checkpoint's labels: car, truck, bus",
        ),
        ({"groups": {"vehicle": []}}, None, "group 'vehicle' has no labels"),
        (
            {"groups": {"vehicle": ["car"]}},
            None,
            "declared output 'person_num_detections' is none of the model's",
        ),
        (
            {"optional_outputs": []},
            None,
            "output 'vehicle_num_detections' of setting 'groups': not declared as an optional "
            "output; name it in 'outputs' (INT64, [-1, 1])",
        ),
        (
            {"max_detections": 8},
            _declared(boxes=[-1, 16, 4]),
            "declared output 'boxes FP32 [-1, 16, 4]': the model gives it as FP32 [-1, 8, 4]",
        ),
        (
            {},
            [spec for spec in _declared() if spec["name"] != "classes"],
            "output 'classes' is not declared; name it in 'outputs' (INT64, [-1, 16])",
        ),
        ({"threshold": 1}, None, "setting 'threshold' = 1"),
        ({"max_detections": 0}, None, "setting 'max_detections' = 0"),
        ({"variants": {"test": "torchvision/resnet18"}}, None, "torchvision has no detector"),
    ],
)
async def test_a_setting_that_does_not_fit_fails_at_load(
    settings: dict[str, Any],
    outputs: list[dict[str, Any]] | None,
    text: str,
    folder: str,
    serve: Serve,
) -> None:
    declared = {} if outputs is None else {"outputs": outputs}
    with pytest.raises(ConfigurationError) as caught:
        await serve("object-detection", folder, declared=declared, **settings)

    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (b"", "tensor 'image': no bytes; accepted: the bytes of a JPEG, PNG or WebP file"),
        (b"GIF89a" + bytes(40), "not an image of a known format"),
        (FILES[0][:200], "tensor 'image': a damaged image"),
        (encoded(pattern(200, 101)), "at most 20000 pixels in all (setting 'max_image_pixels')"),
        (encoded(pattern(4000, 1)), "4000x1 pixels, of which nothing is left at the network's"),
    ],
    ids=["nothing", "gif", "truncated", "large", "narrow"],
)
async def test_a_bad_image_is_the_callers_fault(
    image: bytes, text: str, folder: str, serve: Serve, ask: Ask
) -> None:
    runtime = await serve("object-detection", folder, max_image_pixels="20000")

    with pytest.raises(InvalidInput) as caught:
        await ask(runtime, image=[FILES[0], image])

    assert caught.value.status_code == 400
    assert text in str(caught.value)
    assert "item 1" in str(caught.value)


async def test_a_detector_of_transformers(tmp_path: Path, serve: Serve, ask: Ask) -> None:
    path = detectors.rt_detr(tmp_path)
    runtime = await serve("object-detection", path, threshold=0.3, max_detections=30)
    expected = found_in(path, 0.3)

    answer = await ask(runtime, image=FILES)

    assert answer["num_found"] == [len(found) for found in expected]
    for index, found in enumerate(expected):
        assert len(found) > 0
        boxes = np.array(answer["boxes"][index])[: len(found)]
        assert boxes == pytest.approx(found.boxes, abs=0.01)
