"""Sources of requests: `OpenLoop` sends each at its time, `ClosedLoop` has users who wait.

An open loop sends whatever became of the requests before. A closed loop sends less when the server
is slow, and so measures less of what is slow: that is its nature (coordinated omission), and
reports say so.
"""

from __future__ import annotations

import abc
import asyncio
import heapq

import numpy as np

from ...transports import Exchange, now_ns
from ...transports.outcome import Outcome
from .plan import ClosedPlan, OpenPlan
from .sender import Sender
from .timer import make_timer

_MOST_AT_ONCE = 16
"""After so many, answers that have come are looked at: else their times would be wrong."""
_CHUNK = 4_096
"""Requests that are made ready at once: a million would hold up the first."""
_RETRY_NS = 50_000_000
"""A user who meets no server at all waits: else a refusal would be asked for without end."""
_NO_SERVER = (Outcome.REFUSED, Outcome.TESTER_ERROR)


class _Loop(abc.ABC):
    def __init__(self, sender: Sender, start: int) -> None:
        self._sender = sender
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._timer = make_timer(self._loop, self._send_due)

    async def run(self) -> None:
        """Returns when all has been sent, or after `stop`."""
        self._timer.set(self._start)
        await self._done.wait()
        self._timer.close()

    def stop(self) -> None:
        """Sends no more."""
        self._done.set()

    @property
    @abc.abstractmethod
    def unsent(self) -> int:
        """Requests that were to be sent, and have not been; 0 where their count is not fixed."""

    @abc.abstractmethod
    def _send_due(self) -> None:
        """Sends what is due, and sets the timer for what comes next."""


class OpenLoop(_Loop):
    """Requests of a plan; each that is late is sent all the same, with its intended time.

    Args:
        plan: When what is sent.
        sender: Sends.
        start: The start of the run, by `now_ns`.
    """

    def __init__(self, plan: OpenPlan, sender: Sender, start: int) -> None:
        super().__init__(sender, start)
        self._plan = plan
        self._next = 0
        self._chunk: list[tuple[int, int, int, bool]] = []
        self._place = 0
        self._fill()

    @property
    def unsent(self) -> int:
        return len(self._plan) - self._next

    def _fill(self) -> None:
        plan, part = self._plan, slice(self._next, self._next + _CHUNK)
        times = plan.times[part] + self._start
        indices = plan.first_index + plan.index_step * np.arange(
            part.start, part.start + len(times)
        )
        columns = (indices, times, plan.payloads[part], plan.traced[part])
        self._chunk = list(zip(*(column.tolist() for column in columns), strict=True))
        self._place = 0

    def _send_due(self) -> None:
        for _ in range(_MOST_AT_ONCE):
            if self._place == len(self._chunk):
                self._fill()
            if self._done.is_set() or not self._chunk:
                self._done.set()
                return
            index, when, payload, traced = self._chunk[self._place]
            if when > now_ns():
                self._timer.set(when)
                return
            self._place += 1
            self._next += 1
            self._sender.send(index, payload, traced, when)
        self._loop.call_soon(self._send_due)


class ClosedLoop(_Loop):
    """The users of one worker.

    Args:
        plan: Who they are.
        payloads: How many payloads there are.
        sender: Sends; its `on_end` is set.
        start: The start of the run, by `now_ns`.
        duration_ns: When no more is sent.
    """

    def __init__(
        self, plan: ClosedPlan, payloads: int, sender: Sender, start: int, duration_ns: int
    ) -> None:
        super().__init__(sender, start)
        self._plan = plan
        self._payloads = payloads
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
        sender.on_end = self._ended

    @property
    def unsent(self) -> int:
        return 0 if self._plan.count is None else self._plan.count - self._sent

    def _send_due(self) -> None:
        for _ in range(_MOST_AT_ONCE):
            if self._done.is_set():
                return
            now = now_ns()
            if now >= self._end and not self._plan.all_at_start:
                self._done.set()
                return
            if not self._due or self._due[0][0] > now:
                self._set_timer()
                return
            when, user = heapq.heappop(self._due)
            self._send(user, self._start if self._plan.all_at_start else when)
        self._set_timer()

    def _set_timer(self) -> None:
        """For who thinks the shortest, or the end of the run, whichever comes first."""
        next_at = self._due[0][0] if self._due else None
        if not self._plan.all_at_start:
            next_at = self._end if next_at is None else min(next_at, self._end)
        if next_at is not None:
            self._timer.set(next_at)

    def _send(self, user: int, intended: int) -> None:
        plan = self._plan
        for _ in range(plan.samples):
            index = plan.first_index + self._sent * plan.index_step
            payload, traced = self._draw()
            self._sent += 1
            self._awaited[user] += 1
            self._user_of[index] = user
            self._sender.send(index, payload, traced, intended)
            if self._sent == plan.count:
                self._done.set()
                return

    def _draw(self) -> tuple[int, bool]:
        if not self._drawn:
            if self._plan.order == "cycle":
                payloads = (self._sent + np.arange(_CHUNK)) % self._payloads
            else:
                payloads = self._payload_generator.integers(0, self._payloads, _CHUNK)
            traced = self._trace_generator.random(_CHUNK) < self._plan.traced
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
        # By way of the timer, and so of the loop: the transport is in the middle of its callback.
        self._set_timer()

    def _think_ns(self) -> int:
        mean = self._plan.think_s
        if mean == 0:
            return 0
        constant = self._plan.think == "constant"
        return int((mean if constant else self._think_generator.exponential(mean)) * 1e9)
