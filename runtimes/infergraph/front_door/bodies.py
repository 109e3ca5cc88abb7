"""Reads the body of a REST request in bounded memory and time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from ..errors import DeadlineExceeded, InfergraphError, MalformedRequest, TooLarge
from ..request import Deadline
from ..v2.rest_tensors import LENGTH_HEADER
from .admission import Load, refused
from .coding import coding_of, inflate
from .desk import ASIDE_BYTES, aside
from .settings import FrontDoorSettings

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Disconnected(Exception):
    """The client went away before its request was whole."""


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """A request's headers by their names in lower case; values of one name are joined by commas.

    Asked several times, it is much cheaper than Starlette's own class, which decodes all at each.
    """
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


async def read_body(
    receive: Receive,
    headers: Mapping[str, str],
    load: Load,
    settings: FrontDoorSettings,
    deadline: Deadline | None,
) -> tuple[bytes, int | None]:
    """The body without its content coding, and the length of its JSON where raw contents follow.

    Raises:
        TooLarge: more than a limit of the settings.
        Overloaded: there is no room for it now.
        UnsupportedCoding: its content-encoding is not gzip or deflate.
        InvalidInput: it is not what its content-encoding says.
        MalformedRequest: its lengths contradict each other.
        DeadlineExceeded: it did not come in time.
        Disconnected: the client went away.
    """
    coding = coding_of(headers.get("content-encoding", ""))
    check_announced(headers, load)
    seconds = settings.body_timeout_s
    if deadline is not None:
        seconds = min(seconds, deadline.remaining())
    body = await _receive_in_time(receive, load, seconds, deadline)
    if coding:
        body = await _inflated(body, coding, load, settings)
    json_size = _json_size(headers)
    text = len(body) if json_size is None else json_size
    if text > settings.max_json_bytes:
        raise refused(
            "json_bytes",
            TooLarge(
                f"the JSON of the body has {text} bytes; accepted: at most "
                f"{settings.max_json_bytes} (server setting 'max_json_bytes'); send large tensors "
                "as binary data behind it, or over gRPC"
            ),
        )
    return body, json_size


def check_announced(headers: Mapping[str, str], load: Load) -> None:
    """Checks the length that a request says its body has; raises as `Load.check` does."""
    announced = headers.get("content-length", "")
    if announced.isdecimal():
        load.check(int(announced) if len(announced) < 19 else 1 << 62)


async def _receive_in_time(
    receive: Receive, load: Load, seconds: float, deadline: Deadline | None
) -> bytes:
    """The whole body; a timer of the event loop costs less than a task that waits for it."""
    request = asyncio.current_task()
    late = False

    def expire() -> None:
        nonlocal late
        late = True
        if request is not None:
            request.cancel()

    timer = asyncio.get_running_loop().call_later(max(seconds, 0.0), expire)
    try:
        return await _receive(receive, load)
    except asyncio.CancelledError:
        if not late:
            raise
    finally:
        timer.cancel()
    if deadline is not None and deadline.remaining() <= 0:
        raise deadline.exceeded("the request's body did not come in time")
    raise _late(seconds)


def _late(seconds: float) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"the body did not come in {seconds:g} s (server setting 'body_timeout_s')"
    )


class BoundedBody:
    """A `receive` for applications that read their bodies themselves, in memory and time as ours.

    Args:
        receive: Gives the events of the connection.
        load: Counts the body's bytes.
        seconds: How long the body may take, from when it is first asked for.

    Attributes:
        refusal: What it has raised, whatever the application made of it.
    """

    def __init__(self, receive: Receive, load: Load, seconds: float) -> None:
        self._receive = receive
        self._load = load
        self._seconds = seconds
        self._end: float | None = None
        self._size = 0
        self._is_whole = False
        self.refusal: InfergraphError | None = None

    async def __call__(self) -> MutableMapping[str, Any]:
        try:
            event = await self._next()
            self._size += len(event.get("body", b""))
            self._load.hold(self._size)
        except InfergraphError as error:
            self.refusal = error
            raise
        self._is_whole = not event.get("more_body", False)
        return event

    async def _next(self) -> MutableMapping[str, Any]:
        if self._is_whole:
            # What may still come is that the client goes.
            return await self._receive()
        now = asyncio.get_running_loop().time()
        if self._end is None:
            self._end = now + self._seconds
        try:
            return await asyncio.wait_for(self._receive(), max(self._end - now, 0.0))
        except asyncio.TimeoutError:
            raise _late(self._seconds) from None


async def _receive(receive: Receive, load: Load) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise Disconnected
        piece: bytes = event.get("body", b"")
        size += len(piece)
        load.hold(size)
        pieces.append(piece)
        if not event.get("more_body", False):
            break
    if size <= _JOINED_BYTES:
        return b"".join(pieces)
    return await aside(b"".join, pieces)


_JOINED_BYTES = 1 << 23


async def _inflated(body: bytes, coding: str, load: Load, settings: FrontDoorSettings) -> bytes:
    stop = threading.Event()
    limit = settings.max_body_bytes
    try:
        if len(body) <= ASIDE_BYTES // 16:
            # At most some thousand times larger: that is still quick.
            content = inflate(body, coding, limit, stop)
        else:
            content = await aside(inflate, body, coding, limit, stop)
    except TooLarge as error:
        raise refused("body_bytes", error) from None
    finally:
        stop.set()
    load.hold(len(content))
    return content


def _json_size(headers: Mapping[str, str]) -> int | None:
    given = headers.get(LENGTH_HEADER)
    if given is None:
        return None
    if not given.isdecimal() or len(given) > 18:
        raise MalformedRequest(
            f"the header {LENGTH_HEADER} is {given!r:.50}; accepted: a number of bytes"
        )
    return int(given)
