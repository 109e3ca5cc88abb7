"""Pipelines in flight when the server is told to stop.

A step may be called at the server's own gRPC port, which refuses all calls once it has begun to
stop. So it waits for the pipelines that are being answered, while new ones are turned away.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from ..errors import StageUnavailable


class Drain:
    """The requests to pipelines of the server that runs on an event loop."""

    def __init__(self) -> None:
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._began: float | None = None

    @contextlib.contextmanager
    def in_flight(self, where: str) -> Iterator[None]:
        """Counts a request; raises StageUnavailable once the server is stopping."""
        if self._began is not None:
            raise StageUnavailable(f"{where}: the server is stopping; ask another one, or later")
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            if self._in_flight == 0:
                self._idle.set()

    def begin(self) -> bool:
        """Takes no more requests from now on; False if that was so already."""
        if self._began is not None:
            return False
        self._began = time.monotonic()
        return True

    def seconds(self) -> float:
        """How long ago it began; 0 before."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    async def wait_until_idle(self, seconds: float) -> None:
        """Returns once no request is in flight, or the time is over."""
        if self._in_flight:
            self._idle.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)


_drains: WeakKeyDictionary[asyncio.AbstractEventLoop, Drain] = WeakKeyDictionary()


def drain() -> Drain:
    """The drain of the running event loop: a server has one loop for all that it serves."""
    loop = asyncio.get_running_loop()
    found = _drains.get(loop)
    if found is None:
        found = _drains[loop] = Drain()
    return found
