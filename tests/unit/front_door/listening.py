"""Servers that listen on free ports of a loopback address."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

from tests.unit.front_door.conftest import Serve
from tests.unit.front_door.front import Echo, Front, kept_loggers


def free_ports(host: str, count: int) -> list[int]:
    """Ports of a loopback address that were free a moment ago."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket(family)) for _ in range(count)]
        for probe in probes:
            probe.bind((host, 0))
        return [probe.getsockname()[1] for probe in probes]


class Listening:
    """Servers that listen, with their addresses."""

    def __init__(self, front: Front, host: str, ports: list[int]) -> None:
        self.front = front
        shown = f"[{host}]" if ":" in host else host
        self.rest, self.grpc, self.metrics = (f"{shown}:{port}" for port in ports)


@contextlib.asynccontextmanager
async def listening(
    serve: Serve, host: str = "127.0.0.1", **front_door: Any
) -> AsyncIterator[Listening]:
    """Starts the three servers of a server, and ends them."""
    ports = free_ports(host, 3)
    names = ("http_port", "grpc_port", "metrics_port")
    front = await serve(
        {"host": host, "logging_settings": None, **dict(zip(names, ports, strict=True))},
        **front_door,
    )
    await front.load(Echo)
    server: Any = front.server
    parts = [server._rest_server, server._grpc_server, server._metrics_server]
    with kept_loggers("uvicorn", "uvicorn.error", "uvicorn.access"):
        tasks = [asyncio.ensure_future(part.start()) for part in parts]
        for part in (parts[0], parts[2]):
            # uvicorn has no event for it.
            while not getattr(getattr(part, "_server", None), "started", False):
                assert not any(task.done() for task in tasks), tasks
                await asyncio.sleep(0.005)
        try:
            yield Listening(front, host, ports)
        finally:
            # Without MLServer's own way to stop them, which raises a signal.
            await parts[1]._server.stop(None)
            parts[0]._server.should_exit = parts[2]._server.should_exit = True
            await asyncio.gather(*tasks)
