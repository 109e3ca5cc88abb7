from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from infergraph.server import disconnect
from infergraph.server.disconnect import CancelOnDisconnect, Event, Receive, Scope, Send

BODY: Event = {"type": "http.request", "body": b"{}", "more_body": False}
DISCONNECT: Event = {"type": "http.disconnect"}
INFER: Scope = {"type": "http", "path": "/v2/models/asr/infer"}


async def settle() -> None:
    """Lets everything that is ready on the event loop happen."""
    for _ in range(12):
        await asyncio.sleep(0)


async def send(event: Event) -> None:
    """Nobody reads the answers."""


class Client:
    """The server's end of a connection: events come when the test puts them in."""

    def __init__(self, *events: Event) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self.calls = 0
        self.waiting = 0
        for event in events:
            self.put(event)

    def put(self, event: Event) -> None:
        self._events.put_nowait(event)

    async def receive(self) -> Event:
        self.calls += 1
        self.waiting += 1
        assert self.waiting == 1, "two readers of one connection"
        try:
            return await self._events.get()
        finally:
            self.waiting -= 1


class Endpoint:
    """An application that reads the whole body, works until told to answer, and answers."""

    def __init__(self) -> None:
        self.received: list[Event] = []
        self.working = asyncio.Event()
        self.answer = asyncio.Event()
        self.ending = "none"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while not self.received or self.received[-1].get("more_body"):
            self.received.append(await receive())
        self.working.set()
        try:
            await self.answer.wait()
            self.ending = "answered"
        except asyncio.CancelledError:
            self.ending = "cancelled"
            raise


@pytest.fixture
def _watch_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disconnect, "GRACE_SECONDS", 0)


def start(endpoint: Any, client: Client, scope: Scope = INFER) -> asyncio.Task[None]:
    return asyncio.ensure_future(CancelOnDisconnect(endpoint)(scope, client.receive, send))


@pytest.mark.usefixtures("_watch_at_once")
@pytest.mark.parametrize(
    "path", ["/v2/models/asr/infer", "/v2/models/asr/generate", "/v2/models/asr/versions/2/infer"]
)
async def test_a_client_that_goes_away_cancels_its_request(path: str) -> None:
    endpoint, client = Endpoint(), Client(BODY)
    request = start(endpoint, client, {"type": "http", "path": path})
    await endpoint.working.wait()

    client.put(DISCONNECT)
    await settle()

    assert request.done()
    assert request.exception() is None
    assert endpoint.ending == "cancelled"
    assert endpoint.received == [BODY]
    assert client.waiting == 0


@pytest.mark.usefixtures("_watch_at_once")
async def test_a_client_that_stays_gets_its_answer_and_the_watch_ends() -> None:
    endpoint, client = Endpoint(), Client(BODY)
    request = start(endpoint, client)
    await endpoint.working.wait()
    await settle()
    assert client.waiting == 1

    endpoint.answer.set()
    await request
    await settle()

    assert endpoint.ending == "answered"
    assert client.waiting == 0


@pytest.mark.usefixtures("_watch_at_once")
async def test_a_slow_upload_is_not_mistaken_for_a_client_that_went_away() -> None:
    chunks: list[Event] = [
        {"type": "http.request", "body": bytes([n]), "more_body": n < 3} for n in range(4)
    ]
    endpoint, client = Endpoint(), Client()
    request = start(endpoint, client)
    for chunk in chunks:
        await settle()
        client.put(chunk)
    await settle()
    endpoint.answer.set()
    await settle()

    assert request.done()
    assert endpoint.received == chunks
    assert endpoint.ending == "answered"


@pytest.mark.usefixtures("_watch_at_once")
async def test_a_quick_answer_starts_no_watch() -> None:
    endpoint, client = Endpoint(), Client(BODY)
    endpoint.answer.set()

    await start(endpoint, client)
    await settle()

    assert endpoint.ending == "answered"
    assert client.calls == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.usefixtures("_watch_at_once")
async def test_a_server_that_cancels_the_request_sees_it_cancelled() -> None:
    endpoint, client = Endpoint(), Client(BODY)
    request = start(endpoint, client)
    await endpoint.working.wait()

    request.cancel()

    with pytest.raises(asyncio.CancelledError):
        await request
    await settle()
    assert endpoint.ending == "cancelled"
    assert client.waiting == 0


@pytest.mark.usefixtures("_watch_at_once")
async def test_a_client_that_goes_away_during_the_upload_is_the_applications_to_see() -> None:
    endpoint, client = Endpoint(), Client(DISCONNECT)
    endpoint.answer.set()

    await start(endpoint, client)

    assert endpoint.received == [DISCONNECT]
    assert endpoint.ending == "answered"


async def test_an_applications_error_passes() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        await start(broken, Client(BODY))


@pytest.mark.parametrize(
    "scope",
    [
        {"type": "http", "path": "/v2/health/ready"},
        {"type": "http", "path": "/v2/models/asr/infer_stream"},
        {"type": "http", "path": "/v2/models/asr/generate_stream"},
        {"type": "websocket", "path": "/v2/models/asr/infer"},
        {"type": "lifespan"},
    ],
)
async def test_other_requests_are_passed_through_untouched(scope: Scope) -> None:
    seen: list[tuple[Any, ...]] = []

    async def app(scope: Scope, receive: Callable[[], Awaitable[Event]], send: Send) -> None:
        seen.append((scope, receive, send))

    client = Client()
    receive = client.receive
    await CancelOnDisconnect(app)(scope, receive, send)

    assert seen == [(scope, receive, send)]
