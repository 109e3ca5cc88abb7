"""An answer that is no number is a failure of the model, whatever its task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models import get_model

from infergraph.devices import Placement
from infergraph.errors import InvalidInput, StageFailure
from infergraph.request import RequestContext
from infergraph.runtime import Runtime
from infergraph.tasks.vision.torchvision_detector import TorchvisionDetector
from infergraph.v2 import Message, Tensor
from tests.exhaustive import only
from tests.pictures import encoded as picture
from tests.pictures import pattern
from tests.sounds import chirps
from tests.sounds import encoded as sound

from .conftest import Ask, Serve
from .known_detector import KnownDetector

NAN, INF = float("nan"), float("inf")
IMAGE, AUDIO = [picture(pattern(64, 48))], [sound(chirps(1.0, 1))]
BOX = {
    "boxes": np.array([[[0, 0, 60, 40]]], np.float32),
    "num_detections": np.array([[1]]),
}
QUESTION = {"question": ["Where is the lamp?"], "context": ["The lamp is in the keep."]}

# Task, checkpoint, what is asked.
TASKS: list[tuple[str, str, dict[str, Any]]] = [
    ("sentiment", "bert", {"text": ["the lamp"]}),
    ("language-identification", "roberta", {"text": ["the lamp"]}),
    ("question-answering", "bert-qa", QUESTION),
    ("translation-fr-en", "marian", {"text": ["the lamp"]}),
    ("summarization", "t5", {"text": ["the lamp"]}),
    ("speech-to-text", "wav2vec2-bert", {"audio": AUDIO}),
    ("speech-to-text", "whisper-en", {"audio": AUDIO}),
    ("alexnet", "torchvision-alexnet", {"image": IMAGE}),
    ("resnet", "timm-resnet", {"image": IMAGE}),
    ("vehicle-classification", "vit", {"image": IMAGE, **BOX}),
    ("object-detection", "yolos", {"image": IMAGE}),
    ("object-detection", "rt-detr", {"image": IMAGE}),
    ("object-detection", "compact-fcos", {"image": IMAGE}),
    ("plate-reading", "trocr", {"image": IMAGE, **BOX}),
    ("image-captioning", "blip", {"image": IMAGE}),
    (
        "dlrm",
        "dlrm",
        {"dense": np.ones((1, 13), np.float32), "indices": np.zeros((1, 39), np.int64)},
    ),
]


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> list[torch.nn.Module]:
    """All networks that are placed, in order."""
    placed: list[torch.nn.Module] = []
    place = Placement.place

    def noting(self: Placement, network: torch.nn.Module, **more: Any) -> torch.nn.Module:
        placed.append(place(self, network, **more))
        return placed[-1]

    monkeypatch.setattr(Placement, "place", noting)
    return placed


def spoil(network: torch.nn.Module, value: float = NAN) -> None:
    for parameter in network.parameters():
        parameter.fill_(value)


async def served(task: str, folder: str, serve: Serve) -> Runtime:
    """A model of another task's checkpoint than its own, without what depends on its labels."""
    declared: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    if task in ("alexnet", "resnet"):
        declared = {"inputs": [tensor("image", "BYTES")]}
        settings = {"threshold": None}
    if task == "language-identification":
        settings = {"groups": {}, "other_group": None}
    if task in ("alexnet", "resnet", "language-identification"):
        declared |= {"outputs": [tensor("label", "BYTES"), tensor("score", "FP32")]}
        settings["optional_outputs"] = []
    if task == "object-detection":
        declared = {"outputs": []}
        settings = {"groups": {}, "labels": {}, "optional_outputs": []}
    if task == "plate-reading":
        settings = {"locator": None}
    return await serve(task, folder, declared=declared, **settings)


def tensor(name: str, datatype: str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1, 1]}


@pytest.mark.parametrize("value", only([NAN], [NAN, INF]))
@pytest.mark.parametrize(("task", "family", "asked"), TASKS)
async def test_it_is_for_every_task(
    task: str,
    family: str,
    asked: dict[str, Any],
    value: float,
    networks: list[torch.nn.Module],
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
) -> None:
    runtime = await served(task, checkpoint(family), serve)
    await ask(runtime, **asked)
    for network in networks:
        spoil(network, value)

    with pytest.raises(StageFailure) as caught:
        await ask(runtime, **asked)

    assert caught.value.status_code == 500
    assert str(caught.value) == (
        f"model '{runtime.name}': it computed values that are no numbers, in fp32"
    )


async def test_it_is_for_the_locator_of_plates(
    networks: list[torch.nn.Module], checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("plate-reading", checkpoint("trocr"), locator=checkpoint("plates"))
    spoil(networks[0])

    with pytest.raises(StageFailure, match="no numbers"):
        await ask(runtime, image=IMAGE, **BOX)


@pytest.mark.parametrize("search", [{"num_beams": 3}, {"num_beams": 1, "do_sample": True}])
async def test_it_is_for_every_search_and_for_streams(
    search: dict[str, Any],
    networks: list[torch.nn.Module],
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
) -> None:
    runtime = await serve("translation-fr-en", checkpoint("marian"))
    spoil(networks[0])
    message = Message([Tensor.of_bytes("text", [b"the lamp"])], parameters=dict(search))

    with pytest.raises(StageFailure, match="no numbers"):
        await ask(runtime, search, text=["the lamp"])
    with pytest.raises(StageFailure, match="no numbers"):
        _ = [part async for part in runtime.infer_stream(message, RequestContext())]


async def test_only_the_items_fail_whose_numbers_are_none(
    networks: list[torch.nn.Module], checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("sentiment", checkpoint("bert"))
    texts = ["the lamp", "gulls", "the keep", "seven gulls"]
    expected = (await ask(runtime, text=texts))["label"]
    encoder = runtime.model.encoder
    (word,) = set(encoder("gulls", "text")) - set(encoder("the lamp", "text"))
    embeddings: Any = networks[0].get_input_embeddings()  # type: ignore[operator]
    embeddings.weight[word] = NAN

    answers = await asyncio.gather(
        *(ask(runtime, text=[text]) for text in texts), return_exceptions=True
    )

    assert [isinstance(answer, StageFailure) for answer in answers] == [False, True, False, True]
    assert [answers[index]["label"] for index in (0, 2)] == [[expected[0]], [expected[2]]]  # type: ignore[index]
    with pytest.raises(StageFailure, match="item 1: it computed values that are no numbers"):
        await ask(runtime, text=texts[:3])


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("fasterrcnn_mobilenet_v3_large_320_fpn", "rpn.head"),
        ("fasterrcnn_mobilenet_v3_large_320_fpn", "roi_heads.box_predictor"),
        ("ssdlite320_mobilenet_v3_large", "head.classification_head"),
        ("ssdlite320_mobilenet_v3_large", "head.regression_head"),
    ],
)
def test_what_torchvision_would_drop_as_too_unlikely(name: str, part: str) -> None:
    network = get_model(name, weights=None, weights_backbone=None, num_classes=3)
    cpu = Placement(torch.device("cpu"), torch.float32, compile=False)
    detector = TorchvisionDetector(network, {}, cpu, 0.5, 1)
    image = detector.prepare(pattern(64, 48))
    with torch.inference_mode():
        assert len(detector([image])) == 1
        spoil(network.get_submodule(part))

        with pytest.raises(StageFailure, match="no numbers"):
            detector([image])


@pytest.mark.parametrize("found", [(0, NAN, (1, 1, 9, 9)), (0, 0.9, (1, INF, 9, 9))])
def test_a_box_or_a_score_that_is_none(found: Any) -> None:
    detector = KnownDetector(["a"], {(30, 40): [(0, 0.7, (1, 1, 5, 5)), found]})

    with pytest.raises(StageFailure, match="no numbers"):
        detector([detector.prepare(pattern(40, 30))])


async def test_a_member_of_an_ensemble(serve: Serve) -> None:
    runtime = await serve("ensemble-combine")
    labels = len(runtime.options.labels)  # type: ignore[attr-defined]
    rows = [np.full((1, labels), 1 / labels, np.float32) for _ in runtime._input_specs]
    rows[1][0, 0] = NAN
    names: Sequence[str] = [spec.name for spec in runtime._input_specs]
    tensors = [Tensor.of(name, row) for name, row in zip(names, rows, strict=True)]

    with pytest.raises(InvalidInput, match=f"tensor '{names[1]}': nan in column 0"):
        await runtime.infer(Message(tensors), RequestContext())
