"""Seldon Core 1: every pipeline's sample through its graph, each node a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest

from infergraph.manifests.inference_graph import plan_graph
from infergraph.manifests.verdict import How
from tests.manifests import examples

from . import samples
from .conftest import LOADS, SMALL_QUEUE, Images, Reference
from .rendered import PIPELINES
from .v1 import Ingress, Installation, ask_grpc, installed, typed

OVERLOADED = "audio-translation"
ONE_ITEM = [
    pipeline for pipeline in PIPELINES if examples.judged(pipeline, "seldon-v1").how is How.ONE_ITEM
]
TOGETHER = (
    ("audio-qa", "audio-sent", OVERLOADED, "nlp", "sum-qa"),
    ("cascade", "ensemble", "nsfw", "preprocess", "video", "video-monitoring"),
    (
        *("asr-summarization", "diamond", "diamond-echo", "spoken-qa"),
        *("speech-translation", "speech-translation-de"),
    ),
    ("auto-annotation", "game", "general", "recommendation", "recommendation-graph"),
)
"""Pipelines that are installed at the same time; all others are a group too."""


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
        """How often a model was loaded, in all pods together."""
        found = self.installation.containers()
        return sum(each.sum_of(LOADS) for each in found if each.is_ours)


class Groups:
    """Installs one group of pipelines at a time."""

    def __init__(self, images: Images, folders: pytest.TempPathFactory) -> None:
        self._images = images
        self._folders = folders
        self._group: tuple[str, ...] = ()
        self._stack = ExitStack()
        self._installation: Installation | None = None

    def having(self, pipeline: str) -> Installation:
        if pipeline not in self._group or self._installation is None:
            self.close()
            others = tuple(each for each in PIPELINES if not any(each in g for g in TOGETHER))
            self._group = next(group for group in (*TOGETHER, others) if pipeline in group)
            extra = {"translation-en-de": SMALL_QUEUE}
            made = installed(self._images, self._folders.mktemp("v1"), self._group, extra=extra)
            self._installation = self._stack.enter_context(made)
        return self._installation

    def close(self) -> None:
        """Ends a group; its pods end by themselves, and have written nothing."""
        with self._stack:
            if self._installation is not None:
                stopped = self._installation.stop(self._installation.pods)
                assert {status for pod in stopped.values() for status in pod.values()} == {0}
                assert self._installation.rendered.written() == []
        self._installation = None


@pytest.fixture(scope="module")
def groups(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Groups]:
    groups = Groups(images, tmp_path_factory)
    yield groups
    groups.close()


IN_GROUPS = sorted(PIPELINES, key=lambda each: [each not in group for group in TOGETHER])


@pytest.fixture(scope="module", params=IN_GROUPS)
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
