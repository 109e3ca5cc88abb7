"""Cancels a REST request whose client has gone away; gRPC does so by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

GRACE_SECONDS = 0.02
"""How long a request runs before its connection is watched: most are answered by then, and a watch
costs a task."""


class Watch:
    """Watches the connection of a request whose body has been read, while it is answered.

    As a context manager: inside, the request's task is cancelled when its client disconnects.

    Attributes:
        disconnected: Whether that happened.
    """

    __slots__ = ("_receive", "_request", "_timer", "_watcher", "disconnected")

    def __init__(self, receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
        self._receive = receive
        self._request: asyncio.Task[Any] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.disconnected = False

    def __enter__(self) -> Watch:
        self._request = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._start)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _start(self) -> None:
        self._watcher = asyncio.ensure_future(self._await_disconnect())

    async def _await_disconnect(self) -> None:
        # After the body, the only event that can still come is the disconnect.
        event = await self._receive()
        if event["type"] == "http.disconnect" and self._request is not None:
            self.disconnected = True
            self._request.cancel()
