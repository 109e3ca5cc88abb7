"""REST inference: the endpoints `infer` and `infer_stream`, and their other names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import aclosing
from typing import Any

import orjson
from mlserver import MLModel
from starlette.datastructures import Headers

from ..errors import InfergraphError
from ..request import RequestContext, read_context
from ..servable import Servable, response_parameters
from ..v2 import Message, rest
from ..v2.request import InferRequest
from ..v2.rest_tensors import LENGTH_HEADER, Body
from . import metrics
from .access import Area
from .admission import stopping
from .bodies import Disconnected, Receive, headers_of, read_body
from .coding import GZIP, LEAST_BYTES, accepts_gzip, gzip
from .desk import ASIDE_BYTES, Desk, is_light
from .disconnect import Watch
from .errors import JSON, as_ours
from .stock import StockModel, aside_if

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

_BINARY = (b"content-type", b"application/octet-stream")
_EVENTS = (b"content-type", b"text/event-stream")
_JOINED_BYTES = 1 << 16
"""Parts of an answer up to this size go to the connection as one."""


class Call:
    """One request: what the connection has told of it, and what has been answered.

    Attributes:
        answering: Whether the answer has begun, so that no other status can be sent.
        error: The text of a failure that the answer tells, though its status does not.
    """

    __slots__ = (
        "answering",
        "began",
        "context",
        "error",
        "headers",
        "name",
        "path",
        "raw_headers",
        "receive",
        "version",
    )

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.began = time.perf_counter()
        self.receive = receive
        self.raw_headers = scope["headers"]
        self.headers = headers_of(self.raw_headers)
        self.path: str = scope["path"]
        self.name: str = scope["path_params"]["model_name"]
        self.version: str | None = scope["path_params"].get("model_version")
        self.context = RequestContext()
        self.answering = False
        self.error = ""

    def plain_headers(self) -> dict[str, str]:
        """As MLServer gives them to a model."""
        return dict(Headers(raw=self.raw_headers))


class RestInference:
    """An ASGI application that answers inference requests.

    Args:
        desk: What answers.
        route: The route's path, for metrics.
    """

    def __init__(self, desk: Desk, route: str) -> None:
        self._desk = desk
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(scope, receive)
        status, request_id = 0, ""

        async def answer(event: MutableMapping[str, Any]) -> None:
            call.answering = True
            await send(event)

        try:
            status, request_id = await self._answer(call, answer)
        except Disconnected:
            status = _CLIENT_GONE
        except asyncio.CancelledError:
            if not self._desk.drain.began:
                status = _CLIENT_GONE
                raise
            # The grace period is over: uvicorn cancels what is still in flight.
            failure: InfergraphError = stopping()
            if not call.answering:
                status, call.error = await self._send_error(send, failure)
            else:
                status, call.error = failure.status_code, str(failure)
                if not await self._told_within(send, failure):
                    raise
                status = 200
        except Exception as raised:
            failure = as_ours(raised, f"model '{call.name[:200]}'")
            if call.answering:
                status, call.error = failure.status_code, str(failure)
                raise
            status, call.error = await self._send_error(send, failure)
        finally:
            seconds = time.perf_counter() - call.began
            metrics.rest_answered("POST", self._route, status, seconds)
            if self._desk.log.is_on:
                self._desk.log.request(
                    "rest", f"POST {call.path}", call.name, status, seconds, request_id, call.error
                )

    async def _told_within(self, send: Send, error: InfergraphError) -> bool:
        """Ends an answer that has begun with an error; False where it has no room for one."""
        return False

    async def _send_error(self, send: Send, error: InfergraphError) -> tuple[int, str]:
        status, headers, body = self._desk.errors.rest(error)
        await _send(send, status, headers, [body])
        return status, str(error)

    async def _answer(self, call: Call, send: Send) -> tuple[int, str]:
        desk = self._desk
        caller = desk.access.check(Area.INFERENCE, call.headers)
        with desk.admission.request() as load:
            call.context = read_context(call.headers)
            call.context.caller = caller
            desk.find(call.name, call.version)
            deadline = call.context.deadline
            body, json_size = await read_body(
                call.receive, call.headers, load, desk.settings, deadline
            )
            # The instance may have been replaced meanwhile.
            serving = desk.find(call.name, call.version)
            with serving as model, Watch(call.receive) as watch:
                try:
                    return await self._respond(call, model, body, json_size, send)
                except asyncio.CancelledError:
                    if watch.disconnected:
                        raise Disconnected from None
                    raise

    async def _respond(
        self,
        call: Call,
        model: MLModel,
        body: bytes,
        json_size: int | None,
        send: Send,
    ) -> tuple[int, str]:
        """Sends what a model answers; gives the status and the request's id."""
        desk = self._desk
        if not isinstance(model, Servable):
            stock = StockModel(desk.data_plane, call.name, call.version, call.plain_headers())
            parts, size, given = await stock.answer_rest(body, json_size, desk.settings.limits)
            extra = [(name.encode(), value.encode()) for name, value in given.items()]
            await self._send_answer(call, send, parts, size, extra)
            return 200, ""
        request = await self._decode(body, json_size)
        answer = await desk.infer(model, request, call.context)
        return await self._send_message(call, send, model, answer, request)

    async def _send_message(
        self, call: Call, send: Send, model: Servable, answer: Message, request: InferRequest
    ) -> tuple[int, str]:
        light = is_light(answer, request.form)
        parts, size = await aside_if(not light, self._encode, model, answer, request)
        await self._send_answer(call, send, parts, size, [])
        return 200, answer.id

    async def _decode(self, body: bytes, json_size: int | None) -> InferRequest:
        large = (len(body) if json_size is None else json_size) > ASIDE_BYTES
        limits = self._desk.settings.limits
        heavy = large or _has_many_strings(body, json_size)
        request: InferRequest = await aside_if(heavy, rest.decode_request, body, json_size, limits)
        return request

    async def _send_answer(
        self,
        call: Call,
        send: Send,
        parts: Sequence[Body],
        json_size: int | None,
        headers: list[Header],
    ) -> None:
        if json_size is None:
            headers.append(JSON)
        else:
            headers.append(_BINARY)
            headers.append((LENGTH_HEADER.encode(), str(json_size).encode()))
        if self._wants_gzip(call) and sum(map(len, parts)) >= LEAST_BYTES:
            parts = [await aside_if(sum(map(len, parts)) > ASIDE_BYTES, gzip, parts)]
            headers.append((b"content-encoding", GZIP.encode()))
            headers.append((b"vary", b"accept-encoding"))
        await _send(send, 200, headers, parts)

    def _wants_gzip(self, call: Call) -> bool:
        coding = call.headers.get("content-encoding", "")
        if not coding and not self._desk.server.gzip_enabled:
            return False
        return accepts_gzip(call.headers.get("accept-encoding", ""))

    def _encode(
        self, model: Servable, answer: Message, request: InferRequest
    ) -> tuple[list[Body], int | None]:
        parameters = response_parameters(answer)
        marks = self._desk.settings.seldon
        return rest.encode_response(model.name, model.version, answer, parameters, request, marks)


class RestStream(RestInference):
    """Answers with a stream of events, one for each part of the answer."""

    async def _respond(
        self,
        call: Call,
        model: MLModel,
        body: bytes,
        json_size: int | None,
        send: Send,
    ) -> tuple[int, str]:
        """Sends an event for each part of the answer.

        A failure before the first is an error of the request. A later one is an event `error`.
        """
        desk = self._desk
        request_id = ""
        if isinstance(model, Servable):
            request = await self._decode(body, json_size)
            request_id = request.message.id
            events = self._events(model, request, call.context)
        else:
            stock = StockModel(desk.data_plane, call.name, call.version, call.plain_headers())
            payload, _ = await stock.read_rest(body, json_size, desk.settings.limits)
            events = stock.stream_rest(payload)
        began = False
        try:
            async for event in events:
                if not began:
                    began = True
                    await send({"type": "http.response.start", "status": 200, "headers": [_EVENTS]})
                await _send_event(send, b"data: " + event + b"\n\n")
        except Exception as raised:
            if not began:
                raise
            failure = as_ours(raised, f"model '{call.name}'")
            call.error = str(failure)
            await self._told_within(send, failure)
            return 200, request_id
        finally:
            await events.aclose()
        if not began:
            await send({"type": "http.response.start", "status": 200, "headers": [_EVENTS]})
        await send(_END)
        return 200, request_id

    async def _told_within(self, send: Send, error: InfergraphError) -> bool:
        await _send_event(send, _error_event(error))
        await send(_END)
        return True

    async def _events(
        self, model: Servable, request: InferRequest, context: RequestContext
    ) -> AsyncGenerator[bytes, None]:
        in_json = rest.without_binary(request)
        async with aclosing(self._desk.infer_stream(model, request, context)) as answers:
            async for answer in answers:
                heavy = not is_light(answer, in_json.form)
                parts, _ = await aside_if(heavy, self._encode, model, answer, in_json)
                yield b"".join(parts)


_END = {"type": "http.response.body", "body": b"", "more_body": False}
_CLIENT_GONE = 499
"""What logs and metrics say of a request whose client went away; nginx's number for it."""


def _has_many_strings(body: bytes, json_size: int | None) -> bool:
    """Whether raw contents may hold so many strings that they take long to tell apart."""
    if json_size is None or len(body) - json_size <= ASIDE_BYTES:
        return False
    return b'"BYTES"' in body[:json_size]


async def _send(send: Send, status: int, headers: list[Header], parts: Sequence[Body]) -> None:
    size = sum(map(len, parts))
    headers.append((b"content-length", str(size).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if len(parts) > 1 and size <= _JOINED_BYTES:
        parts = [b"".join(parts)]
    for index, part in enumerate(parts):
        more = index + 1 < len(parts)
        await send({"type": "http.response.body", "body": part, "more_body": more})


async def _send_event(send: Send, event: bytes) -> None:
    await send({"type": "http.response.body", "body": event, "more_body": True})


def _error_event(error: InfergraphError) -> bytes:
    text = str(error).encode("utf-8", "replace").decode()
    content = {"error": text, "status": error.status_code, "kind": type(error).__name__}
    return b"event: error\ndata: " + orjson.dumps(content) + b"\n\n"
