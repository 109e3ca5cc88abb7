"""`Outcome`: how a request ended. Every request that was sent has exactly one."""

from __future__ import annotations

from enum import IntEnum


class Outcome(IntEnum):
    """::

    class           REST                    gRPC
    OK              2xx, and the answer passed its check
    WRONG_ANSWER    2xx, but it did not
    CLIENT_ERROR    other 4xx, 3xx          INVALID_ARGUMENT, NOT_FOUND, and the like
    SERVER_ERROR    other 5xx               INTERNAL, UNKNOWN, and the like
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
