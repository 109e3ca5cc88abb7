"""The gRPC call that the current task answers, for what MLServer does not hand on to models."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import mlserver.grpc.utils as grpc_utils

from .compression import GZIP, accepts_gzip

_call: ContextVar[tuple[Any, dict[str, str]]] = ContextVar("infergraph_grpc_call")
_stock_to_headers = grpc_utils.to_headers
_ENCODING = "grpc-internal-encoding-request"
"""gRPC's own word to itself, with which a server chooses the compression of an answer."""


def noting_the_call(call: Any) -> dict[str, str]:
    """MLServer reads headers with this; nothing later sees both the call and its answer."""
    headers: dict[str, str] = _stock_to_headers(call)
    _call.set((call, headers))
    return headers


def set_trailing_metadata(name: str, value: str) -> None:
    """Adds it to the answer or error of the current task's call; nothing if that is over REST."""
    call, _ = _call.get((None, {}))
    if call is not None:
        call.set_trailing_metadata(((name, value),))


async def compress_if_asked() -> None:
    """Has the answer compressed, if the call's metadata hold `accept-encoding: gzip`.

    gRPC keeps to itself whether the request was compressed. `set_compression` of its asynchronous
    servers has no effect (https://github.com/grpc/grpc/issues/34690), so this sends what begins the
    answer; only an answer may follow.
    """
    call, headers = _call.get((None, {}))
    if call is not None and accepts_gzip(headers.get("accept-encoding", "")):
        await call.send_initial_metadata(((_ENCODING, GZIP),))
