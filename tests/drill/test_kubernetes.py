"""Plain Kubernetes: every pipeline's sample through the pods that its manifests describe."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.conftest import FRONT_ENDS

from . import samples
from .conftest import Connect, Images, Reference
from .kubernetes import Cluster
from .network import Network
from .pod import Node
from .rendered import PIPELINES, render

PORTS = {"rest": "http", "grpc": "grpc"}


@pytest.fixture(scope="module")
def cluster(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """All pipelines in one namespace, each model and router once."""
    root = tmp_path_factory.mktemp("kubernetes")
    rendered = render(
        "kubernetes", PIPELINES, root, "--storage-uri", "pvc://models", "--namespace", "drill"
    )
    network = Network(root / "names")
    try:
        with Cluster(Node(images, network, rendered, root / "scratch", "drill")) as cluster:
            yield cluster
    finally:
        network.close()


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("pipeline", PIPELINES)
async def test_a_sample_is_answered_as_by_one_server(
    cluster: Cluster, reference: Reference, connect: Connect, pipeline: str, front_end: str
) -> None:
    request = samples.sample(pipeline)
    ((address, port),) = cluster.addresses(pipeline, PORTS[front_end])

    answer = await samples.send(connect(front_end, address, port), pipeline, request)

    samples.assert_same(answer, await reference.answer(pipeline, request))
