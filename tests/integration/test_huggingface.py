"""Pipelines whose step is a model of MLServer's stock Hugging Face runtime, on our checkpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from . import huggingface
from .conftest import FRONT_ENDS, SAMPLES, Connect
from .huggingface import StockServer
from .server import REPOSITORY, ServerProcess
from .v2 import RestClient

pytestmark = pytest.mark.skipif(
    huggingface.MISSING is not None,
    reason=f"the stock runtime's environment is not there; {huggingface.MISSING}",
)

MODELS = REPOSITORY / "model-settings"
ANSWERING, SENTIMENT = "hf-question-answering", "hf-sentiment"
SAID = {ANSWERING: ["goat"], SENTIMENT: ["positive", "negative"]}
"""What each model says to its sample request."""


@pytest.fixture(scope="module")
def stock() -> Iterator[dict[str, StockServer]]:
    """`mlserver start FOLDER` for both stock models, each in its own process."""
    with StockServer(MODELS / ANSWERING) as answering, StockServer(MODELS / SENTIMENT) as sentiment:
        yield {ANSWERING: answering, SENTIMENT: sentiment}


@pytest.fixture(scope="module", params=["grpc", "rest"])
def hf_audio_qa(
    request: pytest.FixtureRequest, models: ServerProcess, stock: dict[str, StockServer]
) -> Iterator[ServerProcess]:
    """`mlserver start model-settings/hf-audio-qa`, its stages in two other servers."""
    url = {"grpc": stock[ANSWERING].grpc_url, "rest": stock[ANSWERING].url}[request.param]
    endpoints = {ANSWERING: url, "*": models.grpc_url}
    environment = {"INFERGRAPH_HF_AUDIO_QA__ENDPOINTS": json.dumps(endpoints)}
    with ServerProcess(MODELS / "hf-audio-qa", environment) as server:
        yield server


@pytest.fixture(scope="module")
def hf_audio_sent(models: ServerProcess, stock: dict[str, StockServer]) -> Iterator[ServerProcess]:
    """`mlserver start model-settings/hf-audio-sent`, its stages in two other servers."""
    endpoints = {SENTIMENT: stock[SENTIMENT].grpc_url, "*": models.grpc_url}
    environment = {"INFERGRAPH_HF_AUDIO_SENT__ENDPOINTS": json.dumps(endpoints)}
    with ServerProcess(MODELS / "hf-audio-sent", environment) as server:
        yield server


@pytest.fixture(scope="module")
def reviews() -> list[dict[str, Any]]:
    """The entries of reviews.json; `audio` is the bytes of the file."""
    entries: list[dict[str, Any]] = json.loads((SAMPLES / "reviews.json").read_text())
    return [{**each, "audio": (SAMPLES / each["audio"]).read_bytes()} for each in entries]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_same_answers_as_our_runtime(
    models: ServerProcess,
    hf_audio_qa: ServerProcess,
    connect: Connect,
    samples: list[dict[str, Any]],
    front_end: str,
) -> None:
    tensors = {name: [each[name] for each in samples] for name in ("audio", "context")}
    ours = await connect(models, front_end).infer("audio-qa", tensors)
    theirs = await connect(hf_audio_qa, front_end).infer("hf-audio-qa", tensors)
    assert theirs.names == ours.names == ["answer", "score", "transcript"]
    assert theirs.texts("answer") == [each["answer"] for each in samples]
    assert theirs.texts("answer") == ours.texts("answer")
    assert theirs.texts("transcript") == ours.texts("transcript")
    # Ours is the probability among spans and "no answer", the stock one among spans only.
    assert theirs["score"].shape == (len(samples), 1)
    assert (theirs["score"] > 0).all()
    assert (theirs["score"] <= 1).all()


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_same_sentiment_as_our_runtime(
    models: ServerProcess,
    hf_audio_sent: ServerProcess,
    connect: Connect,
    reviews: list[dict[str, Any]],
    front_end: str,
) -> None:
    tensors = {"audio": [each["audio"] for each in reviews]}
    ours = await connect(models, front_end).infer("audio-sent", tensors)
    theirs = await connect(hf_audio_sent, front_end).infer("hf-audio-sent", tensors)
    assert theirs.names == ours.names == ["label", "score", "transcript"]
    assert theirs.texts("label") == [each["label"] for each in reviews]
    assert theirs.texts("label") == ours.texts("label")
    assert theirs.texts("transcript") == ours.texts("transcript")
    np.testing.assert_allclose(theirs["score"], ours["score"], rtol=1e-4)


async def test_one_item_and_its_trace(
    hf_audio_qa: ServerProcess, connect: Connect, samples: list[dict[str, Any]]
) -> None:
    sample = samples[0]
    answer = await connect(hf_audio_qa, "grpc").infer(
        "hf-audio-qa",
        {"audio": [sample["audio"]], "context": [sample["context"]]},
        parameters={"trace": True},
    )
    assert answer.texts("answer") == [sample["answer"]]
    assert [step["name"] for step in answer.trace["steps"]] == [
        "speech-to-text",
        ANSWERING,
        "hf-answer",
    ]


async def test_stock_answers_are_json(
    stock: dict[str, StockServer], connect: Connect, samples: list[dict[str, Any]]
) -> None:
    tensors = {name: [each[name] for each in samples] for name in ("question", "context")}
    answer = await connect(stock[ANSWERING], "grpc").infer(ANSWERING, tensors)
    spans = [json.loads(text) for text in answer.texts("output")]
    assert [span["answer"] for span in spans] == [each["answer"] for each in samples]
    assert [
        each["context"][span["start"] : span["end"]]
        for each, span in zip(samples, spans, strict=True)
    ] == [each["answer"] for each in samples]


@pytest.mark.parametrize("model", [ANSWERING, SENTIMENT])
async def test_sample_request(stock: dict[str, StockServer], connect: Connect, model: str) -> None:
    client = connect(stock[model], "rest")
    assert isinstance(client, RestClient)
    answer = await client.post(model, (MODELS / model / "request.json").read_text())
    said = [json.loads(text) for text in answer.texts("output")]
    assert [each.get("answer", each.get("label")) for each in said] == SAID[model]
