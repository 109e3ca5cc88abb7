"""One connection per endpoint, shared by all routers of the process.

The cache lives here, in a module that MLServer never reloads. It is kept per event loop, because
connections belong to the loop they were made on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from ..declaration import ModelDeclaration
from ..request import RequestContext
from ..v2 import Message
from .base import Transport
from .endpoint import Endpoint
from .grpc import GrpcTransport
from .rest import RestTransport


@dataclass(slots=True, eq=False)
class _Shared:
    transport: Transport
    users: int = 0


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Endpoint, _Shared]] = WeakKeyDictionary()


def connect(endpoint: Endpoint | str) -> Transport:
    """The transport of an endpoint, or of a URL `grpc://host:port` or `http://host:port`.

    Nothing is sent yet: an endpoint that cannot be reached shows when it is first called. Every
    caller closes what it was given; the connection ends with the last of them. Needs a running
    event loop.

    Raises:
        ConfigurationError: the URL is no endpoint.
    """
    place = Endpoint.parse(endpoint) if isinstance(endpoint, str) else endpoint
    pool = _pools.setdefault(asyncio.get_running_loop(), {})
    shared = pool.get(place)
    if shared is None:
        kind = GrpcTransport if place.is_grpc else RestTransport
        shared = pool[place] = _Shared(kind(place))
    shared.users += 1
    return _Lease(pool, place, shared)


class _Lease:
    """One user's share of a connection."""

    __slots__ = ("_open", "_place", "_pool", "_shared", "_transport")

    def __init__(self, pool: dict[Endpoint, _Shared], place: Endpoint, shared: _Shared) -> None:
        self._pool = pool
        self._place = place
        self._shared = shared
        self._transport = shared.transport
        self._open = True

    @property
    def kind(self) -> str:
        return self._transport.kind

    @property
    def endpoint(self) -> str:
        return self._transport.endpoint

    def infer(
        self, model: str, message: Message, context: RequestContext
    ) -> Coroutine[Any, Any, Message]:
        return self._transport.infer(model, message, context)

    def declaration(self, model: str) -> Coroutine[Any, Any, ModelDeclaration]:
        return self._transport.declaration(model)

    async def close(self) -> None:
        if not self._open:
            return
        self._open = False
        self._shared.users -= 1
        if self._shared.users == 0:
            del self._pool[self._place]
            await self._transport.close()
