"""What statuses of HTTP and gRPC mean: the table of `Outcome`."""

from __future__ import annotations

import grpc

from .outcome import Outcome


def of_status(status: int) -> Outcome:
    """The class of an HTTP status."""
    if 200 <= status < 300:
        return Outcome.OK
    if status in (503, 429):
        return Outcome.OVERLOAD
    if status in (504, 408):
        return Outcome.DEADLINE
    return Outcome.SERVER_ERROR if status >= 500 else Outcome.CLIENT_ERROR


# How texts of UNAVAILABLE begin that come from gRPC's own client, and not from the server.
_REFUSED_TEXTS = ("failed to connect", "errors resolving", "connections to all backends failing")
_LOST_TEXTS = (
    "stream removed",
    "socket closed",
    "connection reset",
    "broken pipe",
    "recvmsg",
    "sendmsg",
    "goaway",
    "keepalive",
    "transport closed",
    "connection closed",
    "endpoint closing",
    "rst_stream",
    "received rst_stream",
)
_BY_CODE = {
    grpc.StatusCode.INVALID_ARGUMENT: Outcome.CLIENT_ERROR,
    grpc.StatusCode.NOT_FOUND: Outcome.CLIENT_ERROR,
    grpc.StatusCode.ALREADY_EXISTS: Outcome.CLIENT_ERROR,
    grpc.StatusCode.FAILED_PRECONDITION: Outcome.CLIENT_ERROR,
    grpc.StatusCode.OUT_OF_RANGE: Outcome.CLIENT_ERROR,
    grpc.StatusCode.PERMISSION_DENIED: Outcome.CLIENT_ERROR,
    grpc.StatusCode.UNAUTHENTICATED: Outcome.CLIENT_ERROR,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Outcome.OVERLOAD,
    grpc.StatusCode.DEADLINE_EXCEEDED: Outcome.DEADLINE,
    grpc.StatusCode.CANCELLED: Outcome.LOST,
}


def of_rpc(code: grpc.StatusCode, details: str) -> Outcome:
    """The class of a failed call."""
    if code is not grpc.StatusCode.UNAVAILABLE:
        return _BY_CODE.get(code, Outcome.SERVER_ERROR)
    text = details.lower()
    if text.startswith(_REFUSED_TEXTS):
        return Outcome.REFUSED
    return Outcome.LOST if text.startswith(_LOST_TEXTS) else Outcome.OVERLOAD
