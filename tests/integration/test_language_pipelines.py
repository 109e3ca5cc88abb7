"""The pipelines of language: right answers everywhere, and each text by its own branch."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import numpy as np
import pytest

from tests.exhaustive import one_in
from tests.sounds import encoded
from zoo.articles import Article, articles
from zoo.world import foreign_sentences

from .conftest import FRONT_ENDS, SAMPLES, Connect, Servers, every_way
from .server import ServerProcess
from .v2 import Answer

SEED = 5
ARTICLES = 12
REQUIRED = 0.8
"""Share of texts that must be wholly right; the checkpoints are not perfect, see their cards."""


def spoken(file: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((SAMPLES / file).read_text(encoding="utf-8"))
    return [{**each, "audio": (SAMPLES / each["audio"]).read_bytes()} for each in entries]


def column(entries: list[dict[str, Any]], name: str) -> list[Any]:
    return [entry[name] for entry in entries]


def told(language: str = "en") -> list[Article]:
    return articles(SEED, ARTICLES, "held_out", language=language)


def share_right(got: list[str], wanted: list[str]) -> float:
    return sum(a == b for a, b in zip(got, wanted, strict=True)) / len(wanted)


@every_way
async def test_audio_sent(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    reviews = spoken("reviews.json")
    client = connect(everywhere[transport], front_end)

    answer = await client.infer("audio-sent", {"audio": column(reviews, "audio")})

    assert answer.texts("transcript") == column(reviews, "transcript")
    assert answer.texts("label") == column(reviews, "label")
    assert set(column(reviews, "label")) == {"positive", "negative"}
    assert np.all(answer["score"] > 0.5)


@every_way
async def test_audio_translation(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    sentences = spoken("sentences.json")
    client = connect(everywhere[transport], front_end)

    answer = await client.infer("audio-translation", {"audio": column(sentences, "audio")})

    assert answer.texts("transcript") == column(sentences, "transcript")
    assert answer.texts("translation") == column(sentences, "de")


@every_way
@pytest.mark.parametrize(
    ("pipeline", "step"), [("audio-sent", "sentiment"), ("audio-translation", "translation-en-de")]
)
async def test_silence_is_refused_as_the_callers(
    everywhere: Servers,
    connect: Connect,
    pipeline: str,
    step: str,
    transport: str,
    front_end: str,
) -> None:
    client = connect(everywhere[transport], front_end)

    answer = await client.infer(pipeline, {"audio": [encoded(np.zeros(48_000))]})

    assert answer.status == 400, answer.body
    assert f"step '{step}'" in answer.error
    assert "tensor 'text': empty text; accepted: at least one word" in answer.error
    assert "step 'speech-to-text' made tensor 'text'" in answer.error


@every_way
async def test_sum_qa(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    asked = [(each, question) for each in told() for question in each.questions]
    request = {
        "text": [article.text for article, _ in asked],
        "question": [question.question for _, question in asked],
    }

    answer = await connect(everywhere[transport], front_end).infer("sum-qa", request)

    answers = [question.answer for _, question in asked]
    assert share_right(answer.texts("answer"), answers) >= REQUIRED
    assert share_right(answer.texts("summary"), [each.summary for each, _ in asked]) >= REQUIRED
    here = await connect(everywhere["in-process"], "grpc").infer("sum-qa", request)
    for name in ("answer", "summary"):
        assert answer.texts(name) == here.texts(name)


LANGUAGES = ("fr", "en", "de", "es")


@every_way
async def test_nlp_takes_each_text_through_the_branch_of_its_language(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    # Each article in one language, the languages in turn, all in one request.
    languages = [LANGUAGES[number % len(LANGUAGES)] for number in range(ARTICLES)]
    texts = [told(language)[number].text for number, language in enumerate(languages)]
    client = connect(everywhere[transport], front_end)

    answer = await client.infer("nlp", {"text": texts}, parameters={"trace": True})

    assert answer.names == ["language", "english", "summary"]
    assert answer.texts("language") == languages
    assert share_right(answer.texts("english"), [each.text for each in told()]) >= REQUIRED
    assert share_right(answer.texts("summary"), [each.summary for each in told()]) >= REQUIRED
    translations = {
        (step["item"], step["name"])
        for step in answer.trace["steps"]
        if step["name"].startswith("translation")
    }
    assert translations == {
        (item, f"translation-{language}-en")
        for item, language in enumerate(languages)
        if language != "en"
    }


@every_way
async def test_a_text_in_another_language_fails_alone_and_names_it(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    french, english = told("fr")[0], told()[1]
    italian = foreign_sentences(SEED, 1, "held_out", "it")[0]
    client = connect(everywhere[transport], front_end)

    both = await client.infer("nlp", {"text": [french.text, italian, english.text]})
    alone = await client.infer("nlp", {"text": [french.text, english.text]})
    refused = await client.infer("nlp", {"text": [italian]})

    for name in ("language", "english", "summary"):
        assert both.texts(name) == alone.texts(name)
        assert both[f"{name}_item"].ravel().tolist() == [0, 2]
    assert both["error_item"].tolist() == [[1]]
    assert both["error_status"].tolist() == [[400]]
    assert "language 'it' is not supported; accepted: en, fr, es, de" in both.texts("error")[0]
    assert "pipeline 'nlp', step 'unsupported-language'" in both.texts("error")[0]
    assert refused.status == 400
    assert "language 'it' is not supported" in refused.error


async def test_audio_qa_and_audio_sent_share_the_batches_of_one_speech_to_text(
    models: ServerProcess, connect: Connect, samples: list[dict[str, Any]]
) -> None:
    """Behind a long recording, requests of both pipelines queue up and then run together.

    How many do is up to the machine: on a busy one, it may take more than one try.
    """
    client = connect(models, "grpc")
    reviews = spoken("reviews.json")
    parameters = {"trace": True}
    long = (SAMPLES / "long.flac").read_bytes()

    async def ask(name: str, request: dict[str, list[Any]]) -> Answer:
        return await client.infer(name, request, parameters=parameters)

    largest = 0
    for _ in range(6):
        occupied = asyncio.ensure_future(client.infer("speech-to-text", {"audio": [long]}))
        await asyncio.sleep(0)
        questions = [
            ask("audio-qa", {n: [each[n]] for n in ("audio", "context")}) for each in samples
        ]
        spoken_reviews = [ask("audio-sent", {"audio": [each["audio"]]}) for each in reviews]
        answers = await asyncio.gather(*questions, *spoken_reviews)

        assert [answer.texts("answer")[0] for answer in answers[: len(samples)]] == column(
            samples, "answer"
        )
        assert [answer.texts("label")[0] for answer in answers[len(samples) :]] == column(
            reviews, "label"
        )
        assert (await occupied).texts("text")
        heard = [answer.trace["steps"][0] for answer in answers]
        assert {(step["name"], step["transport"]) for step in heard} == {
            ("speech-to-text", "in-process")
        }
        largest = max(largest, *(step["batch_size"] for step in heard))
        # More than either pipeline sent.
        if largest > max(len(samples), len(reviews)):
            return
    pytest.fail(f"of two pipelines' requests at most {largest} ran together")


@pytest.mark.parametrize(
    ("model", "front_end", "beams"),
    one_in(
        5,
        itertools.product(
            ("summarization", "translation-fr-en", "translation-en-de"), FRONT_ENDS, (1, 3)
        ),
    ),
)
async def test_generation_in_a_batch_is_what_it_is_alone(
    models: ServerProcess, connect: Connect, model: str, front_end: str, beams: int
) -> None:
    client = connect(models, front_end)
    texts = [each.text for each in told("fr" if "-fr-" in model else "en")]
    parameters = {"num_beams": beams}

    together = await client.infer(model, {"text": texts}, parameters=parameters)
    alone = await asyncio.gather(
        *(client.infer(model, {"text": [text]}, parameters=parameters) for text in texts)
    )
    one_by_one = [
        (await client.infer(model, {"text": [text]}, parameters=parameters)).texts("text")[0]
        for text in texts
    ]

    assert len(set(one_by_one)) == len(texts)
    assert together.texts("text") == one_by_one
    assert [answer.texts("text")[0] for answer in alone] == one_by_one


@every_way
async def test_generation_parameters_reach_the_step_that_they_name(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    client = connect(everywhere[transport], front_end)
    text = told("fr")[0].text

    whole = await client.infer("nlp", {"text": [text]})
    short = await client.infer(
        "nlp", {"text": [text]}, parameters={"summarization.max_new_tokens": 4}
    )
    refused = await client.infer(
        "nlp", {"text": [text]}, parameters={"summarization.num_beams": 1000}
    )
    unknown = await client.infer("nlp", {"text": [text]}, parameters={"summary.num_beams": 2})

    assert short.texts("english") == whole.texts("english")
    assert len(short.texts("summary")[0]) < len(whole.texts("summary")[0])
    assert whole.texts("summary")[0].startswith(short.texts("summary")[0].rstrip())
    assert refused.status == unknown.status == 400
    assert "step 'summarization'" in refused.error
    assert "num_beams" in refused.error
    assert "no step 'summary'; did you mean 'summarization.num_beams'?" in unknown.error
