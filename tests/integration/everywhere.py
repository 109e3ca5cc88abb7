"""The repository's pipelines with their steps in process, over gRPC and over REST."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from .repositories import write_shipped_routers
from .server import ServerProcess, stop_all

Servers = dict[str, ServerProcess]


@contextmanager
def served_everywhere(
    models: ServerProcess, pipelines: Sequence[str], folders: pytest.TempPathFactory
) -> Iterator[Servers]:
    """Servers of the pipelines, by the transport that their steps take to `models`."""
    servers = {"in-process": models}
    for transport, endpoint in (("grpc", models.grpc_url), ("rest", models.url)):
        root = write_shipped_routers(folders.mktemp(transport), pipelines, endpoint)
        servers[transport] = ServerProcess(root).start()
    started = [servers["grpc"], servers["rest"]]
    try:
        for server in started:
            server.wait_until_ready()
        yield servers
    finally:
        stop_all(started)
