from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infergraph import registry
from infergraph.router import PipelineRouter
from tests.unit.router.world import CHAIN, Answer, Model, Workspace, mapping
from tests.unit.transports.peers import GrpcPeer, RestPeer


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def serve() -> Iterator[Callable[[str, Answer], Model]]:
    """Makes a servable of this process."""
    models: list[Model] = []

    def make(name: str, answer: Answer) -> Model:
        model = Model(name, answer)
        registry.register(model)
        models.append(model)
        return model

    yield make
    for model in models:
        registry.unregister(model)


@pytest.fixture
async def loaded(
    workspace: Workspace,
) -> AsyncIterator[Callable[..., Awaitable[PipelineRouter]]]:
    """Loads the router of a pipeline's text."""
    routers: list[PipelineRouter] = []

    async def load(name: str, text: str, **extra: Any) -> PipelineRouter:
        router = workspace.router(name, text, **extra)
        routers.append(router)
        assert await router.load()
        return router

    yield load
    for router in routers:
        await router.unload()


@pytest.fixture
async def chain(
    serve: Callable[[str, Answer], Model], loaded: Callable[..., Awaitable[PipelineRouter]]
) -> PipelineRouter:
    """double, then negate, both in this process."""
    serve("double", mapping(lambda data: data * 2))
    serve("negate", mapping(np.negative))
    return await loaded("chain", CHAIN)


@pytest.fixture
async def grpc_peer() -> AsyncIterator[GrpcPeer]:
    peer = GrpcPeer()
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
async def rest_peer() -> AsyncIterator[RestPeer]:
    peer = RestPeer()
    await peer.start()
    yield peer
    await peer.stop()
