"""Cancels a REST request whose client has gone away; gRPC does so by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

GRACE_SECONDS = 0.02
"""How long a request runs before its connection is watched: most are answered by then, and a watch
costs a task."""

_WATCHED_ENDINGS = ("/infer", "/generate")


class CancelOnDisconnect:
    """ASGI middleware: when the client disconnects, the request's task is cancelled.

    Streaming endpoints are left alone, since Starlette watches them itself.
    """

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith(_WATCHED_ENDINGS):
            await self._app(scope, receive, send)
            return
        watch = _Watch(receive)
        try:
            await self._app(scope, watch.receive, send)
        except asyncio.CancelledError:
            if not watch.disconnected:
                raise
        finally:
            watch.stop()


class _Watch:
    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._request = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.disconnected = False

    async def receive(self) -> Event:
        event = await self._receive()
        if event["type"] == "http.request" and not event.get("more_body", False):
            self._timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._start)
        return event

    def _start(self) -> None:
        self._watcher = asyncio.ensure_future(self._await_disconnect())

    async def _await_disconnect(self) -> None:
        # After the body, the only event that can still come is the disconnect.
        event = await self._receive()
        if event["type"] == "http.disconnect" and self._request is not None:
            self.disconnected = True
            self._request.cancel()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
