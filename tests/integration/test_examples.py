"""What the README shows: the demo, and the example clients."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .server import LOAD_SECONDS, REPOSITORY, STOP_SECONDS, ServerProcess


def run(*command: str, timeout: float = 120) -> list[list[str]]:
    """The lines of a program's output, split at white space; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_example_client(
    models: ServerProcess, samples: list[dict[str, Any]], tmp_path: Path, protocol: str
) -> None:
    sample = samples[0]
    audio = tmp_path / "question"
    audio.write_bytes(sample["audio"])
    port = models.grpc_port if protocol == "grpc" else models.http_port
    lines = run(
        f"infergraph_clients.examples.audio_qa_{protocol}",
        *(str(audio), sample["context"], "--url", f"127.0.0.1:{port}"),
    )
    assert lines[0] == ["heard:", *sample["transcript"].split()]
    assert lines[1] == ["answer:", *sample["answer"].split()]
    assert lines[2][0] == "score:"
    assert 0 < float(lines[2][1]) <= 1


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
