"""Draining: how long requests in flight may take once the server was told to stop."""

from __future__ import annotations

import logging
import os

from mlserver.grpc.server import GRPCServer

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
    """Takes no new calls, and waits up to the grace period for those in flight."""
    grace = grace_seconds()
    # MLServer calls this again for each of its servers that ends.
    if not getattr(self, "_infergraph_stopping", False):
        self._infergraph_stopping = True  # type: ignore[attr-defined]
        logger.info("gRPC: waiting up to %g s for calls in flight", grace)
    await self._server.stop(grace=grace)
