"""`OpenCalls`: the calls of a model that are being answered."""

from __future__ import annotations

import asyncio
import contextlib


class OpenCalls:
    """Counts calls, each one a `with` block, so that an unload can wait for their end."""

    def __init__(self) -> None:
        self._open = 0
        self._none = asyncio.Event()

    @property
    def count(self) -> int:
        return self._open

    def __enter__(self) -> None:
        self._open += 1

    def __exit__(self, *_: object) -> None:
        self._open -= 1
        if self._open == 0:
            self._none.set()

    async def ended(self, seconds: float) -> bool:
        """Waits until no call is open; False when some still are after that time."""
        if self._open:
            self._none.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._none.wait(), seconds)
        return self._open == 0
