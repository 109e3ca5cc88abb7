"""Draining: how long requests in flight may take once the server was told to stop."""

from __future__ import annotations

import logging
import os
import socket

import uvicorn
from mlserver.grpc.server import GRPCServer

from .draining import drain

logger = logging.getLogger(__name__)

GRACE_VARIABLE = "INFERGRAPH_GRACE_SECONDS"
DEFAULT_GRACE_SECONDS = 25.0
"""Below the 30 seconds after which Kubernetes kills a container. MLServer's own is 5."""


def grace_seconds() -> float:
    """The grace period, from the environment; the default when it is unset or not a number."""
    value = os.environ.get(GRACE_VARIABLE)
    if value is None:
        return DEFAULT_GRACE_SECONDS
    try:
        grace = float(value)
    except ValueError:
        grace = -1.0
    if not 0 <= grace < float("inf"):
        logger.warning(
            "%s=%r is not a number of seconds from 0; using %g",
            GRACE_VARIABLE,
            value,
            DEFAULT_GRACE_SECONDS,
        )
        return DEFAULT_GRACE_SECONDS
    return grace


async def stop_grpc_server(self: GRPCServer, sig: int | None = None) -> None:
    """Takes no new calls, and waits up to the grace period for those in flight.

    Pipelines in flight come first, since their next step may be a call to this very server.
    """
    grace = grace_seconds()
    stopping = drain()
    if stopping.begin():
        logger.info("gRPC: waiting up to %g s for calls in flight", grace)
    # MLServer calls this again for each of its servers that ends, meanwhile: each call waits.
    await stopping.wait_until_idle(grace - stopping.seconds())
    await self._server.stop(grace=max(0.0, grace - stopping.seconds()))


async def shut_rest_server_down(
    self: uvicorn.Server, sockets: list[socket.socket] | None = None
) -> None:
    """Takes no new connections, and gives requests in flight what is left of the grace period.

    Uvicorn alone would wait for them without end. It gets here by its own signal handler, or after
    gRPC has stopped, whichever comes first.
    """
    left = max(0.0, grace_seconds() - drain().seconds())
    self.config.timeout_graceful_shutdown = left  # type: ignore[assignment]
    await uvicorn.Server.shutdown(self, sockets)
