"""Compose: the samples of a pipeline of each kind through the services that its file describes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from tests.exhaustive import only
from tests.integration.conftest import FRONT_ENDS

from . import samples
from .compose import Project
from .conftest import LOADS, SMALL_QUEUE, Connect, Images, Reference
from .kinds import ASKED_FOR, one_of_each_kind
from .node import applied

PIPELINES = one_of_each_kind()
CONTAINER_PORTS = {"rest": 8080, "grpc": 8081}


@pytest.fixture(scope="module")
def pipelines(exhaustive: bool) -> Sequence[str]:
    """Those of the project."""
    return PIPELINES if exhaustive else ASKED_FOR


@pytest.fixture(scope="module")
def project(
    images: Images, tmp_path_factory: pytest.TempPathFactory, pipelines: Sequence[str]
) -> Iterator[Project]:
    """Several pipelines in one file, with the models that they share."""
    root = tmp_path_factory.mktemp("compose")
    extra = {"translation-en-de": SMALL_QUEUE}
    with (
        applied(images, root, "compose", pipelines) as node,
        Project(node, extra) as project,
    ):
        yield project
        assert set(project.stop().values()) == {0}
        assert node.rendered.written() == []


def address(project: Project, pipeline: str, front_end: str) -> tuple[str, int]:
    """Where a pipeline's router is called, through one of the ports that it publishes."""
    port = CONTAINER_PORTS[front_end]
    (found,) = [each for _, *each in project.published(pipeline) if each[1] == port]
    return str(found[0]), int(found[1])


def loads(project: Project) -> float:
    return sum(each.sum_of(LOADS) for each in project.all() if each.is_ours)


def test_only_routers_are_published_each_at_ports_of_its_own(
    project: Project, pipelines: Sequence[str]
) -> None:
    published = {name: project.published(name) for name in project.services}
    assert {name for name, ports in published.items() if ports} == set(pipelines)
    on_machine = [where for ports in published.values() for where, *_ in ports]
    assert len(on_machine) == len(set(on_machine)) == 3 * len(pipelines)
    assert all(where.startswith("127.0.0.1:") for where in on_machine)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("pipeline", only(ASKED_FOR, PIPELINES))
async def test_a_sample_is_answered_as_by_one_server(
    project: Project, reference: Reference, connect: Connect, pipeline: str, front_end: str
) -> None:
    request = samples.sample(pipeline)
    client = connect(front_end, *address(project, pipeline, front_end))

    answer = await samples.send(client, pipeline, request)

    samples.assert_same(answer, await reference.answer(pipeline, request))


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_a_bad_request_is_refused_and_loads_nothing(
    project: Project, connect: Connect, front_end: str
) -> None:
    before = loads(project)
    client = connect(front_end, *address(project, "nsfw", front_end))

    unknown = samples.with_unknown_tensor(samples.sample("nsfw"))
    answer = await samples.send(client, "nsfw", unknown)
    assert (answer.status, "nobody-knows" in answer.error) == (400, True)
    bad = samples.with_bad_content(samples.sample("nsfw"))
    answer = await samples.send(client, "nsfw", bad)
    assert answer.status == 400
    assert "step 'object-detection' (model at http://object-detection:8080)" in answer.error
    assert loads(project) == before


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_an_overload_is_told_and_loads_nothing(
    project: Project, reference: Reference, connect: Connect, front_end: str
) -> None:
    pipeline = "audio-translation"
    request = samples.sample(pipeline)
    before = loads(project)
    client = connect(front_end, *address(project, pipeline, front_end))

    answers = await asyncio.gather(*(samples.send(client, pipeline, request) for _ in range(8)))

    samples.assert_overloaded(answers, await reference.answer(pipeline, request))
    assert loads(project) == before
