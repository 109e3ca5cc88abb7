"""`ClosedLoop`: users who wait for an answer, think, and ask again.

A closed loop sends less when the server is slow, and so measures less of what is slow: that is its
nature (coordinated omission), and reports say so.
"""

from __future__ import annotations

import asyncio
import heapq

import numpy as np

from ...transports import Exchange, now_ns
from ..outcome import Outcome
from .alarm import make_alarm
from .dispatcher import Dispatcher
from .plan import ClosedPlan

_RETRY_NS = 50_000_000
"""A user who meets no server at all waits: else a refusal would be asked for without end."""
_DRAWS = 4096
_NO_SERVER = (Outcome.REFUSED, Outcome.TESTER_ERROR)


class ClosedLoop:
    """The users of one process.

    Args:
        plan: Who they are.
        payloads: How many payloads there are.
        dispatcher: Sends; its `on_end` is set.
        start: The start of the run, by `now_ns`.
        duration_ns: When no more is sent.
    """

    def __init__(
        self,
        plan: ClosedPlan,
        payloads: int,
        dispatcher: Dispatcher,
        start: int,
        duration_ns: int,
    ) -> None:
        self._plan = plan
        self._payloads = payloads
        self._dispatcher = dispatcher
        self._start = start
        self._end = start + duration_ns
        payload_seed, trace_seed, think_seed = plan.seeds.spawn(3)
        self._payload_generator = np.random.default_rng(payload_seed)
        self._trace_generator = np.random.default_rng(trace_seed)
        self._think_generator = np.random.default_rng(think_seed)
        self._drawn: list[tuple[int, bool]] = []
        self._sent = 0
        self._user_of: dict[int, int] = {}
        self._awaited = [0] * plan.users
        self._due = [(start, user) for user in range(plan.users)]
        self._done = asyncio.Event()
        self._alarm = make_alarm(asyncio.get_running_loop(), self._send_due)
        dispatcher.on_end = self._ended

    @property
    def unsent(self) -> int:
        """Requests of the count that have not been sent; 0 if there is no count."""
        return 0 if self._plan.count is None else self._plan.count - self._sent

    async def run(self) -> None:
        """Returns when the duration or the count is over, or after `stop`."""
        self._alarm.set(self._start)
        await self._done.wait()
        self._alarm.close()

    def stop(self) -> None:
        """Sends no more."""
        self._done.set()

    def _send_due(self) -> None:
        while not self._done.is_set():
            now = now_ns()
            if now >= self._end and not self._plan.all_at_start:
                self._done.set()
                return
            if not self._due:
                # Nobody thinks. Only the end of the run can come before an answer does.
                if not self._plan.all_at_start:
                    self._alarm.set(self._end)
                return
            when, user = self._due[0]
            if when > now:
                self._alarm.set(min(when, self._end))
                return
            heapq.heappop(self._due)
            self._send(user, self._start if self._plan.all_at_start else when)

    def _send(self, user: int, intended: int) -> None:
        plan = self._plan
        for _ in range(plan.samples):
            index = plan.first_index + self._sent * plan.index_step
            payload, traced = self._draw()
            self._sent += 1
            self._awaited[user] += 1
            self._user_of[index] = user
            self._dispatcher.send(index, payload, traced, intended)
            if self._sent == plan.count:
                self._done.set()
                return

    def _draw(self) -> tuple[int, bool]:
        if not self._drawn:
            if self._plan.order == "cycle":
                payloads = (self._sent + np.arange(_DRAWS)) % self._payloads
            else:
                payloads = self._payload_generator.integers(0, self._payloads, _DRAWS)
            traced = self._trace_generator.random(_DRAWS) < self._plan.traced
            self._drawn = list(zip(payloads.tolist(), traced.tolist(), strict=True))[::-1]
        return self._drawn.pop()

    def _ended(self, exchange: Exchange) -> None:
        user = self._user_of.pop(exchange.index)
        self._awaited[user] -= 1
        if self._awaited[user] or self._done.is_set():
            return
        think = self._think_ns()
        if exchange.outcome in _NO_SERVER:
            think = max(think, _RETRY_NS)
        heapq.heappush(self._due, (exchange.end + think, user))
        # By way of the alarm, and so of the loop: the transport is in the middle of its callback.
        self._alarm.set(self._due[0][0])

    def _think_ns(self) -> int:
        mean = self._plan.think_s
        if mean == 0:
            return 0
        seconds = (
            mean if self._plan.think == "constant" else self._think_generator.exponential(mean)
        )
        return int(seconds * 1e9)
