"""Hundreds of requests at the same time: every caller gets its own answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .conftest import FRONT_ENDS, TRANSPORTS, Connect, Echoes
from .server import ServerProcess
from .test_bad_input import assert_refused
from .v2 import Answer, Client

REQUESTS = 80
"""For each way; there are six."""


async def test_answers_are_never_swapped(echoes: Echoes, connect: Connect) -> None:
    before = echoes.stages.metrics()

    async def ask(client: Client, text: str) -> None:
        # One, two or three items, so that batches are cut in the middle of requests.
        texts = [f"{text} item {item}" for item in range(1 + len(text) % 3)]
        answer = await client.infer("two-batched", {"text": texts}, request_id=text)
        assert answer.texts("text") == texts

    clients = {
        f"{transport} {front_end}": connect(echoes.servers[transport], front_end)
        for transport in TRANSPORTS
        for front_end in FRONT_ENDS
    }
    await asyncio.gather(
        *(
            ask(client, f"{way} {number}")
            for number in range(REQUESTS)
            for way, client in clients.items()
        )
    )
    after = echoes.stages.metrics()
    for model in ("quick", "slow"):
        counts = {
            part: after[f'infergraph_model_batch_size_{part}{{model="{model}"}}']
            - before.get(f'infergraph_model_batch_size_{part}{{model="{model}"}}', 0)
            for part in ("count", "sum")
        }
        assert counts["sum"] >= REQUESTS * len(clients)
        assert counts["sum"] > 2 * counts["count"], "requests did not run together"


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_a_bad_item_fails_its_own_request_only(
    echoes: Echoes, connect: Connect, front_end: str
) -> None:
    client = connect(echoes.stages, front_end)
    texts = ["poison" if number % 8 == 3 else f"text {number}" for number in range(64)]
    answers = await asyncio.gather(*(client.infer("picky", {"text": [text]}) for text in texts))
    for text, answer in zip(texts, answers, strict=True):
        if text == "poison":
            assert_refused(answer, 400, "model 'picky'", "'poison'")
        else:
            assert answer.texts("text") == [text]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("model", ["speech-to-text", "audio-qa"])
async def test_of_32_requests_with_one_undecodable_audio_31_are_right_and_one_is_400(
    models: ServerProcess,
    connect: Connect,
    samples: list[dict[str, Any]],
    model: str,
    front_end: str,
) -> None:
    client = connect(models, front_end)
    bad = 13

    async def ask(number: int) -> Answer:
        sample = samples[number % len(samples)]
        audio = b"RIFF\x24\x00\x00\x00WAVEjunk" if number == bad else sample["audio"]
        tensors = {"audio": [audio]}
        if model == "audio-qa":
            tensors["context"] = [sample["context"]]
        return await client.infer(model, tensors)

    answers = await asyncio.gather(*(ask(number) for number in range(32)))
    for number, answer in enumerate(answers):
        sample = samples[number % len(samples)]
        if number == bad:
            assert_refused(answer, 400, "speech-to-text", "tensor 'audio'", "audio")
        elif model == "audio-qa":
            assert answer.texts("answer") == [sample["answer"]]
        else:
            assert answer.texts("text") == [sample["transcript"]]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_one_request_of_32_items_names_the_undecodable_one(
    models: ServerProcess, connect: Connect, samples: list[dict[str, Any]], front_end: str
) -> None:
    client = connect(models, front_end)
    audio = [samples[number % len(samples)]["audio"] for number in range(32)]
    whole = await client.infer("speech-to-text", {"audio": audio})
    assert whole.texts("text") == [
        samples[number % len(samples)]["transcript"] for number in range(32)
    ]
    audio[21] = b"not audio"
    answer = await client.infer("speech-to-text", {"audio": audio})
    assert_refused(answer, 400, "model 'speech-to-text'", "item 21", "tensor 'audio'")
