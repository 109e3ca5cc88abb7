"""With the engine openvino the embedded checkpoints, and others, answer as with torch.

Where the package is absent an imitation computes, which runs the networks' traces with torch: that
still shows which networks are converted, with what, and that what they give goes on as before.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infergraph import converted
from infergraph.errors import ConfigurationError
from tests.exhaustive import one_in
from tests.imitation_openvino import ImitationOpenvino
from tests.pictures import encoded
from tests.sounds import chirps
from tests.sounds import encoded as sound
from zoo.scenes import scene

from .conftest import MODEL_SETTINGS, Ask, Serve

SAMPLES = Path(__file__).parents[2] / "samples"
INSTALLED = importlib.util.find_spec("openvino") is not None

TEXTS = {"text": ["I have never been so disappointed.", "Wonderful food.", "It broke."]}
IMAGES = {"image": [encoded(scene(seed, "held-out").image) for seed in (3, 4, 5)]}
AUDIO = {"audio": [(SAMPLES / f"question-{number}.wav").read_bytes() for number in (1, 2, 3)]}
# Task, checkpoint, what is asked; "" is the embedded one.
ASKED: list[tuple[str, str, dict[str, Any]]] = [
    ("sentiment", "", TEXTS),
    ("language-identification", "", TEXTS),
    ("question-answering", "", {}),
    ("speech-to-text", "", AUDIO),
    ("resnet", "", IMAGES),
    ("alexnet", "", IMAGES),
    ("inception", "", IMAGES),
    ("content-safety", "", IMAGES),
    ("object-detection", "", IMAGES),
    ("sentiment", "roberta", TEXTS),
    ("speech-to-text", "whisper-en", {"audio": [sound(chirps(1.0, 1)), sound(chirps(1.5, 2))]}),
    ("resnet", "vit", IMAGES),
    ("resnet", "torchvision-resnet", IMAGES),
    ("object-detection", "yolos", IMAGES),
]


@pytest.fixture(autouse=True)
def openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    if not INSTALLED:
        monkeypatch.setitem(sys.modules, "openvino", ImitationOpenvino())


def embedded(model: str) -> str:
    return str(MODEL_SETTINGS / model / "embedded")


def sample(model: str) -> dict[str, Any]:
    """The inputs of a model's sample request."""
    request = json.loads((MODEL_SETTINGS / model / "request.json").read_text())
    return {each["name"]: each["data"] for each in request["inputs"]}


async def both(
    serve: Serve, ask: Ask, task: str, family: str, asked: dict[str, Any], **settings: Any
) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """The answers of torch and of OpenVINO."""
    torch, openvino = [
        await serve(task, family or embedded(task), **each)
        for each in ({}, {"engine": "openvino", **settings})
    ]
    known = (await openvino.metadata()).parameters
    assert known is not None
    assert (known.engine, known.device) == ("openvino", "cpu")  # type: ignore[attr-defined]
    # The same items alone and together: other shapes than those that were tried.
    asked = asked or sample(task)
    alone = {name: values[:1] for name, values in asked.items()}
    assert_alike(await ask(openvino, **alone), await ask(torch, **alone), settings)
    return await ask(torch, **asked), await ask(openvino, **asked)


def assert_alike(
    found: dict[str, list[Any]], wanted: dict[str, list[Any]], settings: dict[str, Any]
) -> None:
    """Labels, texts and counts are equal; scores and boxes nearly."""
    rounded = settings.get("dtype") == "bf16"
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        if rounded and "boxes" in wanted:
            # Of objects of nearly the same score another may be the better one.
            columns = 4 if name.endswith("boxes") else 1
            values, found[name] = (
                sorted(np.reshape(each, (-1, columns)).tolist()) for each in (values, found[name])
            )
        if not np.issubdtype(np.asarray(values).dtype, np.floating):
            assert found[name] == values, name
            continue
        boxes = name.endswith("boxes")
        most = (1.0 if boxes else 0.05) if rounded else (0.01 if boxes else 1e-4)
        np.testing.assert_allclose(found[name], values, rtol=0, atol=most, err_msg=name)


@pytest.mark.parametrize(
    ("task", "family", "asked"),
    one_in(2, ASKED),
    ids=[f"{task}-{family or 'embedded'}" for task, family, _ in ASKED],
)
async def test_answers_agree(
    task: str, family: str, asked: dict[str, Any], serve: Serve, ask: Ask, checkpoint: Any
) -> None:
    torch, openvino = await both(serve, ask, task, family and checkpoint(family), asked)

    assert_alike(openvino, torch, {})


@pytest.mark.parametrize(
    ("task", "asked"),
    one_in(
        3,
        [
            (task, asked)
            for task, family, asked in ASKED
            if not family and task in ("sentiment", "speech-to-text", "resnet", "object-detection")
        ],
    ),
)
async def test_answers_agree_in_bf16(
    task: str, asked: dict[str, Any], serve: Serve, ask: Ask
) -> None:
    torch, openvino = await both(serve, ask, task, "", asked, dtype="bf16")

    assert_alike(openvino, torch, {"dtype": "bf16"})


@pytest.mark.parametrize("task", ["translation-fr-en", "summarization", "plate-reading"])
async def test_tasks_that_generate_refuse_it(task: str, serve: Serve) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await serve(task, engine="openvino")

    assert str(caught.value) == (
        f"model '{task}': setting 'engine' = 'openvino': it is not for this model's task; "
        "accepted: torch"
    )


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"dtype": "int8"}, "'dtype' = 'int8'; accepted with it: auto, fp32, bf16"),
        ({"dtype": "fp16"}, "'dtype' = 'fp16'; accepted with it: auto, fp32, bf16"),
        ({"compile": True}, "'compile' = True; accepted with it: False"),
        ({"device": "cuda"}, "'device' = 'cuda'; accepted with it: auto, cpu"),
    ],
)
async def test_what_it_does_not_go_with(settings: dict[str, Any], told: str, serve: Serve) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await serve("sentiment", engine="openvino", **settings)

    assert str(caught.value) == (
        f"model 'sentiment': setting 'engine' = 'openvino': not with the setting {told}"
    )


async def test_without_the_package(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(ConfigurationError) as caught:
        await serve("sentiment", embedded("sentiment"), engine="openvino")

    assert str(caught.value) == (
        "model 'sentiment': setting 'engine' = 'openvino': the package 'openvino' is not "
        "installed; accepted: torch, or both after: pip install 'infergraph[openvino]'"
    )


async def test_what_it_cannot_compute(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(converted, "_openvino", fail)

    with pytest.raises(ConfigurationError) as caught:
        await serve("sentiment", embedded("sentiment"), engine="openvino")

    assert str(caught.value) == (
        "model 'sentiment': setting 'engine' = 'openvino': it cannot compute "
        "DistilBertForSequenceClassification (no such operator); accepted: torch"
    )
