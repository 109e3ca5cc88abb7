"""Detectors of every family find what their own library's code finds, alone and in a batch."""

from __future__ import annotations

import pickle
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from torchvision.models import get_model
from torchvision.models._api import WeightsEnum
from transformers import AutoImageProcessor, AutoModelForObjectDetection

from infergraph import download
from infergraph.devices import Placement
from infergraph.errors import ConfigurationError, InvalidInput, StageFailure
from infergraph.tasks.checkpoints import torchvision_checkpoint
from infergraph.tasks.vision.detections import Detections, Detector
from infergraph.tasks.vision.detectors import load_detector
from tests import checkpoints
from tests.checkpoints import detectors, images
from tests.checkpoints.detectors import OBJECTS
from tests.exhaustive import one_in
from tests.pictures import Pixels, pattern

from ..known_detector import KnownDetector

OF_TRANSFORMERS = [
    "yolos",
    "detr",
    "conditional-detr",
    "deformable-detr",
    "rt-detr",
    "rt-detr-v2",
    "d-fine",
]
PUBLISHED = [
    "ssdlite320_mobilenet_v3_large",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "retinanet_resnet50_fpn_v2",
]
# Two of one size, and some of other sizes: of these the third has the first's shape when scaled.
IMAGES = [
    pattern(160, 120, seed=1),
    pattern(160, 120, seed=2),
    pattern(80, 60, seed=3),
    pattern(200, 96, seed=4),
    pattern(96, 200, seed=5),
]
# So that the large networks of torchvision take little time.
SCALED = {"min_size": (96,), "max_size": 160}


def load(
    checkpoint: str,
    threshold: float = 0.0,
    max_batch_size: int = 4,
    dtype: torch.dtype = torch.float32,
) -> Detector:
    placement = Placement(torch.device("cpu"), dtype, compile=False)
    return load_detector(checkpoint, placement, threshold=threshold, max_batch_size=max_batch_size)


def detect(detector: Detector, images: Sequence[Pixels]) -> list[Detections]:
    with torch.inference_mode():
        return detector([detector.prepare(image) for image in images])


def channels_first(image: Pixels) -> torch.Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1).copy())


def by_transformers(folder: str) -> Callable[[Pixels, float], Mapping[str, torch.Tensor]]:
    """What the library's own code finds in one image, with a threshold."""
    processor = AutoImageProcessor.from_pretrained(folder)
    network = AutoModelForObjectDetection.from_pretrained(folder).eval()
    kind = type(processor).__name__
    # As many as there are queries; by default these two give a hundred.
    more = {"top_k": 24} if kind.startswith(("Deformable", "Conditional")) else {}

    def find(image: Pixels, threshold: float) -> Mapping[str, torch.Tensor]:
        with torch.inference_mode():
            outputs = network(**processor(images=channels_first(image), return_tensors="pt"))
        answer: Mapping[str, torch.Tensor] = processor.post_process_object_detection(
            outputs, threshold=threshold, target_sizes=torch.tensor([image.shape[:2]]), **more
        )[0]
        return answer

    return find


def by_torchvision(network: Any, image: Pixels) -> Mapping[str, torch.Tensor]:
    with torch.inference_mode():
        answer: Mapping[str, torch.Tensor] = network([channels_first(image) / 255])[0]
    return answer


def assert_found(
    found: Detections, expected: Mapping[str, torch.Tensor], image: Pixels, *, close: float = 1e-4
) -> None:
    """The same objects, and best first; those of all but equal scores may change places."""
    height, width = image.shape[:2]
    limits = torch.tensor([width, height, width, height])
    boxes = torch.minimum(expected["boxes"].clamp(min=0), limits)
    sound = (boxes[:, :2] < boxes[:, 2:]).all(dim=1)
    rows = torch.column_stack([boxes * close / 0.05, expected["scores"], expected["labels"] * 10])[
        sound
    ].numpy()
    assert len(found) == len(rows)
    assert (np.diff(found.scores) <= 0).all()
    left = list(rows)
    for box, score, number in zip(found.boxes, found.scores, found.classes, strict=True):
        row = np.array([*(box * close / 0.05), score, number * 10])
        distances = np.abs(np.array(left) - row).max(axis=1)
        best = int(distances.argmin())
        assert distances[best] <= close
        left.pop(best)


def between(scores: Sequence[float]) -> float:
    """A threshold with scores on both sides, and near none of them."""
    middle = sorted(scores)[len(scores) // 4 : -(len(scores) // 4)]
    gaps = np.diff(middle)
    widest = int(gaps.argmax())
    assert gaps[widest] > 1e-4
    return middle[widest] + float(gaps[widest]) / 2


@pytest.mark.parametrize("family", ["compact-fcos", "yolos"])
def test_a_large_image_waits_in_the_networks_size(
    family: str, checkpoint: Callable[[str], str]
) -> None:
    detector = load(checkpoint(family))
    large = pattern(1600, 1200)

    prepared = detector.prepare(large)

    kept = sum(values.untyped_storage().nbytes() for values in prepared.inputs.values())
    assert kept < large.nbytes / 2
    assert prepared.shape == detector.prepare(pattern(800, 600)).shape


def test_what_a_large_image_shows_is_found_as_by_torchvisions_own_code(
    checkpoint: Callable[[str], str],
) -> None:
    path = checkpoint("compact-fcos")
    network, _ = torchvision_checkpoint.load_network(path)
    detector = load(path)
    network.eval().score_thresh = 0.0
    network.detections_per_img = 10**6
    # Of this size an image waits as it is, or scaled.
    images = [IMAGES[0], pattern(1601, 1203), pattern(301, 2000)]
    kinds = [list(detector.prepare(image).inputs) for image in images]
    assert kinds == [["pixels"], ["scaled"], ["scaled"]]

    for found, image in zip(detect(detector, images), images, strict=True):
        assert_found(found, by_torchvision(network, image), image)


@pytest.mark.parametrize("family", one_in(2, OF_TRANSFORMERS))
def test_objects_are_those_of_transformers_own_code(
    family: str, checkpoint: Callable[[str], str]
) -> None:
    path = checkpoint(family)
    reference = by_transformers(path)
    scores = [score for image in IMAGES for score in reference(image, 0.0)["scores"].tolist()]
    threshold = between(scores)
    detector = load(path, threshold)

    together = detect(detector, IMAGES)

    for image, found in zip(IMAGES, together, strict=True):
        expected = reference(image, threshold)
        assert_found(found, expected, image)
        assert_found(detect(detector, [image])[0], expected, image)
    assert 0 < sum(len(found) for found in together) < len(scores)
    assert detector.labels == dict(enumerate(OBJECTS))


def test_objects_are_those_of_a_torchvision_network(checkpoint: Callable[[str], str]) -> None:
    path = checkpoint("compact-fcos")
    network, _ = torchvision_checkpoint.load_network(path)
    network.score_thresh, network.detections_per_img = 0.1, 10_000
    detector = load(path, 0.1)

    together = detect(detector, IMAGES)

    for image, found in zip(IMAGES, together, strict=True):
        expected = by_torchvision(network, image)
        # More than torchvision's own limit, of which nothing would be said.
        assert_found(found, expected, image)
        assert_found(detect(detector, [image])[0], expected, image)
    assert {number for found in together for number in found.classes.tolist()} == set(range(5))
    assert max(len(found) for found in together) > 100
    assert detector.labels == dict(enumerate(OBJECTS))


@pytest.mark.slow
@pytest.mark.parametrize("name", one_in(3, PUBLISHED))
def test_objects_are_those_of_a_published_network(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = detectors.torchvision_weights(name)
    options: list[dict[str, Any]] = []

    def downloaded(_: Any, **given: Any) -> Mapping[str, torch.Tensor]:
        options.append(given)
        return weights

    monkeypatch.setattr(download, "fetch_file", lambda *_: None)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", downloaded)
    prefix = "box_" if name.startswith("faster") else ""
    reference = get_model(
        name,
        weights=None,
        weights_backbone=None,
        num_classes=91,
        **{f"{prefix}score_thresh": 0.01, f"{prefix}detections_per_img": 10_000},
    ).eval()
    reference.load_state_dict(weights)
    _quicken(reference, reference.transform)
    found_alone = [by_torchvision(reference, image) for image in IMAGES]
    best = sorted(score for each in found_alone for score in each["scores"].tolist())[-80:]
    threshold = between(best)
    detector = load(f"torchvision/{name}", threshold)
    _quicken(detector._network, detector._transform)  # type: ignore[attr-defined]

    together = detect(detector, IMAGES)

    assert options[0]["weights_only"] is True
    assert options[0]["check_hash"] is True
    assert 20 <= sum(len(found) for found in together) <= 60
    for image, found, expected in zip(IMAGES, together, found_alone, strict=True):
        above = expected["scores"] > threshold
        assert_found(found, {name: values[above] for name, values in expected.items()}, image)
    assert detector.labels[1] == "person"
    assert detector.labels[3] == "car"


def _quicken(network: Any, transform: Any) -> None:
    """Lets a network of torchvision work at a smaller size, on fewer proposals."""
    for setting, value in SCALED.items():
        setattr(transform, setting, value)
    if hasattr(network, "rpn"):
        network.rpn._post_nms_top_n = {"training": 40, "testing": 40}


@pytest.mark.parametrize("family", ["yolos", "compact-fcos"])
def test_only_images_of_equal_shape_share_a_call(
    family: str, checkpoint: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = load(checkpoint(family), max_batch_size=2)
    run, calls = detector._detect, []

    def noting(batch: Sequence[Any]) -> Any:
        calls.append([(image.width, image.height) for image in batch])
        return run(batch)

    monkeypatch.setattr(detector, "_detect", noting)
    detect(detector, [*IMAGES, IMAGES[0]])

    assert calls == [
        [(160, 120), (160, 120)],
        [(80, 60), (160, 120)],
        [(200, 96)],
        [(96, 200)],
    ]


def test_as_many_objects_as_there_are_queries(tmp_path: Path) -> None:
    detector = load(detectors.deformable_detr(tmp_path, queries=130))

    assert len(detect(detector, IMAGES[:1])[0]) == 130


def test_boxes_are_within_the_image_best_first_and_never_empty() -> None:
    image = pattern(40, 30)
    detector = KnownDetector(
        ["a", "b"],
        {
            (30, 40): [
                (1, 0.6, (-3, -2, 10, 12)),
                (0, 0.9, (30, 20, 45, 33)),
                (0, 0.8, (5, 5, 5, 9)),
                (1, 0.7, (41, 3, 60, 9)),
                (0, 0.65, (9, 9, 3, 20)),
                (1, 0.6, (1, 1, 2, 2)),
            ]
        },
    )

    (found,) = detect(detector, [image])

    assert found.boxes.tolist() == [[30, 20, 40, 30], [0, 0, 10, 12], [1, 1, 2, 2]]
    assert found.scores == pytest.approx([0.9, 0.6, 0.6])
    assert found.classes.tolist() == [0, 1, 1]
    assert [each.dtype for each in (found.boxes, found.scores, found.classes)] == [
        np.float32,
        np.float32,
        np.int64,
    ]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["yolos", "detr", "conditional-detr", "compact-fcos"])
def test_half_precision_finds_the_same(
    family: str, dtype: torch.dtype, checkpoint: Callable[[str], str]
) -> None:
    exact = detect(load(checkpoint(family)), IMAGES)
    halves = detect(load(checkpoint(family), dtype=dtype), IMAGES)

    found_again = 0
    for image, best, found in zip(IMAGES, exact, halves, strict=True):
        size = max(image.shape)
        assert len(found) == pytest.approx(len(best), rel=0.1)
        for box, score, number in zip(
            best.boxes[:4], best.scores[:4], best.classes[:4], strict=True
        ):
            near = (
                (np.abs(found.boxes - box).max(axis=1) < 0.03 * size)
                & (np.abs(found.scores - score) < 0.05)
                & (found.classes == number)
            )
            found_again += int(near.any())
    # Random networks are less sure than trained ones, and some boxes suppress others.
    assert found_again >= 0.75 * 4 * len(IMAGES)


def test_what_is_no_number_is_no_empty_answer(
    checkpoint: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = load(checkpoint("yolos"), dtype=torch.float16)
    network = detector._network  # type: ignore[attr-defined]
    network.bbox_predictor.layers[-1].bias.fill_(float("nan"))

    with pytest.raises(StageFailure, match="no numbers, in fp16; the setting 'dtype' = fp32 may"):
        detect(detector, IMAGES[:1])


@pytest.mark.parametrize("family", ["yolos", "detr", "compact-fcos"])
def test_an_image_of_which_nothing_is_left(family: str, checkpoint: Callable[[str], str]) -> None:
    detector = load(checkpoint(family))

    for width, height in ((2000, 1), (1, 2000)):
        with pytest.raises(InvalidInput, match=f"image of {width}x{height} pixels, of which noth"):
            detector.prepare(np.zeros((height, width, 3), np.uint8))


@pytest.mark.parametrize("family", ["yolos", "rt-detr", "compact-fcos"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 3), (3, 2)])
def test_the_smallest_images(
    family: str, width: int, height: int, checkpoint: Callable[[str], str]
) -> None:
    (found,) = detect(load(checkpoint(family)), [pattern(width, height)])

    assert (found.boxes <= [width, height, width, height]).all()
    assert (found.boxes >= 0).all()


def test_memory_that_may_not_be_written_to(checkpoint: Callable[[str], str]) -> None:
    image = IMAGES[0].copy()
    image.flags.writeable = False
    detector = load(checkpoint("rt-detr"))

    detect(detector, [image, image[:1, :1]])


def test_a_compiled_detector_has_seen_images_when_it_is_loaded(
    checkpoint: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[bool] = []

    def compiled(backbone: torch.nn.Module) -> torch.nn.Module:
        backbone.register_forward_hook(lambda *_: runs.append(torch.is_inference_mode_enabled()))
        return backbone

    monkeypatch.setattr(torch, "compile", compiled)
    # Two of one shape, and one of another, each by itself.
    for compile, seen in ((False, []), (True, [True] * 3)):
        placement = Placement(torch.device("cpu"), torch.float32, compile)
        load_detector(checkpoint("compact-fcos"), placement, threshold=0.5, max_batch_size=1)
        assert runs == seen


def test_weights_that_are_not_plain_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    def downloaded(_: Any, **given: Any) -> Any:
        raise pickle.UnpicklingError("Weights only load failed")

    monkeypatch.setattr(download, "fetch_file", lambda *_: None)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", downloaded)
    with pytest.raises(ConfigurationError, match="'torchvision/ssd300_vgg16': Weights only load"):
        load("torchvision/ssd300_vgg16")


def test_weights_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(*_: Any, **__: Any) -> Any:
        raise URLError("no route to host")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    with pytest.raises(ConfigurationError) as caught:
        load("torchvision/fcos_resnet50_fpn")
    assert str(caught.value) == (
        "checkpoint 'torchvision/fcos_resnet50_fpn': cannot fetch "
        "'fcos_resnet50_fpn_coco-99b0c9b7.pth' from download.pytorch.org: URLError: <urlopen error "
        "no route to host>"
    )


def test_a_cached_file_of_torchvision_is_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    file = tmp_path / "checkpoints" / "fcos_resnet50_fpn_coco-99b0c9b7.pth"
    file.parent.mkdir()
    torch.save({}, file)

    with pytest.raises(ConfigurationError, match=f"{file} is damaged: its SHA-256 .* 99b0c9b7"):
        load("torchvision/fcos_resnet50_fpn")


@pytest.mark.parametrize(
    ("checkpoint", "text"),
    [
        ("torchvision/alexnet", "torchvision has no detector 'alexnet'; accepted: .*fcos_resnet50"),
        (
            "torchvision/fcos_resnet50_fpn@COCO_V2",
            "torchvision has no such weights; accepted: COCO_V1",
        ),
    ],
)
def test_ids_of_no_detector(checkpoint: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        load(checkpoint)


def test_checkpoints_of_no_detector(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot load the image processor"):
        load(checkpoints.bert(tmp_path / "bert"))
    with pytest.raises(ConfigurationError, match="timm's networks classify whole images"):
        load(images.timm_resnet(tmp_path / "timm"))
    config = {"architecture": "alexnet", "labels": OBJECTS, "arguments": {"pool": 1, "hidden": 8}}
    torchvision_checkpoint.save(
        tmp_path / "alexnet", torchvision_checkpoint.build_network(config), config
    )
    with pytest.raises(ConfigurationError, match="AlexNet does not detect objects; accepted: comp"):
        load(str(tmp_path / "alexnet"))
