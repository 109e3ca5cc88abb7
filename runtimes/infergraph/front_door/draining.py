"""`Drain`: pipelines in flight when the server is told to stop.

A step may be called at the server's own gRPC port, which refuses all calls once it has begun to
stop. So it waits for the pipelines that are being answered, while new ones are turned away.
"""

from __future__ import annotations

import asyncio
import contextlib
import time


class Drain:
    """The requests to a server's pipelines.

    Attributes:
        began: Whether the server is stopping.
    """

    def __init__(self) -> None:
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._since: float | None = None

    @property
    def began(self) -> bool:
        return self._since is not None

    def enter(self) -> None:
        """Counts a request to a pipeline."""
        self._in_flight += 1

    def leave(self) -> None:
        """Notes that one of them has ended."""
        self._in_flight -= 1
        if self._in_flight == 0:
            self._idle.set()

    def begin(self) -> bool:
        """Notes that the server is stopping; False if that was known already."""
        if self._since is not None:
            return False
        self._since = time.monotonic()
        return True

    def left(self, grace_seconds: float) -> float:
        """What is left of the grace period, from 0; all of it before the server stops."""
        if self._since is None:
            return grace_seconds
        return max(0.0, grace_seconds - (time.monotonic() - self._since))

    async def wait_until_idle(self, seconds: float) -> None:
        """Returns once no request is in flight, or the time is over."""
        if self._in_flight:
            self._idle.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)
