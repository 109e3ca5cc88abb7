"""Text detection: lines of detectors of each family, their quads, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoImageProcessor, AutoModelForObjectDetection

from infergraph.errors import ConfigurationError
from infergraph.tasks.text_detection import TextDetection
from infergraph.tasks.vision.detections import DetectorInput
from infergraph.tasks.vision.text_detector import TextDetector
from infergraph.tasks.vision.text_map import LineRules, find_lines
from tests.pictures import Pixels, encoded, pattern

from .conftest import Ask, Serve
from .vision.test_text_map import drawn, rectangle

FAMILIES = ["pp-ocr-mobile-det", "pp-ocr-server-det"]
SIZES = [(160, 120), (200, 96), (160, 120), (96, 200)]
IMAGES = [pattern(*size, seed=seed) for seed, size in enumerate(SIZES)]
FILES = [encoded(image) for image in IMAGES]
RULES = {"map_threshold": 0.5, "threshold": 0.51, "unclip_ratio": 1.0, "min_side": 2}


def lines_in(folder: str, image: Pixels) -> tuple[Any, Any]:
    """Quads and scores of an image alone, best first, by the network and processor themselves."""
    network = AutoModelForObjectDetection.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder)
    pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())
    inputs = processor(images=pixels, return_tensors="pt")
    with torch.inference_mode():
        (map_,) = network(inputs["pixel_values"]).last_hidden_state[0].numpy()
    quads, scores = find_lines(map_, LineRules(**RULES, max_candidates=1000))
    order = np.argsort(-scores, kind="stable")
    scale = np.array([image.shape[1] / map_.shape[1], image.shape[0] / map_.shape[0]])
    return quads[order] * scale, scores[order]


@pytest.mark.parametrize("family", FAMILIES)
async def test_lines_are_those_of_the_network_alone_and_together(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint(family)
    runtime = await serve("text-detection", folder, **RULES)

    together = await ask(runtime, image=FILES)
    alone = [await ask(runtime, image=[file]) for file in FILES]

    counts = []
    for index, image in enumerate(IMAGES):
        quads, scores = lines_in(folder, image)
        counts.append(len(scores))
        for answer, row in ((together, index), (alone[index], 0)):
            assert answer["num_found"][row] == answer["num_detections"][row] == len(scores)
            assert answer["scores"][row][: len(scores)] == pytest.approx(scores, abs=1e-3)
            found = np.array(answer["quads"][row])
            assert found[: len(scores)] == pytest.approx(quads.reshape(-1, 8), abs=0.5)
            assert not found[len(scores) :].any()
            boxes = np.array(answer["boxes"][row])[: len(scores)]
            limits = [image.shape[1], image.shape[0]] * 2
            around = np.concatenate([quads.min(axis=1), quads.max(axis=1)], axis=1)
            assert boxes == pytest.approx(np.clip(around, 0, limits), abs=0.5)
        labels = together["labels"][100 * index : 100 * (index + 1)]
        assert labels == ["text"] * len(scores) + [""] * (100 - len(scores))
    assert min(counts) < max(counts)


class KnownMaps(TextDetector):
    """Sees in each image the map that is listed for an image of its size, half as large."""

    maps: dict[tuple[int, int], Any]

    def _outputs(self, batch: Any) -> Any:
        class Outputs:
            last_hidden_state = torch.stack(
                [torch.from_numpy(self.maps[image.height, image.width])[None] for image in batch]
            )

        return Outputs()


def knowing(runtime: Any, maps: dict[tuple[int, int], Any]) -> None:
    assert isinstance(runtime, TextDetection)
    detector = runtime.model.detector
    assert isinstance(detector, TextDetector)
    detector.__class__ = KnownMaps
    detector.maps = maps


async def test_rotated_lines_and_none_in_one_batch(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("text-detection", checkpoint("pp-ocr-mobile-det"), unclip_ratio=0)
    turned, level = rectangle(100, 50, 120, 16, 12), rectangle(40, 120, 60, 10)
    maps = {(480, 640): drawn(turned, level), (96, 200): np.zeros((48, 100), np.float32)}
    knowing(runtime, maps)

    answer = await ask(runtime, image=[encoded(pattern(640, 480)), FILES[1]])

    assert answer["num_detections"] == [2, 0]
    found = np.array(answer["quads"][0][:2]).reshape(2, 4, 2)
    # Scores are nearly equal: by their place.
    found = found[np.argsort(found[:, 0, 1])]
    assert found == pytest.approx(2 * np.stack([turned, level]), abs=4)
    boxes = np.array(answer["boxes"][0][:2])
    assert sorted(boxes[:, 1]) == pytest.approx(sorted(found[:, :, 1].min(axis=1)), abs=0.01)
    assert not np.array(answer["quads"][1]).any()
    assert answer["labels"][:3] == ["text", "text", ""]
    assert answer["labels"][100:] == [""] * 100


async def test_a_group_is_given_only_where_there_is_text(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    names = ["num_detections", "boxes", "quads"]
    runtime = await serve(
        "text-detection",
        checkpoint("pp-ocr-mobile-det"),
        declared={"outputs": []},
        groups={"line": ["text"]},
        max_detections=1,
    )
    maps = {(480, 640): drawn(rectangle(100, 50, 120, 16)), (96, 200): drawn(size=(100, 48))}
    knowing(runtime, maps)

    answer = await ask(runtime, image=[FILES[1], encoded(pattern(640, 480))])

    for name in names:
        assert answer[f"line_{name}_item"] == [1]
        assert np.array(answer[f"line_{name}"]) == pytest.approx(np.array(answer[name][1:]))


async def test_quads_need_not_be_declared(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    outputs = [
        {"name": name, "datatype": datatype, "shape": shape}
        for name, datatype, shape in (
            ("num_detections", "INT64", [-1, 1]),
            ("boxes", "FP32", [-1, -1, 4]),
            ("scores", "FP32", [-1, -1]),
            ("classes", "INT64", [-1, -1]),
            ("labels", "BYTES", [-1, -1]),
        )
    ]
    runtime = await serve(
        "text-detection", checkpoint("pp-ocr-mobile-det"), declared={"outputs": outputs}
    )

    answer = await ask(runtime, image=FILES[:1])

    assert list(answer) == [each["name"] for each in outputs]


async def test_where_images_are_resized_makes_no_difference(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint("pp-ocr-mobile-det")
    before = await serve("text-detection", folder, resize="cpu", **RULES)
    there = await serve("text-detection", folder, resize="device", **RULES)
    assert isinstance(there, TextDetection)
    assert there.model.detector.on_device

    answers = [await ask(runtime, image=FILES) for runtime in (before, there)]

    assert answers[0]["num_found"] == answers[1]["num_found"]
    assert np.array(answers[0]["quads"]) == pytest.approx(np.array(answers[1]["quads"]), abs=0.5)


async def test_a_batch_runs_in_calls_of_one_shape(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = await serve("text-detection", checkpoint("pp-ocr-mobile-det"))
    shapes = []
    outputs = TextDetector._outputs

    def noted(self: TextDetector, batch: list[DetectorInput]) -> Any:
        shapes.append([image.shape for image in batch])
        return outputs(self, batch)

    monkeypatch.setattr(TextDetector, "_outputs", noted)
    await ask(runtime, image=FILES)

    assert sorted(map(len, shapes)) == [1, 1, 2]
    assert all(len(set(each)) == 1 for each in shapes)


@pytest.mark.parametrize("other", ["yolos", "pp-ocr-mobile-rec"])
async def test_what_detects_no_text_is_refused(
    other: str, checkpoint: Callable[[str], str], serve: Serve
) -> None:
    with pytest.raises(ConfigurationError, match="does not detect text; accepted: detectors such"):
        await serve("text-detection", checkpoint(other))


async def test_a_detector_of_text_is_none_of_objects(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    with pytest.raises(ConfigurationError, match="does not detect objects"):
        await serve("object-detection", checkpoint("pp-ocr-mobile-det"))


@pytest.mark.parametrize(
    ("setting", "value", "accepted"),
    [
        ("map_threshold", 1, "less than 1"),
        ("min_side", 0, "greater than 0"),
        ("unclip_ratio", -1, "0"),
    ],
)
async def test_settings_beyond_their_limits_are_refused(
    setting: str, value: float, accepted: str, checkpoint: Callable[[str], str], serve: Serve
) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s)'{setting}'.*{accepted}"):
        await serve("text-detection", checkpoint("pp-ocr-mobile-det"), **{setting: value})
