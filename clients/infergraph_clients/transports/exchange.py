"""`Exchange`: one request on its way, and when what happened to it.

Transports report by callback and not by coroutine: a task per request would halve the rate that
one process can send.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from .outcome import Outcome

now_ns = time.monotonic_ns
"""The clock of all times: on Linux and macOS it is the same for all processes of a machine."""
EPOCH_S = time.time() - time.monotonic()
"""Added to its seconds it gives those since the epoch. It is read once, so that all times of a
process agree, even where the wall clock is set meanwhile."""
UNKNOWN = -1


def _nothing() -> None:
    return None


@dataclass(slots=True, eq=False)
class Exchange:
    """One request.

    Attributes:
        index: Of the request in the run; its id follows from it.
        payload: Index of its payload.
        traced: Whether it asks for a trace.
        intended, sent, first_byte, end: Nanoseconds of `now_ns`; -1 while unknown.
        on_end: Called when it has ended.
        id: The request's id, as it was sent.
        outcome: How it ended, before the answer was checked.
        status: The HTTP status, or the number of the gRPC code; -1 without an answer.
        body: The answer: over REST its body, over gRPC its message. Of a stream all of them.
        json_size: Over REST, how much of the body is JSON, where raw contents follow it.
        error: What went wrong, after `HTTP 400: ` or `gRPC INTERNAL: ` where the server said it.
        first_answer, last_answer: When these answers of a stream were there, as `first_byte`.
        gaps: Nanoseconds between the answers of a stream, one less than there are answers.
        answers: How many answers a stream gave.
        on_answer: Called with each answer of a stream, as `body`; None where nobody waits for it.
        ended: Whether it has ended.
        abandon: Set by the transport: frees what the request holds, when the tester gives it up.
    """

    index: int
    payload: int
    traced: bool
    intended: int
    on_end: Callable[[Exchange], None]
    sent: int = UNKNOWN
    first_byte: int = UNKNOWN
    end: int = UNKNOWN
    id: bytes = b""
    outcome: Outcome = Outcome.OK
    status: int = UNKNOWN
    body: bytes = b""
    json_size: int | None = None
    error: str = ""
    first_answer: int = UNKNOWN
    last_answer: int = UNKNOWN
    # Only a stream has a list.
    gaps: list[int] = cast("list[int]", ())  # noqa: RUF009
    answers: int = 0
    on_answer: Callable[[bytes], None] | None = None
    ended: bool = False
    abandon: Callable[[], object] = _nothing

    def answered(self, body: bytes) -> None:
        """Takes one answer of a stream."""
        now = now_ns()
        if self.answers:
            self.gaps.append(now - self.last_answer)
        else:
            self.first_answer, self.gaps = now, []
        self.last_answer = now
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
        self.on_end(self)

    def give_up(self, outcome: Outcome, error: str) -> None:
        """Ends it from the tester's side, and lets the transport clean up."""
        if not self.ended:
            self.finish(outcome, error=error)
            self.abandon()
