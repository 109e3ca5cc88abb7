"""`Sender`: sends requests, gives up those that take too long, and records all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt

from ...transports import Answer, Codec, Exchange, Transport, now_ns
from ...transports.outcome import Outcome
from ..corpus.check import AnswerCheck
from .plan import LoadPlan
from .records import RecordBuffer, trace_lines

_MOST_ERROR_TEXTS = 20
_LONGEST_ERROR_TEXT = 300


class Sender:
    """Between a source of requests (open or closed loop) and the transport.

    Args:
        plan: What is sent.
        transport: Sends.
        records: Where requests end up.
        decode: Parses the answers of traced requests; by default as the plan's target writes them.

    Attributes:
        in_flight: Requests that have been sent and have not ended.
        errors: By outcome, some of the texts and how often each came.
        on_end: Called with each request that has ended.
    """

    def __init__(
        self,
        plan: LoadPlan,
        transport: Transport,
        records: RecordBuffer,
        decode: Callable[[Exchange], Answer] | None = None,
    ) -> None:
        self._requests, self._traced_requests = plan.requests, plan.traced_requests
        self._timeout_s = plan.target.timeout_s
        self._timeout_ns = int(self._timeout_s * 1e9)
        self._transport = transport
        self._decode = decode or Codec(plan.target.route()).decode
        self._check = AnswerCheck(plan.check, self._decode, plan.expected, plan.tolerance)
        self._records = records
        self._loop = asyncio.get_running_loop()
        # All requests have the same timeout, so they are due in the order in which they were sent.
        self._due: deque[Exchange] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()
        self._sent = 0
        self._traces: list[tuple[int, Mapping[str, Any]]] = []
        self.in_flight = 0
        self.errors: dict[int, dict[str, int]] = {}
        self.on_end: Callable[[Exchange], None] | None = None

    def send(self, index: int, payload: int, traced: bool, intended: int) -> None:
        """Sends one request that was meant for the time `intended`."""
        exchange = Exchange(index, payload, traced, intended, self._ended)
        requests = self._traced_requests if traced else self._requests
        self.in_flight += 1
        self._sent += 1
        self._idle.clear()
        self._transport.send(requests[payload], exchange)
        self._due.append(exchange)
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout_s, self._give_up_late)

    def take(self) -> tuple[int, npt.NDArray[Any], bytes]:
        """Since the last call: how many were sent, the rows of those that ended, their traces."""
        sent, self._sent = self._sent, 0
        traces, self._traces = self._traces, []
        return sent, self._records.take(), trace_lines(traces)

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
        except Exception:  # protobuf's own error is not a ValueError
            # Whether that is a problem depends on the check.
            return self._check.problem(exchange)
        if answer.trace is not None:
            self._traces.append((exchange.index, answer.trace))
        return self._check.problem_of_answer(exchange, answer)

    def _note_error(self, outcome: Outcome, text: str) -> None:
        texts = self.errors.setdefault(int(outcome), {})
        if text not in texts and len(texts) >= _MOST_ERROR_TEXTS:
            text = "other texts"
        texts[text] = texts.get(text, 0) + 1
