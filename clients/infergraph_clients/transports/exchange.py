"""`Exchange`: one request on its way, and when what happened to it.

Transports report by callback and not by coroutine: a task per request would halve the rate that
one process can send.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .outcome import Outcome

now_ns = time.monotonic_ns
"""The clock of all times: on Linux and macOS it is the same for all processes of a machine."""
EPOCH_S = time.time() - time.monotonic()
"""Added to its seconds it gives those since the epoch. It is read once, so that all times of a
process agree, even where the wall clock is set meanwhile."""
UNKNOWN = -1
_NO_GAPS: list[int] = []
"""Of all exchanges but streams, which have lists of their own."""


def _nothing() -> None:
    return None


class Exchange:
    """One request.

    Attributes:
        index: Of the request in the run; its id follows from it.
        payload: Index of its payload.
        traced: Whether it asks for a trace.
        intended, sent, first_byte, end: Nanoseconds of `now_ns`; -1 while unknown.
        id: The request's id, as it was sent.
        outcome: How it ended, before the answer was checked.
        status: The HTTP status, or the number of the gRPC code; -1 without an answer.
        body: The answer: over REST its body, over gRPC its message. Of a stream all of them.
        json_size: Over REST, how much of the body is JSON, where raw contents follow it.
        error: What went wrong, after `HTTP 400: ` or `gRPC INTERNAL: ` where the server said it.
        first_answer: When the first answer of a stream was there, as `first_byte`.
        gaps: Nanoseconds between the answers of a stream, one less than there are answers.
        answers: How many answers a stream gave.
        on_answer: Called with each answer of a stream, as `body`; None where nobody waits for it.
        ended: Whether it has ended.
        abandon: Set by the transport: frees what the request holds, when the tester gives it up.
    """

    __slots__ = (
        "_last_answer",
        "_on_end",
        "abandon",
        "answers",
        "body",
        "end",
        "ended",
        "error",
        "first_answer",
        "first_byte",
        "gaps",
        "id",
        "index",
        "intended",
        "json_size",
        "on_answer",
        "outcome",
        "payload",
        "sent",
        "status",
        "traced",
    )

    def __init__(
        self,
        index: int,
        payload: int,
        traced: bool,
        intended: int,
        on_end: Callable[[Exchange], None],
    ) -> None:
        self.index = index
        self.payload = payload
        self.traced = traced
        self.intended = intended
        self.sent = UNKNOWN
        self.first_byte = UNKNOWN
        self.end = UNKNOWN
        self.id = b""
        self.outcome = Outcome.OK
        self.status = UNKNOWN
        self.body = b""
        self.json_size: int | None = None
        self.error = ""
        self.first_answer = UNKNOWN
        self.gaps: list[int] = _NO_GAPS
        self.answers = 0
        self.on_answer: Callable[[bytes], None] | None = None
        self.ended = False
        self.abandon: Callable[[], object] = _nothing
        self._on_end = on_end
        self._last_answer = UNKNOWN

    def answered(self, body: bytes) -> None:
        """Takes one answer of a stream."""
        now = now_ns()
        if self.answers:
            self.gaps.append(now - self._last_answer)
        else:
            self.first_answer, self.gaps = now, []
        self._last_answer = now
        self.answers += 1
        if self.on_answer is not None and not self.ended:
            self.on_answer(body)

    def finish(
        self, outcome: Outcome, status: int = UNKNOWN, body: bytes = b"", error: str = ""
    ) -> None:
        """Ends it; what comes after the first end is ignored."""
        if self.ended:
            return
        self.end = now_ns()
        self.ended = True
        self.outcome = outcome
        self.status = status
        self.body = body
        self.error = error
        self._on_end(self)

    def give_up(self, outcome: Outcome, error: str) -> None:
        """Ends it from the tester's side, and lets the transport clean up."""
        if not self.ended:
            self.finish(outcome, error=error)
            self.abandon()
