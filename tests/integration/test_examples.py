"""What the README and the clients' page show: the demo, and the example clients as they stand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from zoo.articles import articles
from zoo.world import foreign_sentences

from .conftest import SAMPLES, Connect
from .server import COMMAND_SECONDS, LOAD_SECONDS, PROXIES, REPOSITORY, STOP_SECONDS, ServerProcess

EXAMPLES = REPOSITORY / "clients" / "infergraph_clients" / "examples"
MOST_LINES = 40
SEED = 5


def run(*command: str, stdin: str = "", timeout: float = COMMAND_SECONDS) -> list[list[str]]:
    """The lines of a program's output, split at white space; it must succeed.

    Its environment names proxies, which nothing here may ask.
    """
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=REPOSITORY,
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, **PROXIES},
        timeout=timeout,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split() for line in done.stdout.splitlines()]


def example(name: str, *arguments: str, stdin: str = "") -> list[list[str]]:
    return run(f"infergraph_clients.examples.{name}", *arguments, stdin=stdin)


def address(server: ServerProcess, protocol: str) -> str:
    return f"127.0.0.1:{server.grpc_port if protocol == 'grpc' else server.http_port}"


@pytest.fixture(scope="module")
def reviews() -> list[dict[str, str]]:
    entries: list[dict[str, str]] = json.loads((SAMPLES / "reviews.json").read_text())
    assert {entry["label"] for entry in entries[:2]} == {"positive", "negative"}
    return entries


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_sync(models: ServerProcess, reviews: list[dict[str, str]], protocol: str) -> None:
    for review in reviews[:2]:
        (line,) = example(f"{protocol}_sync", review["text"], "--url", address(models, protocol))
        label, score = line
        assert label == review["label"]
        assert 0.5 < float(score) <= 1


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_async(models: ServerProcess, reviews: list[dict[str, str]], protocol: str) -> None:
    texts = [review["text"] for review in reviews[:2]]
    lines = example(f"{protocol}_async", *texts, "--url", address(models, protocol))
    assert lines == [[review["label"] for review in reviews[:2]]]


@pytest.mark.parametrize("in_flight", [1, 16])
def test_many_in_flight(
    models: ServerProcess, reviews: list[dict[str, str]], in_flight: int
) -> None:
    lines = example(
        *("many_in_flight", "--url", address(models, "grpc"), "--in-flight", str(in_flight)),
        stdin="".join(f"{review['text']}\n" for review in reviews * 10),
    )
    assert lines == [[review["label"], *review["text"].split()] for review in reviews] * 10


def test_batch(models: ServerProcess, reviews: list[dict[str, str]]) -> None:
    texts = [review["text"] for review in reviews]
    lines = example("batch", *texts, "--url", address(models, "grpc"))
    assert [(line[0], " ".join(line[2:])) for line in lines] == [
        (review["label"], review["text"]) for review in reviews
    ]
    assert all(0.5 < float(line[1]) <= 1 for line in lines)


def test_wav(models: ServerProcess, samples: list[dict[str, Any]], tmp_path: Path) -> None:
    sample = samples[0]
    audio = tmp_path / "question"
    audio.write_bytes(sample["audio"])
    url = address(models, "grpc")
    heard, answer, score = example("wav", str(audio), sample["context"], "--url", url)
    assert heard == ["heard:", *sample["transcript"].split()]
    assert answer == ["answer:", *sample["answer"].split()]
    assert score[0] == "score:"
    assert 0 < float(score[1]) <= 1


def test_image(models: ServerProcess, tmp_path: Path) -> None:
    content = b"\xff\xd8\xff\xe0-a-JPEG-by-its-first-bytes"
    image = tmp_path / "picture.jpg"
    image.write_bytes(content)
    ((name, data),) = example("image", "echo", str(image), "--url", address(models, "rest"))
    assert (name, data) == ("image", content.decode(errors="replace"))


async def test_conditional(models: ServerProcess, connect: Connect, tmp_path: Path) -> None:
    """Each file is told what the pipeline answers for it; the checkpoints need not be right."""
    languages = ["fr", "it", "en"]
    texts = [
        articles(SEED, 1, "held_out", language="fr")[0].text,
        foreign_sentences(SEED, 1, "held_out", "it")[0],
        articles(SEED, 1, "held_out")[0].text,
    ]
    answer = await connect(models, "grpc").infer("nlp", {"text": [texts[0], texts[2]]})
    files = [tmp_path / f"{language}.txt" for language in languages]
    for file, text in zip(files, texts, strict=True):
        file.write_text(f"{text}\n", encoding="utf-8")

    lines = example("conditional", *map(str, files), "--url", address(models, "grpc"))

    told = [(*line[:2], " ".join(line[2:])) for line in lines]
    assert told[:-1] == [
        (file, f"{name}:", text)
        for name in ("language", "english", "summary")
        for file, text in zip(("fr.txt", "en.txt"), answer.texts(name), strict=True)
    ]
    assert told[0] == ("fr.txt", "language:", "fr")
    assert told[3] == ("en.txt", "english:", texts[2])
    assert told[-1][:2] == ("it.txt", "error:")
    assert "language 'it' is not supported" in told[-1][2]


def test_errors(models: ServerProcess) -> None:
    unknown, invalid, late = example("errors", "--url", address(models, "grpc"))
    assert unknown[0] == "StatusCode.NOT_FOUND:"
    assert "'no-such-model'" in unknown
    assert invalid[0] == "StatusCode.INVALID_ARGUMENT:"
    assert "FP32" in " ".join(invalid)
    assert late[0] == "StatusCode.DEADLINE_EXCEEDED:"
    assert "the deadline of 0.001 ms passed" in " ".join(late)


def test_examples_are_short_and_named_in_their_own_text() -> None:
    for file in EXAMPLES.glob("[!_]*.py"):
        text = file.read_text()
        assert len(text.splitlines()) < MOST_LINES, file
        assert f"python -m infergraph_clients.examples.{file.stem}" in text, file


def test_demo(samples: list[dict[str, Any]]) -> None:
    """The sample request of audio-qa is one of the samples."""
    lines = run("infergraph.cli", "demo", "audio-qa", timeout=LOAD_SECONDS + STOP_SECONDS)
    (question,) = (line[1:] for line in lines if line[:1] == ["transcript"])
    answers = {
        tuple(f'"{sample["transcript"]}"'.split()): f'"{sample["answer"]}"'.split()
        for sample in samples
    }
    assert [line[1:] for line in lines if line[:1] == ["answer"]] == [answers[tuple(question)]] * 2
    steps = [line[:2] for line in lines if line[1:2] == ["in-process"]]
    assert steps == [["speech-to-text", "in-process"], ["question-answering", "in-process"]]
