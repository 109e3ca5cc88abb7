"""Seldon Core 2: every pipeline's sample through the mesh, Models, Servers and Pipelines."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from infergraph.manifests.verdict import How
from tests.exhaustive import ParameterSet, only
from tests.integration.conftest import FRONT_ENDS
from tests.integration.server import get
from tests.integration.v2 import Answer, Client
from tests.manifests.examples import judged

from . import samples
from .conftest import LOADS, Connect, Images, Reference
from .dataflow import Dataflow, from_json, read
from .image import ROOT
from .kinds import one_of_each_kind
from .node import applied
from .rendered import PIPELINES
from .seldon import Seldon

HOW = {pipeline: judged(pipeline, "seldon-v2").how for pipeline in PIPELINES}
EXECUTED = [name for name, how in HOW.items() if how is not How.ROUTER]
"""Those that Seldon's dataflow engine executes."""
ROUTED = [name for name, how in HOW.items() if how is not How.UNCHANGED]
"""Those that our router executes, since it must, or does it for more than one item."""


def _representative(pipelines: Sequence[str]) -> list[ParameterSet]:
    return only([each for each in one_of_each_kind() if each in pipelines], pipelines)


SMALL_QUEUE = {"translation-en-de": {"max_queue_size": "1", "max_batch_size": "1"}}


@contextmanager
def installed(
    images: Images, root: Path, pipelines: Sequence[str], *options: str
) -> Iterator[Seldon]:
    storage = ("--storage-uri", "gs://bucket/models")
    with (
        applied(images, root, "seldon-v2", pipelines, *storage, *options) as node,
        Seldon(node, SMALL_QUEUE) as seldon,
    ):
        yield seldon
        assert node.rendered.written() == []


@pytest.fixture(scope="module")
def seldon(
    images: Images, tmp_path_factory: pytest.TempPathFactory, on_target: list[str]
) -> Iterator[Seldon]:
    """The pipelines that are applied as they are, in one namespace."""
    executed = [each for each in EXECUTED if each in on_target]
    with installed(images, tmp_path_factory.mktemp("seldon"), executed) as seldon:
        yield seldon


@pytest.fixture(scope="module")
def routed(
    images: Images, tmp_path_factory: pytest.TempPathFactory, on_target: list[str]
) -> Iterator[Seldon]:
    """Those that our router executes, as Models that call their steps through the mesh."""
    root = tmp_path_factory.mktemp("routed")
    held = [each for each in ROUTED if each in on_target]
    with installed(images, root, held, "--via-router") as seldon:
        yield seldon


Ask = Callable[[str, samples.Request], Awaitable[Answer]]
"""Sends a request to a Model, or to a Pipeline where `.pipeline` ends its name."""


def caller(seldon: Seldon, connect: Connect, front_end: str) -> Ask:
    mesh = seldon.mesh
    port = mesh.http_port if front_end == "rest" else mesh.grpc_port
    client: Client = connect(front_end, mesh.address, port)

    def ask(target: str, request: samples.Request) -> Awaitable[Answer]:
        return samples.send(client, target.partition(".")[0], request, seldon_model=target)

    return ask


def record(seldon: Seldon) -> tuple[list[list[str]], list[float]]:
    """What the agents loaded, and how often models were."""
    ours = [each for each in seldon.servers.values() if each.is_ours]
    return [list(each.loads) for each in seldon.agents.values()], [
        each.sum_of(LOADS) for each in ours
    ]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("pipeline", _representative(EXECUTED))
async def test_a_pipeline_answers_as_our_router(
    seldon: Seldon, reference: Reference, connect: Connect, pipeline: str, front_end: str
) -> None:
    """Item by item where a model of it takes one item a request."""
    ask = caller(seldon, connect, front_end)
    whole = samples.sample(pipeline)
    most = seldon.most_items(pipeline)
    assert (most == 1) or HOW[pipeline] is How.UNCHANGED

    for request in [whole] if most is None else samples.items(whole):
        answer = await ask(f"{pipeline}.pipeline", request)
        expected = await reference.answer(pipeline, request)
        if front_end == "rest":
            answer = samples.from_base64(answer, expected)
        samples.assert_same(answer, expected)

    assert seldon.pipelines[pipeline].stalls == []


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("pipeline", _representative(ROUTED))
async def test_our_router_as_a_model_answers_through_the_mesh(
    routed: Seldon, reference: Reference, connect: Connect, pipeline: str, front_end: str
) -> None:
    request = samples.sample(pipeline)
    ask = caller(routed, connect, front_end)

    answer = await ask(pipeline, request)

    samples.assert_same(answer, await reference.answer(pipeline, request))


async def test_a_pipeline_that_the_verdict_refuses_would_stall(
    routed: Seldon, connect: Connect
) -> None:
    """Seldon would answer a minute late, where no branch for vehicles or people is taken."""
    text = (ROOT / "pipelines" / "video-monitoring.yaml").read_text()
    pipeline = Dataflow(yaml.safe_load(text))
    silent = samples.sample("content-safety")
    request = from_json(samples.items(silent)[0])
    agent = routed.agent_of("object-detection")

    def call(step: str, asked: object) -> object:
        return agent.grpc(agent.serving[step], asked, [])

    answer = await asyncio.to_thread(pipeline.run, request, call)
    assert read(answer.response()).tensors[0].name == "num_detections"
    assert pipeline.stalls == ["the output"]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_only_x_headers_reach_models_through_a_pipeline(
    seldon: Seldon, connect: Connect, front_end: str
) -> None:
    mesh = seldon.mesh
    port = mesh.http_port if front_end == "rest" else mesh.grpc_port
    client = connect(front_end, mesh.address, port)
    del mesh.asked[:]

    answer = await samples.send(
        client,
        "sum-qa",
        samples.sample("sum-qa"),
        seldon_model="sum-qa.pipeline",
        infergraph_timeout_ms="1",
        x_infergraph_trace="1",
    )

    # The time-out of a millisecond is lost on the way, or nothing would have been answered.
    assert answer.status == 200
    assert mesh.asked == [
        {"seldon-model": step, "x-infergraph-trace": "1"}
        for step in ("summarization", "question-answering")
    ]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_a_bad_request_loads_nothing(
    seldon: Seldon, connect: Connect, front_end: str
) -> None:
    ask = caller(seldon, connect, front_end)
    before = record(seldon)

    for bad in (samples.with_unknown_tensor, samples.with_bad_content):
        request = bad(samples.sample("object-detection"))
        answer = await ask("object-detection", request)
        assert answer.status == (422 if front_end == "rest" else 400)
        assert answer.error.endswith(" (status 400)") == (front_end == "rest")
    answer = await ask("nsfw.pipeline", samples.with_bad_content(samples.sample("nsfw")))
    assert answer.status == (400 if front_end == "rest" else 0)
    assert answer.error.startswith("object-detection : ")
    assert record(seldon) == before


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_an_overload_loads_nothing(
    seldon: Seldon, reference: Reference, connect: Connect, front_end: str
) -> None:
    ask = caller(seldon, connect, front_end)
    model, pipeline = "translation-en-de", "audio-translation"
    server = seldon.server_of(model)
    before = record(seldon)
    request = samples.sample(model)
    expected = await reference.answer(model, request)

    answers = await asyncio.gather(*(ask(model, request) for _ in range(12)))
    refused = [each for each in answers if each.status != 200]
    # Over gRPC the agent repeats the call until there is room, or it has had enough.
    assert refused or front_end == "grpc"
    for each in refused:
        assert each.status == (429 if front_end == "rest" else 0)
        assert "its queue is full" in each.error
        assert each.error.endswith(" (status 503)")
    for each in answers:
        if each.status == 200:
            samples.assert_same(each, expected)

    request = samples.sample(pipeline)
    expected = await reference.answer(pipeline, request)
    for each in await asyncio.gather(*(ask(f"{pipeline}.pipeline", request) for _ in range(8))):
        if each.status == 200:
            samples.assert_same(each, expected)
        else:
            assert each.error.startswith(f"{model} : ")
            assert each.error.endswith(" (status 503)")
    metrics = server.metrics()
    assert metrics[f'infergraph_model_refusals_total{{cause="queue_full",model="{model}"}}'] > 0
    assert record(seldon) == before


async def test_a_load_of_the_same_generation_changes_nothing_under_load(
    seldon: Seldon, reference: Reference, connect: Connect
) -> None:
    ask = caller(seldon, connect, "rest")
    request = samples.sample("sum-qa")
    expected = await reference.answer("sum-qa", request)
    agent, server = seldon.agent_of("summarization"), seldon.server_of("summarization")
    loads, memory = record(seldon)[1], server.memory()

    def again() -> None:
        for _ in range(3):
            for model in ("summarization", "question-answering", "speech-to-text"):
                agent.load(agent.serving[model])

    answers = await _while(again, lambda: ask("sum-qa.pipeline", request))

    for each in answers:
        samples.assert_same(each, expected)
    assert record(seldon)[1] == loads
    # Its models' share alone is more than this.
    assert server.memory() - memory < 64 << 20


async def test_an_edited_model_takes_over_without_loss(
    seldon: Seldon, reference: Reference, connect: Connect, tmp_path: Path
) -> None:
    ask = caller(seldon, connect, "rest")
    request = samples.sample("sum-qa")
    expected = await reference.answer("sum-qa", request)
    model = "question-answering"
    agent = seldon.agent_of(model)
    changed = tmp_path / model
    shutil.copytree(seldon.rendered.storage / model, changed)
    file = changed / "model-settings.json"
    settings = json.loads(file.read_text())
    settings.setdefault("parameters", {}).setdefault("extra", {})["max_batch_size"] = 3
    changed.chmod(0o755)
    file.unlink()
    file.write_text(json.dumps(settings))
    assert agent.serving[model] == f"{model}_1"

    answers = await _while(
        lambda: seldon.bring(model, 2, changed), lambda: ask("sum-qa.pipeline", request)
    )

    for each in answers:
        samples.assert_same(each, expected)
    assert agent.serving[model] == f"{model}_2"
    direct = await ask(model, samples.sample(model))
    assert json.loads(direct.body)["model_name"] == f"{model}_2"
    loads = seldon.server_of(model).metrics()[f'{LOADS}{{model="{model}"}}']
    assert loads == 2
    assert get(f"{agent.server.url}/v2/models/{model}_2/ready") is not None
    assert get(f"{agent.server.url}/v2/models/{model}_1/ready") is None


async def _while(work: Callable[[], None], ask: Callable[[], Awaitable[Answer]]) -> list[Answer]:
    """The answers to what is asked while something else is done."""
    task = asyncio.create_task(asyncio.to_thread(work))
    answers = []
    while not task.done():
        answers += await asyncio.gather(*(ask() for _ in range(4)))
    await task
    return answers
