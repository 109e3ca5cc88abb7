"""Plain Kubernetes: the samples of a pipeline of each kind through the pods of its manifests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.conftest import FRONT_ENDS

from . import samples
from .conftest import LOADS, SMALL_QUEUE, Connect, Images, Reference
from .kinds import one_of_each_kind
from .kubernetes import Cluster
from .node import ON_KUBERNETES, applied
from .pod import Pod

PIPELINES = one_of_each_kind()
PORTS = {"rest": "http", "grpc": "grpc"}


@contextmanager
def started(
    images: Images,
    root: Path,
    pipelines: Sequence[str],
    extra: Mapping[str, Mapping[str, str]],
    *options: str,
) -> Iterator[Cluster]:
    with (
        applied(images, root, "kubernetes", pipelines, *ON_KUBERNETES, *options) as node,
        Cluster(node, extra) as cluster,
    ):
        yield cluster


@pytest.fixture(scope="module")
def cluster(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Several pipelines in one namespace, each model and router once."""
    root = tmp_path_factory.mktemp("kubernetes")
    with started(images, root, PIPELINES, {"translation-en-de": SMALL_QUEUE}) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def replicated(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One pipeline, all of whose parts are there twice."""
    root = tmp_path_factory.mktemp("replicated")
    with started(images, root, ["audio-sent"], {}, "--replicas", "2") as cluster:
        yield cluster


def loads(cluster: Cluster) -> float:
    """How often a model was loaded, in all pods together."""
    return sum(each.sum_of(LOADS) for each in cluster.containers() if each.is_ours)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("pipeline", PIPELINES)
async def test_a_sample_is_answered_as_by_one_server(
    cluster: Cluster, reference: Reference, connect: Connect, pipeline: str, front_end: str
) -> None:
    request = samples.sample(pipeline)
    ((address, port),) = cluster.addresses(pipeline, PORTS[front_end])

    answer = await samples.send(connect(front_end, address, port), pipeline, request)

    samples.assert_same(answer, await reference.answer(pipeline, request))


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_a_bad_request_is_refused_and_loads_nothing(
    cluster: Cluster, connect: Connect, front_end: str
) -> None:
    before = loads(cluster)
    for pipeline in PIPELINES:
        ((address, port),) = cluster.addresses(pipeline, PORTS[front_end])
        bad = samples.with_unknown_tensor(samples.sample(pipeline))
        answer = await samples.send(connect(front_end, address, port), pipeline, bad)
        assert (answer.status, "nobody-knows" in answer.error) == (400, True), answer

    # Of a model behind the router.
    ((address, port),) = cluster.addresses("nsfw", PORTS[front_end])
    bad = samples.with_bad_content(samples.sample("nsfw"))
    answer = await samples.send(connect(front_end, address, port), "nsfw", bad)
    assert answer.status == 400
    assert "pipeline 'nsfw', step 'object-detection' (model at http://object-" in answer.error
    assert loads(cluster) == before


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_an_overload_is_told_and_loads_nothing(
    cluster: Cluster, reference: Reference, connect: Connect, front_end: str
) -> None:
    pipeline = "audio-translation"
    request = samples.sample(pipeline)
    before = loads(cluster)
    ((address, port),) = cluster.addresses(pipeline, PORTS[front_end])
    client = connect(front_end, address, port)

    answers = await asyncio.gather(*(samples.send(client, pipeline, request) for _ in range(8)))

    samples.assert_overloaded(answers, await reference.answer(pipeline, request))
    assert loads(cluster) == before


def replicas(cluster: Cluster, name: str) -> list[Pod]:
    pods = cluster.behind(name)
    assert len(pods) == 2
    return pods


async def test_both_replicas_of_each_part_get_requests(
    replicated: Cluster, reference: Reference, connect: Connect
) -> None:
    request = samples.sample("audio-sent")
    expected = await reference.answer("audio-sent", request)
    clients = [
        connect(front_end, *each)
        for front_end in FRONT_ENDS
        for each in replicated.addresses("audio-sent", PORTS[front_end])
    ]

    for _ in range(2):
        sent = (samples.send(client, "audio-sent", request) for client in clients * 2)
        for answer in await asyncio.gather(*sent):
            samples.assert_same(answer, expected)

    for model in ("speech-to-text", "sentiment"):
        for pod in replicas(replicated, model):
            assert _answered(pod) > 0, pod.name
    for pod in replicas(replicated, "audio-sent"):
        assert pod.containers["audio-sent"].sum_of("infergraph_step_seconds_count") > 0, pod.name


def _answered(pod: Pod) -> float:
    """How many requests a model's pod has answered."""
    (container,) = pod.containers.values()
    return container.sum_of("infergraph_model_queue_seconds_count")


async def test_a_replica_that_goes_loses_no_request(
    replicated: Cluster, reference: Reference, connect: Connect
) -> None:
    request = samples.sample("audio-sent")
    expected = await reference.answer("audio-sent", request)
    routers = replicas(replicated, "audio-sent")
    leaving = [replicas(replicated, name)[0] for name in ("speech-to-text", "sentiment")]
    staying = [replicas(replicated, name)[1] for name in ("speech-to-text", "sentiment")]
    clients = [connect("rest", pod.address, pod.port_names["http"]) for pod in routers]

    stopping = asyncio.create_task(asyncio.to_thread(replicated.stop, leaving))
    answers = []
    while not stopping.done():
        sent = (samples.send(client, "audio-sent", request) for client in clients)
        answers += await asyncio.gather(*sent)

    assert _statuses(await stopping) == {0}
    for answer in answers:
        samples.assert_same(answer, expected)
    assert len(answers) > len(clients)
    counts = [_answered(pod) for pod in staying]
    for client in clients:
        samples.assert_same(await samples.send(client, "audio-sent", request), expected)
    assert [_answered(pod) for pod in staying] == [count + len(clients) for count in counts]


async def test_all_pods_end_by_themselves_and_wrote_nothing_beside_their_scratch(
    cluster: Cluster, reference: Reference, connect: Connect
) -> None:
    ((address, port),) = cluster.addresses("sum-qa", "http")
    client = connect("rest", address, port)
    request = samples.sample("sum-qa")
    expected = await reference.answer("sum-qa", request)
    samples.assert_same(await samples.send(client, "sum-qa", request), expected)

    stopping = asyncio.create_task(asyncio.to_thread(cluster.stop, cluster.pods))
    # Its caller does not know yet, nor does the router of the steps' pods.
    samples.assert_same(await samples.send(client, "sum-qa", request), expected)
    stopped = await stopping
    assert stopped.keys() == {each.name for each in cluster.pods}
    assert _statuses(stopped) == {0}
    assert cluster.rendered.written() == []


def _statuses(stopped: Mapping[str, Mapping[str, int]]) -> set[int]:
    return {status for each in stopped.values() for status in each.values()}
