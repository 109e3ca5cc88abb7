"""One pipeline file gives the same answers wherever its steps run, at either front end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.exhaustive import only

from .conftest import FRONT_ENDS, TRANSPORTS, Connect, Echoes, Servers
from .echo_pipelines import PIPELINES, Case
from .server import ServerProcess, SplitServer
from .v2 import Answer

SPLIT = ("diamond", "cascade")
CASES = [
    pytest.param(name, case, id=f"{name}-{number}")
    for name, pipeline in PIPELINES.items()
    for number, case in enumerate(pipeline.cases)
]


@pytest.fixture(scope="module")
def split(echoes: Echoes) -> Iterator[ServerProcess]:
    """The stages of two pipelines, each in a process of its own."""
    with SplitServer(echoes.stages.folder, SPLIT) as server:
        yield server


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("name", "case"), CASES)
async def test_an_echo_pipeline_answers_as_its_file_says(
    echoes: Echoes, connect: Connect, name: str, case: Case, transport: str, front_end: str
) -> None:
    client = connect(echoes.servers[transport], front_end)
    answer = await client.infer(name, case.request, parameters={"trace": True})
    assert _plain(answer) == list(case.outputs)
    assert {step["transport"] for step in _steps(answer)} == {transport}


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("name", SPLIT)
async def test_an_echo_pipeline_answers_the_same_with_a_process_for_each_stage(
    split: ServerProcess, connect: Connect, name: str, front_end: str
) -> None:
    client = connect(split, front_end)
    for case in PIPELINES[name].cases:
        answer = await client.infer(name, case.request, parameters={"trace": True})
        assert _plain(answer) == list(case.outputs)
        assert {step["transport"] for step in _steps(answer)} == {"rest"}


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("transport", only(TRANSPORTS, [*TRANSPORTS, "split"]))
async def test_audio_qa_answers_the_samples(
    everywhere: Servers,
    connect: Connect,
    samples: list[dict[str, Any]],
    transport: str,
    front_end: str,
) -> None:
    client = connect(everywhere[transport], front_end)
    for sample in samples:
        answer = await client.infer(
            "audio-qa", {"audio": [sample["audio"]], "context": [sample["context"]]}
        )
        assert answer.texts("answer") == [sample["answer"]]


@pytest.mark.parametrize("transport", only(["grpc", "rest"], ["grpc", "rest", "split"]))
async def test_audio_qa_says_exactly_the_same_everywhere(
    everywhere: Servers,
    connect: Connect,
    samples: list[dict[str, Any]],
    transport: str,
) -> None:
    request = {
        "audio": [sample["audio"] for sample in samples],
        "context": [sample["context"] for sample in samples],
    }
    answers = {
        where: await connect(everywhere[where], "grpc").infer("audio-qa", request)
        for where in ("in-process", transport)
    }
    here, there = answers["in-process"], answers[transport]
    assert there.names == here.names
    for name in ("answer", "transcript"):
        assert there.texts(name) == here.texts(name)
    # The batches may be cut differently, and sums of floats with them.
    np.testing.assert_allclose(there["score"], here["score"], rtol=1e-3)


def _plain(answer: Answer) -> list[tuple[str, list[Any]]]:
    return [(name, values) for name, _, _, values in answer.values()]


def _steps(answer: Answer) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = answer.trace["steps"]
    assert steps
    return steps
