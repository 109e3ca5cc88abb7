"""`Outcome`: how a request ended. Every request that was sent has exactly one."""

from __future__ import annotations

from enum import IntEnum


class Outcome(IntEnum):
    """::

    class           REST                    gRPC
    OK              2xx, and the answer passed its check
    WRONG_ANSWER    2xx, but it did not
    CLIENT_ERROR    other 4xx, 3xx          INVALID_ARGUMENT, NOT_FOUND, a message over a limit, ...
    SERVER_ERROR    other 5xx               INTERNAL, UNKNOWN, an error within a stream, ...
    OVERLOAD        503, 429                UNAVAILABLE said by the server, RESOURCE_EXHAUSTED
    DEADLINE        504, 408                DEADLINE_EXCEEDED
    TIMEOUT         no answer within the tester's own timeout
    REFUSED         no connection could be made
    LOST            the connection ended before the answer did, or it was not HTTP
    CANCELLED       given up by the tester, after Ctrl-C
    TESTER_ERROR    the tester itself could not send (too many open files)
    """

    OK = 0
    WRONG_ANSWER = 1
    CLIENT_ERROR = 2
    SERVER_ERROR = 3
    OVERLOAD = 4
    DEADLINE = 5
    TIMEOUT = 6
    REFUSED = 7
    LOST = 8
    CANCELLED = 9
    TESTER_ERROR = 10

    @property
    def label(self) -> str:
        """As reports write it: `wrong_answer`."""
        return self.name.lower()


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
_REFUSED_TEXTS = (
    "failed to connect",
    "errors resolving",
    "dns resolution failed",
    "connections to all backends failing",
)
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
_TOO_LARGE = "message larger than max"
"""In gRPC's own text of a message over its limit, which it calls RESOURCE_EXHAUSTED."""
_CLIENT_ERRORS = (
    *("INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION"),
    *("OUT_OF_RANGE", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED"),
)
_BY_CODE = {
    **dict.fromkeys(_CLIENT_ERRORS, Outcome.CLIENT_ERROR),
    "RESOURCE_EXHAUSTED": Outcome.OVERLOAD,
    "DEADLINE_EXCEEDED": Outcome.DEADLINE,
    "CANCELLED": Outcome.LOST,
}


def of_rpc(code: str, details: str) -> Outcome:
    """The class of a failed call, by the name of its gRPC code and its text."""
    text = details.lower()
    if code == "RESOURCE_EXHAUSTED" and _TOO_LARGE in text:
        # Too large is what the receiver says of a request, and the sender of an answer.
        return Outcome.CLIENT_ERROR if "received" in text else Outcome.SERVER_ERROR
    if code != "UNAVAILABLE":
        return _BY_CODE.get(code, Outcome.SERVER_ERROR)
    if text.startswith(_REFUSED_TEXTS):
        return Outcome.REFUSED
    return Outcome.LOST if text.startswith(_LOST_TEXTS) else Outcome.OVERLOAD
