"""`Relay`: a slower network between a client and a server on one machine, without any privilege.

It forwards TCP and holds each chunk back for as long as a link of the wanted bandwidth and latency
would take. TCP's own behaviour over such a link (slow start, loss) is not played.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ...transports.endpoint import Endpoint

_CHUNK_BYTES = 16_384
_LEAST_BUFFER_BYTES = 65_536
_BUFFER_SECONDS = 0.02


class Link:
    """One direction of a link: when what is put into it comes out.

    A token bucket with room for one chunk: chunks leave one after another, each after the time that
    its bytes take, and arrive `delay` later. Lateness of the caller does not add up, since times
    follow from the one before and not from the clock.

    Args:
        bits_per_second: The bandwidth; None is unlimited.
        delay: From one end to the other, in seconds.
    """

    def __init__(self, bits_per_second: float | None, delay: float) -> None:
        self._seconds_per_byte = 0.0 if bits_per_second is None else 8 / bits_per_second
        self._delay = delay
        self._free_at = 0.0
        self.bytes = 0

    @property
    def buffer_bytes(self) -> int:
        """How much may be under way: a sender is slowed down soon, but the link never idles."""
        if not self._seconds_per_byte:
            return 1 << 20
        return max(
            _LEAST_BUFFER_BYTES, int((_BUFFER_SECONDS + self._delay) / self._seconds_per_byte)
        )

    def arrival(self, size: int, now: float) -> float:
        """When a chunk that is put in now is out at the other end; both in seconds."""
        self.bytes += size
        self._free_at = max(self._free_at, now) + size * self._seconds_per_byte
        return self._free_at + self._delay


class Relay:
    """An asynchronous context manager: inside, `endpoint` leads to the server over the link.

    Args:
        server: Where it leads; no TLS.
        bits_per_second: The bandwidth of each direction, shared by all connections; None is
            unlimited.
        round_trip: What it adds to each exchange, in seconds.

    Attributes:
        up, down: The directions to the server and back; their `bytes` are counted.
    """

    def __init__(
        self, server: Endpoint, bits_per_second: float | None = None, round_trip: float = 0.0
    ) -> None:
        self._target = server
        self.up = Link(bits_per_second, round_trip / 2)
        self.down = Link(bits_per_second, round_trip / 2)
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        # One turn of the loop, in which the connections that were ended are closed.
        await asyncio.sleep(0)

    @property
    def endpoint(self) -> Endpoint:
        """The server, as seen through the relay."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return Endpoint(self._target.scheme, "127.0.0.1", port, self._target.path)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._connect(reader, writer)
        except (OSError, asyncio.CancelledError):
            # Cancelled by `__aexit__` alone, which waits for the end of this task.
            pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward = await asyncio.open_connection(
            self._target.host, self._target.port, limit=_CHUNK_BYTES
        )
        try:
            # The end of one direction is handed on; of both, it is over.
            await _together(
                Pump(self.up).run(reader, onward[1]), Pump(self.down).run(onward[0], writer)
            )
        finally:
            onward[1].transport.abort()


class Pump:
    """Moves bytes of one direction of one connection over a link, in order.

    Args:
        link: Shared with the other connections.
        clock, sleep: Those of the loop unless a test has its own.
    """

    def __init__(
        self,
        link: Link,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._link = link
        self._clock = clock or asyncio.get_running_loop().time
        self._sleep = sleep
        self._under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(
            max(1, link.buffer_bytes // _CHUNK_BYTES)
        )

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the sender has ended, and all has arrived; OSError if either end is lost."""
        await _together(self._take(reader), self._deliver(writer))

    async def _take(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            await self._under_way.put((self._link.arrival(len(data), self._clock()), data))
        await self._under_way.put((0.0, b""))

    async def _deliver(self, writer: asyncio.StreamWriter) -> None:
        while True:
            at, data = await self._under_way.get()
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            wait = at - self._clock()
            if wait > 0:
                await self._sleep(wait)
            writer.write(data)
            await writer.drain()


async def _together(*works: Coroutine[Any, Any, None]) -> None:
    """Until all are done; the failure of one ends the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
