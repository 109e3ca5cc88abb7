"""`OpenLoop`: sends each request at its time, whatever became of those before it."""

from __future__ import annotations

import asyncio

from ...transports import now_ns
from .alarm import make_alarm
from .dispatcher import Dispatcher
from .plan import OpenPlan

_MOST_AT_ONCE = 16
"""After so many, answers that have come are looked at: else their times would be wrong."""


class OpenLoop:
    """Requests of a plan; each that is late is sent all the same, with its intended time.

    Args:
        plan: When what is sent.
        dispatcher: Sends.
        start: The start of the run, by `now_ns`.
    """

    def __init__(self, plan: OpenPlan, dispatcher: Dispatcher, start: int) -> None:
        self._times = (plan.times + start).tolist()
        self._indices = plan.indices.tolist()
        self._payloads = plan.payloads.tolist()
        self._traced = plan.traced.tolist()
        self._dispatcher = dispatcher
        self._next = 0
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._alarm = make_alarm(self._loop, self._send_due)

    @property
    def unsent(self) -> int:
        """Requests that have not been sent."""
        return len(self._times) - self._next

    async def run(self) -> None:
        """Returns when all have been sent, or after `stop`."""
        if self._times:
            self._alarm.set(self._times[0])
            await self._done.wait()
        self._alarm.close()

    def stop(self) -> None:
        """Sends no more."""
        self._done.set()

    def _send_due(self) -> None:
        times, count = self._times, len(self._times)
        for _ in range(_MOST_AT_ONCE):
            i = self._next
            if self._done.is_set() or i == count:
                self._done.set()
                return
            if times[i] > now_ns():
                self._alarm.set(times[i])
                return
            self._next = i + 1
            self._dispatcher.send(self._indices[i], self._payloads[i], self._traced[i], times[i])
        self._loop.call_soon(self._send_due)
