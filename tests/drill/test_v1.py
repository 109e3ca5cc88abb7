"""Seldon Core 1: every pipeline's sample through its graph, each node a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from infergraph.manifests.inference_graph import plan_graph
from infergraph.manifests.verdict import How
from tests.exhaustive import only
from tests.manifests import examples

from . import samples
from .conftest import LOADS, SMALL_QUEUE, Images, Reference
from .kinds import one_of_each_kind
from .rendered import PIPELINES
from .v1 import Ingress, Installation, ask_grpc, installed, typed

OVERLOADED = "audio-translation"
ONE_ITEM = [
    pipeline for pipeline in PIPELINES if examples.judged(pipeline, "seldon-v1").how is How.ONE_ITEM
]
MOST_NODES = 20
"""How many nodes are there at the same time."""


def _together(pipelines: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Pipelines that are installed at the same time."""
    group: list[str] = []
    nodes = 0
    for each in pipelines:
        steps = len(examples.parsed(each).spec.steps)
        if group and nodes + steps > MOST_NODES:
            yield tuple(group)
            group, nodes = [], 0
        group.append(each)
        nodes += steps
    yield tuple(group)


class Installed:
    """One pipeline, as it was installed.

    Attributes:
        pipeline: Its name.
        installation: Its pods, and what else is there.
        executor: What stands before its nodes.
        graph: The tree that it is, or None where our router is the one node.
    """

    def __init__(self, pipeline: str, installation: Installation) -> None:
        self.pipeline = pipeline
        self.installation = installation
        self.executor = installation.executor(pipeline)
        self.graph = None
        if examples.judged(pipeline, "seldon-v1").how is not How.ROUTER:
            self.graph = plan_graph(examples.parsed(pipeline), examples.catalog())

    def requests(self) -> list[samples.Request]:
        """The sample, as one request or one for each item, as the target holds the pipeline."""
        request = samples.sample(self.pipeline)
        return samples.items(request) if self.pipeline in ONE_ITEM else [request]

    def loads(self) -> float:
        """How often a model was loaded, in all of its pods together."""
        pods = (
            each for each in self.installation.pods if each.name.startswith(f"{self.pipeline}-")
        )
        found = [each for pod in pods for each in pod.containers.values()]
        assert found
        return sum(each.sum_of(LOADS) for each in found if each.is_ours)


class Groups:
    """Installs one group of pipelines at a time; the one before ends meanwhile."""

    def __init__(
        self, images: Images, folders: pytest.TempPathFactory, pipelines: Sequence[str]
    ) -> None:
        self._images = images
        self._together = list(_together(pipelines))
        self._folders = folders
        self._group: tuple[str, ...] = ()
        self._stack = ExitStack()
        self._installation: Installation | None = None
        self._thread = ThreadPoolExecutor(1)
        self._ending: Future[None] | None = None

    def having(self, pipeline: str) -> Installation:
        if pipeline not in self._group or self._installation is None:
            self._end()
            self._group = next(group for group in self._together if pipeline in group)
            extra = {"translation-en-de": SMALL_QUEUE}
            made = installed(self._images, self._folders.mktemp("v1"), self._group, extra=extra)
            self._installation = self._stack.enter_context(made)
        return self._installation

    def _end(self) -> None:
        """Has the group end, once the one before has ended."""
        if self._ending is not None:
            self._ending.result()
        stack, installation = self._stack, self._installation
        self._stack, self._installation = ExitStack(), None
        self._ending = self._thread.submit(_ended, stack, installation)

    def close(self) -> None:
        """Ends the last group; AssertionError if one did not end as it should."""
        with self._thread:
            self._end()
            assert self._ending is not None
            self._ending.result()


def _ended(stack: ExitStack, installation: Installation | None) -> None:
    """Its pods end by themselves, and have written nothing."""
    with stack:
        if installation is not None:
            stopped = installation.stop(installation.pods)
            assert {status for pod in stopped.values() for status in pod.values()} == {0}
            assert installation.rendered.written() == []


@pytest.fixture(scope="module")
def groups(
    images: Images, tmp_path_factory: pytest.TempPathFactory, on_target: list[str]
) -> Iterator[Groups]:
    groups = Groups(images, tmp_path_factory, on_target)
    yield groups
    groups.close()


@pytest.fixture(scope="module", params=only(one_of_each_kind(), PIPELINES))
def each(request: pytest.FixtureRequest, groups: Groups) -> Installed:
    """Each pipeline in turn."""
    return Installed(request.param, groups.having(request.param))


@pytest.fixture
async def ingress(each: Installed) -> AsyncIterator[Ingress]:
    client = Ingress(each.executor, each.pipeline)
    yield client
    await client.close()


async def test_a_sample_is_answered_as_by_one_server(
    each: Installed, reference: Reference, ingress: Ingress
) -> None:
    for request in each.requests():
        answer = await ingress.ask(request)

        samples.assert_same(answer, await reference.answer(each.pipeline, request))


async def test_a_chain_answers_over_grpc_too(each: Installed, reference: Reference) -> None:
    if each.graph is not None and not each.graph.is_chain:
        with pytest.raises(AssertionError, match="panics"):
            each.executor.infer_grpc(typed(each.requests()[0]))
        return
    (request,) = each.requests()

    answer = await ask_grpc(each.executor, request)

    samples.assert_same(answer, await reference.answer(each.pipeline, request))


async def test_a_bad_request_is_refused_and_loads_nothing(
    each: Installed, ingress: Ingress
) -> None:
    before = each.loads()
    request = each.requests()[0]

    answer = await ingress.ask(samples.with_unknown_tensor(request))

    assert (answer.status, "nobody-knows" in answer.error) == (400, True), answer
    if any("parameters" in tensor for tensor in request["inputs"]):
        answer = await ingress.ask(samples.with_bad_content(request))
        assert answer.status == 400, answer
    if each.pipeline in ONE_ITEM and samples.sample(each.pipeline)["inputs"][0]["shape"][0] > 1:
        answer = await ingress.ask(samples.sample(each.pipeline))
        assert answer.status == 400
        assert "accepted: at most 1 (setting 'max_items')" in answer.error
    assert each.loads() == before


async def test_a_name_in_the_path_is_used_at_every_node(each: Installed, ingress: Ingress) -> None:
    answer = await ingress.ask(each.requests()[0], model="nobody")

    assert answer.status == 404
    assert "nobody" in answer.error


async def test_headers_reach_the_nodes(each: Installed, ingress: Ingress) -> None:
    answer = await ingress.ask(each.requests()[0], infergraph_timeout_ms="0.001")

    assert answer.status == 504, answer


@pytest.mark.parametrize("each", [OVERLOADED], indirect=True)
async def test_an_overload_is_told_and_loads_nothing(
    each: Installed, ingress: Ingress, reference: Reference
) -> None:
    request, before = samples.sample(OVERLOADED), each.loads()

    answers = await asyncio.gather(*(ingress.ask(request) for _ in range(8)))

    assert {answer.status for answer in answers} == {200, 503}
    expected = await reference.answer(OVERLOADED, request)
    for answer in answers:
        if answer.status == 200:
            samples.assert_same(answer, expected)
        else:
            assert "model 'translation-en-de': its queue is full" in answer.error
    assert each.loads() == before


async def test_what_is_not_sure_goes_to_the_next_node(
    images: Images, reference: Reference, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("unsure")
    extra = {"resnet": {"INFERGRAPH_RESNET__THRESHOLD": "1"}}
    with installed(images, root, ["cascade"], extra=extra) as installation:
        executor = installation.executor("cascade")
        ingress = Ingress(executor, "cascade")
        for request in samples.items(samples.sample("cascade")):
            executor.calls.clear()

            answer = await ingress.ask(request)

            expected = await reference.answer("inception", request)
            assert answer.names == ["label", "score"]
            assert answer["label"].tolist() == expected["label"].tolist()
            assert executor.calls == [
                ("resnet", "infer"), ("resnet", "route"), ("inception", "infer")
            ]  # fmt: skip
        await ingress.close()


async def test_our_router_as_the_one_node_takes_a_batch(
    images: Images, reference: Reference, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("routed")
    with installed(images, root, ["cascade"], "--via-router") as installation:
        executor = installation.executor("cascade")
        ingress = Ingress(executor, "cascade")
        request = samples.sample("cascade")
        expected = await reference.answer("cascade", request)

        samples.assert_same(await ingress.ask(request), expected)
        samples.assert_same(await ask_grpc(executor, request), expected)

        await ingress.close()
        assert {name for name, _ in executor.calls} == {"cascade"}
