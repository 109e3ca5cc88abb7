"""`Outcome`: how a request ended. Every request that was sent has exactly one."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt


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


def failed(records: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which requests failed, bool [N]: all but right answers and those that Ctrl-C gave up."""
    outcome = records["outcome"]
    found: npt.NDArray[np.bool_] = (outcome != Outcome.OK) & (outcome != Outcome.CANCELLED)
    return found


def user_latency(records: npt.NDArray[Any], timeout_s: float) -> npt.NDArray[np.int64]:
    """What users waited, end - intended in nanoseconds, int64 [N].

    A failed request counts as at least the timeout, however early it failed: else a server that
    refuses, or a shorter timeout, would look fast. One that Ctrl-C gave up has waited so long.
    """
    latency = (records["end_ns"] - records["intended_ns"]).astype(np.int64)
    charged: npt.NDArray[np.int64] = np.where(
        failed(records), np.maximum(latency, int(timeout_s * 1e9)), latency
    )
    return charged
