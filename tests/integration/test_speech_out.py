"""Speech out of a server: what is spoken is heard again as the same words."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import jiwer
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from tests.sounds import encoded
from zoo.world import normalise_transcript, sentences

from .conftest import FRONT_ENDS, SAMPLES, Connect, Servers, every_way
from .server import REPOSITORY, ServerProcess
from .test_language_pipelines import column, spoken

SENTENCES = 8
MOST_WRONG = 0.15
"""Of the words that are heard; the cards say how many are, of more sentences."""


def samples(audio: bytes) -> tuple[np.ndarray[Any, Any], int]:
    sound, rate = soundfile.read(io.BytesIO(audio), dtype="int16")
    return sound, rate


@pytest.mark.parametrize(("language", "suffix"), [("en", ""), ("de", "-de")])
async def test_a_text_that_is_spoken_is_heard_as_the_same_words(
    models: ServerProcess, connect: Connect, language: str, suffix: str
) -> None:
    client = connect(models, "grpc")
    texts = sentences(21, SENTENCES, "held_out", language=language)

    said = await client.infer(f"text-to-speech{suffix}", {"text": texts})
    heard = await client.infer(f"speech-to-text{suffix}", {"audio": said["audio"].ravel().tolist()})

    transcripts = [normalise_transcript(text, language) for text in texts]
    assert jiwer.wer(transcripts, heard.texts("text")) <= MOST_WRONG
    for audio, rate, count in zip(
        said["audio"].ravel(), said["sampling_rate"], said["num_samples"], strict=True
    ):
        sound, its_rate = samples(audio)
        assert (its_rate, len(sound)) == (rate, count)


@every_way
async def test_spoken_qa(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    asked = spoken("samples.json")[:2]
    client = connect(everywhere[transport], front_end)

    answer = await client.infer(
        "spoken-qa", {"audio": column(asked, "audio"), "context": column(asked, "context")}
    )

    assert answer.texts("transcript") == column(asked, "transcript")
    assert answer.texts("answer") == column(asked, "answer")
    # The answers are words of their own, each spoken as it is without a pipeline.
    speaker = connect(everywhere["in-process"], front_end)
    alone = await speaker.infer("text-to-speech", {"text": column(asked, "answer")})
    assert answer["num_samples"].tolist() == alone["num_samples"].tolist()
    assert answer["audio"].ravel().tolist() == alone["audio"].ravel().tolist()


@every_way
async def test_assistant_answers_or_says_that_it_does_not_know(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    asked = spoken("samples.json")[:2]
    client = connect(everywhere[transport], front_end)
    speaker = connect(everywhere["in-process"], front_end)
    nameless = await speaker.infer("text-to-speech", {"text": ["What did he buy?"]})
    silence = encoded(np.zeros(16_000))
    known, other = asked
    request = {
        "audio": [known["audio"], silence, known["audio"], nameless["audio"].ravel()[0]],
        # Of the third question the text does not speak.
        "context": [known["context"], known["context"], other["context"], known["context"]],
    }

    answer = await client.infer("assistant", request, parameters={"trace": True})

    replies = [
        known["answer"],
        "I did not hear a question.",
        "I do not know.",
        "I do not know who or what you mean.",
    ]
    assert answer.texts("reply") == replies
    transcripts = answer.texts("transcript")
    assert transcripts[:3] == [known["transcript"], "", known["transcript"]]
    counts = answer["num_entities"].ravel().tolist()
    assert (counts[1], counts[3]) == (0, 0)
    assert counts[0] == counts[2] > 0
    for text in answer["entities"][0, : counts[0]]:
        assert text.decode() in known["transcript"]
    # What names nothing is not asked of the text.
    asking = {step["item"] for step in answer.trace["steps"] if step["name"].startswith("question")}
    assert asking == {0, 2}
    alone = await speaker.infer("text-to-speech", {"text": replies})
    assert answer["audio"].ravel().tolist() == alone["audio"].ravel().tolist()


@pytest.mark.parametrize(
    ("pipeline", "file", "target", "voice", "other_voice"),
    [
        ("speech-translation", "sentences.json", "de", "text-to-speech-de", "text-to-speech"),
        ("speech-translation-de", "sentences-de.json", "en", "text-to-speech", "text-to-speech-de"),
    ],
)
async def test_speech_translation(
    models: ServerProcess,
    connect: Connect,
    pipeline: str,
    file: str,
    target: str,
    voice: str,
    other_voice: str,
) -> None:
    asked = spoken(file)[:2]
    client = connect(models, "grpc")

    answer = await client.infer(pipeline, {"audio": column(asked, "audio")})

    assert answer.texts("transcript") == column(asked, "transcript")
    assert answer.texts("translation") == column(asked, target)
    # It is the voice of their language that says them.
    alone = await client.infer(voice, {"text": column(asked, target)})
    assert answer["audio"].ravel().tolist() == alone["audio"].ravel().tolist()
    other = await client.infer(other_voice, {"text": column(asked, target)})
    assert answer["audio"].ravel().tolist() != other["audio"].ravel().tolist()


async def test_a_stream_over_rest_is_the_whole_in_parts(
    models: ServerProcess, connect: Connect
) -> None:
    text = " ".join(sentences(22, 3, "held_out"))
    whole = await connect(models, "rest").infer("text-to-speech", {"text": [text]})
    asked = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": [text]}]}

    parts = []
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{models.url}/v2/models/text-to-speech/infer_stream", json=asked) as came,
    ):
        assert came.status == 200
        async for line in came.content:
            if line.startswith(b"data: "):
                outputs = {each["name"]: each for each in json.loads(line[6:])["outputs"]}
                parts.append(samples(base64.b64decode(outputs["audio"]["data"][0]))[0])

    assert len(parts) > 3
    assert np.array_equal(np.concatenate(parts), samples(whole["audio"].ravel()[0])[0])


def test_a_load_of_streams_times_the_first_answer_and_those_after_it(
    models: ServerProcess, tmp_path: Path
) -> None:
    text = " ".join(sentences(22, 3, "held_out"))
    parts = set()
    for url in (models.grpc_url, models.url):
        folder = tmp_path / url.partition(":")[0]
        command = [
            *(sys.executable, "-m", "infergraph_clients.load", "run", "--stream", "--quiet"),
            *("--url", url, "--model", "text-to-speech", f"text={text}"),
            *("--arrivals", "single-stream:count=3", "--duration", "300", "--warmup", "0"),
            *("--timeout", "100", "--output", str(folder)),
            *("--set", "limits.dispatch_delay_ms=5000", "--set", "limits.cpu=100"),
        ]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        summary = json.loads((folder / "report.json").read_text())["summary"]
        assert (summary["requests"]["measured"], summary["outcomes"]["ok"]) == (3, 3)
        assert summary["first_answer"]["count"] == summary["answer_gap"]["count"] == 3
        records = pq.read_table(folder / "records.parquet").to_pylist()
        parts |= {each["answers"] for each in records}
        for each in records:
            # What comes after the first answer is at most as many gaps as there are.
            first, end = each["first_answer_ns"], each["end_ns"]
            assert each["sent_ns"] < first < end
            assert 0 < each["longest_gap_ns"] <= end - first
            assert end - first <= each["longest_gap_ns"] * each["answers"]
    # The same sound, in as many parts over both protocols.
    assert len(parts) == 1
    assert parts.pop() > 3


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_what_cannot_be_said_is_refused_by_name(
    models: ServerProcess, connect: Connect, front_end: str
) -> None:
    client = connect(models, front_end)

    unknown = await client.infer("text-to-speech", {"text": ["fine", "\u4e16\u754c"]})
    empty = await client.infer("text-to-speech", {"text": [" "]})

    assert (unknown.status, empty.status) == (400, 400)
    assert "U+4E16" in unknown.error
    assert "item 1" in unknown.error
    assert "accepted: at least one word" in empty.error


def test_the_sample_speaks_of_the_world() -> None:
    folder = SAMPLES.parents[1] / "model-settings" / "text-to-speech"
    request = json.loads((folder / "request.json").read_text())
    assert request["inputs"][0]["data"] == sentences(7, 2, "held_out")
