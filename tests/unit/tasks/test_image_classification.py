"""Every family of the variants runs through the same runtime, on small random checkpoints."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ViTImageProcessor, pipeline

from infergraph.devices import Placement
from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.request import RequestContext
from infergraph.runtime import Runtime
from infergraph.tasks.image_classification import ImageClassification
from infergraph.tasks.vision.boxes import crop
from infergraph.tasks.vision.transform import load_transform
from infergraph.tensors import image
from infergraph.tensors.image_headers import ImageHeader
from infergraph.v2 import Message, Tensor
from tests.checkpoints import images
from tests.checkpoints.images import KINDS
from tests.exhaustive import one_in
from tests.pictures import Pixels, pattern, pattern_file

from .conftest import Ask, Serve
from .image_references import (
    FAMILIES,
    TRANSFORMERS,
    reference_logits,
    reference_pixels,
)

SIZES = [(90, 70), (33, 150), (64, 64), (40, 40), (120, 50)]
PICTURES = [pattern(*size, seed=seed) for seed, size in enumerate(SIZES)]
FILES = [pattern_file(*size, seed=seed) for seed, size in enumerate(SIZES)]
PLACEMENT = Placement(torch.device("cpu"), torch.float32, False)

IMAGE = {"name": "image", "datatype": "BYTES", "shape": [-1, 1]}
PIXELS = {"name": "pixels", "datatype": "FP32", "shape": [-1, 3, -1, -1]}
BOXES = {"name": "boxes", "datatype": "FP32", "shape": [-1, -1, 4]}
COUNT = {"name": "num_detections", "datatype": "INT64", "shape": [-1, 1]}
LABEL = {"name": "label", "datatype": "BYTES", "shape": [-1, -1]}
SCORE = {"name": "score", "datatype": "FP32", "shape": [-1, -1]}


def reference(folder: str, pictures: list[Pixels]) -> torch.Tensor:
    """Logits [pictures, labels] of the library itself.

    Of its own pixels, where they are equal bit for bit; else of ours, which test_image_transform
    compares with its own.
    """
    if Path(folder, "preprocessor_config.json").exists():
        pixels = [reference_pixels(folder, picture) for picture in pictures]
    else:
        transform = load_transform(folder)
        pixels = [transform(picture)[None] for picture in pictures]
    return reference_logits(folder, torch.cat(pixels))


@pytest.mark.parametrize("family", one_in(2, FAMILIES))
async def test_labels_and_scores_are_the_librarys_own(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint(family)
    runtime = await serve("alexnet", folder, max_batch_size=3)
    expected = reference(folder, PICTURES)

    together = await ask(runtime, image=FILES)
    alone = [await ask(runtime, image=[file]) for file in FILES]

    probabilities = torch.tensor(together["probabilities"])
    torch.testing.assert_close(probabilities, expected.softmax(dim=-1), atol=1e-4, rtol=1e-3)
    assert together["label"] == [KINDS[label] for label in expected.argmax(dim=-1).tolist()]
    assert probabilities.std(dim=0).max() > 0.01
    assert together["score"] == pytest.approx(probabilities.max(dim=-1).values.tolist())
    assert [each["label"][0] for each in alone] == together["label"]
    np.testing.assert_allclose(
        [each["probabilities"][0] for each in alone], together["probabilities"], atol=1e-4
    )


@pytest.mark.parametrize("family", TRANSFORMERS)
async def test_answers_are_those_of_transformers_pipeline(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint(family)
    runtime = await serve("alexnet", folder)
    classify = pipeline("image-classification", model=folder, device="cpu")

    answer = await ask(runtime, image=FILES)

    for row, picture in zip(answer["probabilities"], PICTURES, strict=True):
        theirs = {each["label"]: each["score"] for each in classify(Image.fromarray(picture))}
        assert dict(zip(KINDS, row, strict=True)) == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("family", ["vit", "convnext", "timm-resnet", "torchvision-resnet"])
async def test_pixels_of_the_preprocessor_give_the_answers_of_the_image(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint(family)
    runtime = await serve("alexnet", folder)
    preprocessor = await serve("image-preprocess", folder)
    pixels = np.array((await ask(preprocessor, image=FILES))["pixels"], np.float32)

    answer = await ask(runtime, pixels=pixels)

    expected = await ask(runtime, image=FILES)
    assert answer["label"] == expected["label"]
    np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=1e-5)


async def test_large_jpegs_are_decoded_smaller_where_that_is_set(
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scales: list[int] = []
    decode = image._decoded

    def noting(header: ImageHeader, scale: int) -> Pixels:
        scales.append(scale)
        return decode(header, scale)

    monkeypatch.setattr(image, "_decoded", noting)
    file = pattern_file(800, 640, format="JPEG", quality=95)
    boxes = np.array([[[0, 0, 800, 640]]], np.float32)
    inputs: dict[str, Any] = {"boxes": boxes, "num_detections": np.array([[1]], np.int64)}

    answers = []
    for jpeg_draft in (False, True):
        runtime = await serve("resnet", checkpoint("timm-resnet"), jpeg_draft=jpeg_draft)
        answers.append(await ask(runtime, image=[file]))
        await ask(runtime, image=[file], **inputs)

    assert scales[:2] == [1, 1]
    assert scales[2] > 1
    # Boxes are in pixels of the whole image.
    assert scales[3] == 1
    assert answers[0]["label"] == answers[1]["label"]
    np.testing.assert_allclose(answers[0]["probabilities"], answers[1]["probabilities"], atol=0.02)


async def test_labels_that_do_not_exclude_each_other(
    tmp_path: Path, serve: Serve, ask: Ask
) -> None:
    folder = images.vit(tmp_path, problem_type="multi_label_classification")
    runtime = await serve("alexnet", folder)

    answer = await ask(runtime, image=FILES[:1])

    expected = reference(folder, PICTURES[:1])[0].sigmoid()
    assert answer["score"] == pytest.approx([float(expected.max())], abs=1e-5)
    np.testing.assert_allclose(answer["probabilities"], [expected.tolist()], atol=1e-5)


async def test_a_single_logit(tmp_path: Path, serve: Serve, ask: Ask) -> None:
    folder = images.vit(tmp_path, num_labels=1, id2label={0: "unsafe"})
    runtime = await serve("alexnet", folder)

    answer = await ask(runtime, image=FILES)

    expected = reference(folder, PICTURES)[:, 0].sigmoid().tolist()
    assert answer["label"] == ["unsafe"] * len(FILES)
    assert answer["score"] == pytest.approx(expected, abs=1e-5)


async def test_labels_are_renamed(checkpoint: Callable[[str], str], serve: Serve, ask: Ask) -> None:
    names = {"cat": "Katze", "dog": "Hund", "bird": "Vogel", "mouse": "of another variant"}
    plain = await serve("alexnet", checkpoint("vit"))
    renamed = await serve("alexnet", checkpoint("vit"), labels=names)

    before, after = await ask(plain, image=FILES), await ask(renamed, image=FILES)

    assert after["label"] == [names.get(label, label) for label in before["label"]]


async def test_a_threshold_parts_the_items(checkpoint: Callable[[str], str], serve: Serve) -> None:
    plain = await serve("alexnet", checkpoint("vit"))
    message = Message([Tensor.of_bytes("image", FILES)])
    whole = await plain.infer(message, RequestContext())
    scores = tensor(whole, "score").ravel()
    threshold = float(np.sort(scores)[2])
    runtime = await serve("resnet", checkpoint("vit"), threshold=threshold)

    answer = await runtime.infer(message, RequestContext())

    sure = np.flatnonzero(scores >= threshold)
    unsure = np.flatnonzero(scores < threshold)
    labels = tensor(whole, "label").ravel()
    assert (len(sure), len(unsure)) == (3, 2)
    assert tensor(answer, "accepted").ravel().tolist() == labels[sure].tolist()
    np.testing.assert_allclose(tensor(answer, "accepted_score").ravel(), scores[sure], rtol=1e-5)
    assert tensor(answer, "accepted_item").ravel().tolist() == sure.tolist()
    assert tensor(answer, "escalate").ravel().tolist() == labels[unsure].tolist()
    assert tensor(answer, "escalate_item").ravel().tolist() == unsure.tolist()


def tensor(message: Message, name: str) -> np.ndarray:
    found = message.get(name)
    assert found is not None
    return found.data


@pytest.mark.parametrize(("threshold", "given"), [(0, "accepted"), (1, "escalate")])
async def test_an_item_is_accepted_or_escalated(
    threshold: float, given: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("resnet", checkpoint("vit"), threshold=threshold)

    answer = await ask(runtime, image=FILES[:1])

    accepted = {"accepted", "accepted_score"} if given == "accepted" else {"escalate"}
    assert answer.keys() == {"label", "score", "probabilities", *accepted}
    assert answer[given] == answer["label"]


@pytest.mark.parametrize("family", ["vit", "resnet", "timm-resnet", "torchvision-resnet"])
async def test_boxes_are_classified_like_images_of_them(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("alexnet", checkpoint(family), max_crops=2)
    boxes = np.zeros((2, 3, 4), np.float32)
    boxes[0] = [[0, 0, 90, 70], [10.4, 20.6, 60, 69], [85, 60, 200, 200]]
    boxes[1, 0] = [5, 5, 6, 150]
    counts = np.array([[3], [1]], np.int64)

    answer = await ask(runtime, image=FILES[:2], boxes=boxes, num_detections=counts)

    parts = [crop(PICTURES[0], box.clip(0, [90, 70, 90, 70])) for box in boxes[0]]
    parts.append(crop(PICTURES[1], boxes[1, 0].clip(0, [33, 150, 33, 150])))
    assert [part.shape[:2] for part in parts] == [(70, 90), (49, 50), (10, 5), (145, 1)]
    labels, scores = await alone(runtime, parts)
    assert answer.keys() == {"label", "score"}
    assert answer["label"] == [*labels, "", ""]
    np.testing.assert_allclose(np.ravel(answer["score"]), [*scores, 0, 0], atol=1e-5)


async def alone(runtime: Runtime, parts: list[Pixels]) -> tuple[list[str], list[float]]:
    assert isinstance(runtime, ImageClassification)
    classifier = runtime.model.classifier
    labels, scores = [], []
    for part in parts:
        pixels = classifier.transform(np.ascontiguousarray(part))[None]
        with torch.inference_mode():
            probabilities = classifier.network(pixels)[0].softmax(dim=-1)
        labels.append(classifier.labels[int(probabilities.argmax())])
        scores.append(float(probabilities.max()))
    return labels, scores


async def test_so_many_boxes_run_together(
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
) -> None:
    runtime = await serve("alexnet", checkpoint("vit"), max_crops=4)
    assert isinstance(runtime, ImageClassification)
    network, sizes = runtime.model.classifier.network, []

    def noting(pixels: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixels))
        return network(pixels)

    classifier = replace(runtime.model.classifier, network=noting)
    runtime.model = replace(runtime.model, classifier=classifier)
    boxes = np.tile(np.array([0, 0, 9, 9], np.float32), (2, 5, 1))
    counts = np.array([[5], [4]], np.int64)
    await ask(runtime, image=FILES[:2], boxes=boxes, num_detections=counts)

    assert sizes == [4, 4, 1]


async def test_images_that_stay_of_unlike_size_do_not_share_a_batch(
    tmp_path: Path,
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
) -> None:
    folder = shutil.copytree(checkpoint("resnet"), tmp_path / "resnet")
    processor = ViTImageProcessor(do_resize=False)
    processor.save_pretrained(folder)
    runtime = await serve("alexnet", str(folder))
    assert isinstance(runtime, ImageClassification)
    network, shapes = runtime.model.classifier.network, []

    def noting(pixels: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(pixels.shape))
        return network(pixels)

    classifier = replace(runtime.model.classifier, network=noting)
    runtime.model = replace(runtime.model, classifier=classifier)
    files = [FILES[0], FILES[2], pattern_file(90, 70, seed=9)]
    together = await ask(runtime, image=files)

    assert sorted(shapes) == [(1, 3, 64, 64), (2, 3, 70, 90)]
    single = [(await ask(runtime, image=[file]))["score"][0] for file in files]
    assert together["score"] == pytest.approx(single, abs=1e-5)


@pytest.mark.parametrize("rows", [0, 2])
async def test_an_image_without_boxes(
    rows: int, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("alexnet", checkpoint("vit"))

    answer = await ask(
        runtime,
        image=FILES[:1],
        boxes=np.zeros((1, rows, 4), np.float32),
        num_detections=np.zeros((1, 1), np.int64),
    )

    assert answer == {"label": [""] * rows, "score": [[0.0] * rows]}


def one_box(*box: float, count: int = 1) -> dict[str, np.ndarray]:
    return {
        "boxes": np.array([[box]], np.float32),
        "num_detections": np.array([[count]], np.int64),
    }


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"image": [b"none"]}, "tensor 'image': not an image of a known format"),
        ({"image": [pattern_file(91, 70)]}, "91x70 pixels; accepted: at most 6300 pixels"),
        ({"image": FILES[:1], **one_box(0, 0, 0, 0)}, "tensor 'boxes': box 0 is [0.0, 0.0, 0.0,"),
        ({"image": FILES[:1], **one_box(90, 0, 99, 9)}, "in an image of 90x70 pixels"),
        ({"image": FILES[:1], **one_box(0, 0, 9, 9, count=2)}, "tensor 'num_detections': 2"),
        ({"pixels": np.zeros((1, 3, 31, 32), np.float32)}, "[3, 31, 32]; accepted: [3, 32, 32]"),
        ({"pixels": np.full((1, 3, 32, 32), np.nan, np.float32)}, "NaN or infinite"),
        (
            {"pixels": np.zeros((1, 3, 32, 32), np.float32), "image": FILES[:1]},
            "the tensors 'pixels', 'image' came; accepted: 'image', 'pixels', or 'image' with",
        ),
        (
            {"image": FILES[:1], "boxes": np.zeros((1, 0, 4), np.float32)},
            "the tensors 'image', 'boxes' came",
        ),
        (one_box(0, 0, 9, 9), "the tensors 'boxes', 'num_detections' came"),
    ],
)
async def test_a_bad_item_is_the_callers_fault(
    inputs: dict[str, Any],
    text: str,
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
) -> None:
    runtime = await serve("alexnet", checkpoint("vit"), max_image_pixels=6300)

    with pytest.raises(InvalidInput) as caught:
        await ask(runtime, **inputs)

    assert caught.value.status_code == 400
    assert text in str(caught.value)


OPTIONAL = {"optional_outputs": [], "optional_inputs": []}
TAKES_IMAGES = {"inputs": [IMAGE]}
ROUTE = {"name": "escalate", "datatype": "BYTES", "shape": [-1, 1]}
PROBABILITIES = {"name": "probabilities", "datatype": "FP32", "shape": [-1, 6]}


@pytest.mark.parametrize(
    ("declared", "settings", "text"),
    [
        ({"inputs": [BOXES, COUNT]}, {}, "declared inputs boxes, num_detections; accepted: 'im"),
        ({"inputs": [IMAGE, BOXES]}, {}, "declared inputs image, boxes; accepted: 'image', 'pix"),
        ({"inputs": [PIXELS, BOXES, COUNT]}, {}, "declared inputs pixels, boxes, num_detections"),
        ({"inputs": [IMAGE, PIXELS]}, {}, "declared input 'image' must be optional"),
        (
            {"inputs": [IMAGE, BOXES, COUNT]},
            {"optional_inputs": ["boxes"]},
            "of the declared inputs 'boxes' and 'num_detections' one is optional",
        ),
        ({"inputs": [{**IMAGE, "name": "photo"}]}, {}, "declared input photo BYTES [-1, 1] is no"),
        (
            {"inputs": [{**PIXELS, "datatype": "FP64"}]},
            {},
            "is none of the model's; its inputs: im",
        ),
        ({"outputs": [LABEL]}, {}, "output 'score' must be declared"),
        ({"outputs": [LABEL, SCORE]}, {"optional_outputs": ["score"]}, "output 'score' must be"),
        ({"outputs": [LABEL, SCORE, {**SCORE, "name": "logits"}]}, {}, "declared output logits"),
        ({"outputs": [LABEL, SCORE, ROUTE]}, {"threshold": 0.5}, "name it in the setting 'opt"),
        (
            {"outputs": [LABEL, SCORE, ROUTE]},
            {"optional_outputs": ["escalate"]},
            "declared outputs escalate: they need the setting 'threshold'",
        ),
        ({"outputs": [LABEL, SCORE]}, {"threshold": 0.5}, "'threshold' = 0.5: no output of acc"),
        ({"outputs": [LABEL, SCORE, PROBABILITIES]}, {}, "the checkpoint has 5 labels"),
        (
            {"inputs": [IMAGE, BOXES, COUNT], "outputs": [LABEL, SCORE, PROBABILITIES]},
            {},
            "declared output 'probabilities' is not in every answer",
        ),
        ({}, {"threshold": 1.5}, "less than or equal to 1"),
        ({}, {"max_crop": 3}, "did you mean 'max_crops'?"),
    ],
)
async def test_what_does_not_fit_fails_at_load(
    declared: dict[str, Any],
    settings: dict[str, Any],
    text: str,
    checkpoint: Callable[[str], str],
    serve: Serve,
) -> None:
    declared = {**TAKES_IMAGES, "outputs": [LABEL, SCORE], **declared}
    with pytest.raises(ConfigurationError) as caught:
        await serve("alexnet", checkpoint("vit"), declared=declared, **{**OPTIONAL, **settings})

    assert text in str(caught.value)


async def test_without_declarations_all_is_given(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    nothing: dict[str, Any] = {"inputs": [], "outputs": []}
    runtime = await serve("alexnet", checkpoint("vit"), declared=nothing, **OPTIONAL)

    assert (await ask(runtime, image=FILES[:1])).keys() == {"label", "score", "probabilities"}


async def test_half_precision(checkpoint: Callable[[str], str], serve: Serve, ask: Ask) -> None:
    for family in ("vit", "timm-resnet", "torchvision-resnet"):
        exact = await serve("alexnet", checkpoint(family))
        half = await serve("alexnet", checkpoint(family), dtype="bf16")

        expected, answer = await ask(exact, image=FILES), await ask(half, image=FILES)

        np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=0.15)
        assert answer["probabilities"] != expected["probabilities"]
