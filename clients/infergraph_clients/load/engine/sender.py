"""`Sender`: sends requests, gives up those that take too long, and records all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...transports import Answer, Exchange, Template, Transport, now_ns
from ...transports.outcome import Outcome
from ..corpus.check import AnswerCheck
from .records import RecordBuffer

_MOST_ERROR_TEXTS = 20
_LONGEST_ERROR_TEXT = 300


class Sender:
    """Between a source of requests (open or closed loop) and the transport.

    Args:
        requests: Each payload's request.
        traced_requests: The same, asking for a trace.
        timeout_s: Seconds after which a request is given up.
        transport: Sends.
        check: Judges answers.
        decode: Parses the answers of traced requests.
        records: Where they end up.

    Attributes:
        sent: Requests sent so far.
        in_flight: Requests that have been sent and have not ended.
        traces: (request's index, its trace), not handed over yet.
        errors: By outcome, some of the texts and how often each came.
        on_end: Called with each request that has ended.
    """

    def __init__(
        self,
        requests: Sequence[Template],
        traced_requests: Sequence[Template],
        timeout_s: float,
        transport: Transport,
        check: AnswerCheck,
        decode: Callable[[Exchange], Answer],
        records: RecordBuffer,
    ) -> None:
        self._requests = requests
        self._traced_requests = traced_requests
        self._timeout_s = timeout_s
        self._timeout_ns = int(timeout_s * 1e9)
        self._transport = transport
        self._check = check
        self._decode = decode
        self._records = records
        self._loop = asyncio.get_running_loop()
        # All requests have the same timeout, so they are due in the order in which they were sent.
        self._due: deque[Exchange] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()
        self.sent = 0
        self.in_flight = 0
        self.traces: list[tuple[int, Mapping[str, Any]]] = []
        self.errors: dict[int, dict[str, int]] = {}
        self.on_end: Callable[[Exchange], None] | None = None

    def send(self, index: int, payload: int, traced: bool, intended: int) -> None:
        """Sends one request that was meant for the time `intended`."""
        exchange = Exchange(index, payload, traced, intended, self._ended)
        requests = self._traced_requests if traced else self._requests
        self.in_flight += 1
        self.sent += 1
        self._idle.clear()
        self._transport.send(requests[payload], exchange)
        self._due.append(exchange)
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout_s, self._give_up_late)

    async def wait_until_idle(self) -> None:
        """Returns once nothing is in flight; the timeout sees to it that this comes."""
        await self._idle.wait()

    def cancel_all(self) -> None:
        """Gives up what is in flight."""
        for exchange in list(self._due):
            exchange.give_up(Outcome.CANCELLED, "given up when the run was ended")

    def close(self) -> None:
        """Stops its timer."""
        if self._watch is not None:
            self._watch.cancel()

    def _give_up_late(self) -> None:
        due = self._due
        now = now_ns()
        while due and (due[0].ended or due[0].sent + self._timeout_ns <= now):
            exchange = due.popleft()
            exchange.give_up(Outcome.TIMEOUT, f"no answer within {self._timeout_s:g} s")
        if due:
            left = max(due[0].sent + self._timeout_ns - now, 0) / 1e9
            self._watch = self._loop.call_later(left + 1e-3, self._give_up_late)
        else:
            self._watch = None

    def _ended(self, exchange: Exchange) -> None:
        outcome = exchange.outcome
        if outcome is Outcome.OK:
            problem = self._judge(exchange)
            if problem is not None:
                outcome = Outcome.WRONG_ANSWER
                exchange.error = problem
        if outcome is not Outcome.OK:
            self._note_error(outcome, exchange.error[:_LONGEST_ERROR_TEXT])
        self._records.add(exchange, outcome)
        exchange.body = b""
        self.in_flight -= 1
        # Those in front have mostly ended: this keeps the queue as short as what is in flight.
        due = self._due
        while due and due[0].ended:
            due.popleft()
        if self.on_end is not None:
            self.on_end(exchange)
        if self.in_flight == 0:
            self._idle.set()

    def _judge(self, exchange: Exchange) -> str | None:
        if not exchange.traced:
            return self._check.problem(exchange)
        try:
            answer = self._decode(exchange)
        except Exception as error:  # protobuf's own error is not a ValueError
            return str(error) or type(error).__name__
        if answer.trace is not None:
            self.traces.append((exchange.index, answer.trace))
        return self._check.problem_of_answer(exchange, answer)

    def _note_error(self, outcome: Outcome, text: str) -> None:
        texts = self.errors.setdefault(int(outcome), {})
        if text not in texts and len(texts) >= _MOST_ERROR_TEXTS:
            text = "other texts"
        texts[text] = texts.get(text, 0) + 1
