"""The embedded checkpoints answer in int8 as in fp32; where it is of no use, it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infergraph.errors import ConfigurationError
from infergraph.quantized import Int8Linear

from .conftest import MODEL_SETTINGS, Ask, Serve

SAMPLES = Path(__file__).parents[2] / "samples"
TEXT = {
    "sentiment": [
        "I have never been so disappointed.",
        "The food was wonderful and the staff were friendly.",
        "It broke after two days.",
    ],
    "language-identification": ["Où est la gare ?", "Where is the station?", "Wo ist er?"],
    "translation-fr-en": ["Helen habite à Milan.", "Oscar a une chèvre. Il parle espagnol."],
    "translation-en-de": ["Helen lives in Milan.", "Oscar has a goat. He speaks Spanish."],
    "summarization": [],
}


def sample(model: str, name: str) -> list[str]:
    """The texts of a model's sample request."""
    request = json.loads((MODEL_SETTINGS / model / "request.json").read_text())
    texts: list[str] = next(each["data"] for each in request["inputs"] if each["name"] == name)
    return texts


def embedded(model: str, part: str = "embedded") -> str:
    return str(MODEL_SETTINGS / model / part)


async def both(serve: Serve, ask: Ask, task: str, **asked: Any) -> tuple[Any, Any]:
    """The answers in fp32 and in int8."""
    exact = await serve(task, embedded(task), dtype="fp32")
    rounded = await serve(task, embedded(task), dtype="int8")
    assert (await rounded.metadata()).parameters.dtype == "int8"  # type: ignore[union-attr]
    return await ask(exact, **asked), await ask(rounded, **asked)


@pytest.mark.parametrize("task", TEXT)
async def test_texts(task: str, serve: Serve, ask: Ask) -> None:
    exact, rounded = await both(serve, ask, task, text=TEXT[task] + sample(task, "text"))

    scores = [answer.pop("score", [0]) for answer in (exact, rounded)]
    assert rounded == exact
    assert scores[1] == pytest.approx(scores[0], abs=0.02)


async def test_questions(serve: Serve, ask: Ask) -> None:
    context = sample("question-answering", "context")[0]
    questions = [*sample("question-answering", "question")[:1], "Who lives on the moon?"]
    asked = {"question": questions, "context": [context] * 2}
    exact, rounded = await both(serve, ask, "question-answering", **asked)

    assert rounded["answer"] == exact["answer"]
    assert rounded["score"] == pytest.approx(exact["score"], abs=0.05)


async def test_speech(serve: Serve, ask: Ask) -> None:
    files = [(SAMPLES / f"question-{number}.wav").read_bytes() for number in (1, 2, 3)]
    exact, rounded = await both(serve, ask, "speech-to-text", audio=files)

    assert all(exact["text"])
    assert rounded["text"] == exact["text"]
    assert rounded["score"] == pytest.approx(exact["score"], abs=0.02)


async def test_plates_are_read_in_int8_and_found_in_fp32(serve: Serve) -> None:
    model = "plate-reading"
    locator = json.loads((MODEL_SETTINGS / model / "model-settings.json").read_text())
    folder = embedded(model, locator["parameters"]["extra"]["locator"]["embedded"])
    runtime: Any = await serve(model, embedded(model), locator=folder, dtype="int8")

    assert any(isinstance(part, Int8Linear) for part in runtime.model.reader._network.modules())
    assert not any(
        isinstance(part, Int8Linear) for part in runtime.model.locator.detector._network.modules()
    )


@pytest.mark.parametrize(
    "task",
    [
        *("alexnet", "resnet", "inception", "content-safety", "object-detection"),
        *("vehicle-classification", "human-classification"),
    ],
)
async def test_convolutions_are_refused(task: str, serve: Serve) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await serve(task, embedded(task), dtype="int8")

    assert str(caught.value).startswith(f"model '{task}': setting 'dtype' = 'int8': ")
    assert "would be no faster" in str(caught.value)
