"""The emulated link: exact with a clock of the test's own, and faithful to the bytes."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from infergraph_clients.load.transfer.relay import Link, Pump, Relay
from infergraph_clients.transports.endpoint import Endpoint


def test_a_link_takes_the_time_of_its_bytes_and_its_delay() -> None:
    link = Link(8_000, 0.5)  # 1000 bytes per second

    assert link.arrival(100, now=10) == pytest.approx(10.6)
    # Behind the first, which leaves the link at 10.1.
    assert link.arrival(200, now=10) == pytest.approx(10.8)
    # Idle again.
    assert link.arrival(100, now=20) == pytest.approx(20.6)
    assert link.bytes == 400


def test_the_callers_lateness_does_not_add_up() -> None:
    link = Link(8_000, 0)
    arrivals = [link.arrival(10, now=step * 0.001) for step in range(1_000)]
    assert arrivals[-1] == pytest.approx(10)


def test_an_unlimited_link_is_its_delay() -> None:
    link = Link(None, 0.02)
    assert link.arrival(10**9, now=1) == link.arrival(10**9, now=1) == pytest.approx(1.02)


@pytest.mark.parametrize(("bits", "delay"), [(1e9, 0.0), (1e6, 0.0), (1e8, 0.2), (None, 0.1)])
def test_what_is_under_way_fills_the_link(bits: float | None, delay: float) -> None:
    link = Link(bits, delay)
    assert link.buffer_bytes >= (bits or 8e6) / 8 * delay
    assert link.buffer_bytes >= 65_536


class Writer:
    """Notes what is written when, by the test's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.written: list[tuple[float, int]] = []
        self.content = b""
        self.ended = False

    def write(self, data: bytes) -> None:
        self.written.append((self._clock.now, len(data)))
        self.content += data

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True


class Clock:
    """Time passes while somebody sleeps, and only then."""

    now = 100.0

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        # Whoever is ready goes first, as in a real loop.
        for _ in range(5):
            await asyncio.sleep(0)
        self.now += seconds


@pytest.mark.parametrize("size", [1, 16_384, 100_000, 1_000_000])
async def test_a_pump_delivers_at_the_rate_of_the_link(size: int) -> None:
    clock = Clock()
    writer = Writer(clock)
    reader = asyncio.StreamReader(limit=2**24)
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    reader.feed_data(content)
    reader.feed_eof()
    link = Link(8e6, 0.25)  # a megabyte per second

    await Pump(link, lambda: clock.now, clock.sleep).run(reader, writer)  # type: ignore[arg-type]

    assert writer.content == content
    assert writer.ended
    assert clock.now == pytest.approx(100.25 + size / 1e6)
    arrived = 0
    for at, count in writer.written:
        arrived += count
        assert at >= 100.25 + arrived / 1e6 - 1e-9


async def test_connections_share_a_link() -> None:
    clock = Clock()
    link = Link(8e6, 0)
    writers = [Writer(clock) for _ in range(2)]
    pumps = []
    for writer in writers:
        reader = asyncio.StreamReader(limit=2**24)
        reader.feed_data(bytes(500_000))
        reader.feed_eof()
        pumps.append(Pump(link, lambda: clock.now, clock.sleep).run(reader, writer))  # type: ignore[arg-type]

    await asyncio.gather(*pumps)

    assert link.bytes == 1_000_000
    assert clock.now >= 101
    assert all(len(writer.content) == 500_000 for writer in writers)


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def serve_upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with all that came, in capitals."""
    content = await reader.read()
    writer.write(content.upper())
    await closed(writer)


async def test_a_relay_leads_to_the_server_and_counts() -> None:
    server = await asyncio.start_server(serve_upper, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    content = b"abc" * 100_000
    async with server, Relay(Endpoint("http", "127.0.0.1", port, "/x")) as relay:
        assert (relay.endpoint.scheme, relay.endpoint.path) == ("http", "/x")
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.endpoint.port)
        writer.write(content)
        writer.write_eof()
        answer = await reader.read()
        await closed(writer)

    assert answer == content.upper()
    assert (relay.up.bytes, relay.down.bytes) == (len(content), len(content))


async def test_a_relay_to_nowhere_ends_the_connection() -> None:
    async with Relay(Endpoint("http", "127.0.0.1", 9)) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.endpoint.port)
        assert await reader.read() == b""
        await closed(writer)


async def test_a_client_that_leaves_frees_the_server() -> None:
    left = asyncio.Event()

    async def wait_for_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        left.set()
        await closed(writer)

    server = await asyncio.start_server(wait_for_the_end, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Relay(Endpoint("http", "127.0.0.1", port)) as relay:
        _, writer = await asyncio.open_connection("127.0.0.1", relay.endpoint.port)
        writer.transport.abort()
        await asyncio.wait_for(left.wait(), 30)
