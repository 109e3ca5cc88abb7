"""`GrpcTransport`: V2 gRPC with requests that are serialised before the run."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Coroutine
from typing import Any

import grpc
import grpc.aio

from infergraph.v2.schema import METHODS, SERVICE

from .codec import Template, unwrapped
from .exchange import Exchange, now_ns
from .outcome import Outcome, of_rpc
from .route import Route
from .transport import READY_SECONDS, Question, Transport

_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # Proxies of the environment are for other traffic, and would be measured.
    ("grpc.enable_http_proxy", 0),
    # A request is sent once, and what becomes of it is seen.
    ("grpc.enable_retries", 0),
    # A server that comes back is found again soon: gRPC would wait up to 2 minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Channels to one address would share a connection.
    ("grpc.use_local_subchannel_pool", 1),
)
_COMPRESSIONS = {
    None: grpc.Compression.NoCompression,
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
}
_QUESTIONS = {"ready": "ModelReady", "model": "ModelMetadata", "server": "ServerMetadata"}


class GrpcTransport(Transport):
    """Channels, used in turn. It cannot tell an answer's first byte."""

    def __init__(self, route: Route) -> None:
        super().__init__(route)
        self._metadata = tuple((name.lower(), value) for name, value in route.headers.items())
        self._compression = _COMPRESSIONS[route.compression]
        self._channels = _channels(route)
        # One request a stream, sent with its end: gRPC tells a caller whose stream the server ends
        # while it writes INTERNAL, and not what the server said.
        calls = [
            channel.unary_stream(f"/{SERVICE}/ModelStreamInfer")
            if route.stream
            else channel.unary_unary(f"/{SERVICE}/ModelInfer")
            for channel in self._channels
        ]
        self._next_call = itertools.cycle(calls).__next__
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        waits = (channel.channel_ready() for channel in self._channels)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.gather(*waits), READY_SECONDS)

    def ask(self, question: Question, exchange: Exchange) -> None:
        method, route = METHODS[_QUESTIONS[question]], self.route
        of_model = {"name": route.model, "version": route.version}
        asked = method.request(**({} if question == "server" else of_model))
        exchange.sent = now_ns()
        call = self._channels[0].unary_unary(f"/{SERVICE}/{method.name}")
        self._begin(_wait, call(asked.SerializeToString(), metadata=self._metadata), exchange)

    def send(self, request: Template, exchange: Exchange) -> None:
        exchange.sent = now_ns()
        index, metadata = exchange.index, self._metadata
        exchange.id = request.id(index)
        body = request.request(index, exchange.id)
        if self.route.traceparent:
            metadata = (*metadata, ("traceparent", request.traceparent(index)))
        call = self._next_call()(body, metadata=metadata, compression=self._compression)
        self._begin(_read if self.route.stream else _wait, call, exchange)

    def _begin(self, work: Any, call: Any, exchange: Exchange) -> None:
        exchange.abandon = call.cancel
        waiting: Coroutine[Any, Any, None] = _ended(work(call, exchange), exchange)
        task = asyncio.get_running_loop().create_task(waiting)
        # The loop itself holds tasks only weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


def _channels(route: Route) -> list[Any]:
    endpoint, count = route.endpoint, route.connections or 1
    options = _OPTIONS
    if route.connect_s is not None:
        options += (("grpc.min_reconnect_backoff_ms", int(route.connect_s * 1000)),)
    if not endpoint.is_secure:
        return [grpc.aio.insecure_channel(endpoint.authority, options) for _ in range(count)]
    credentials, more = route.tls.channel(endpoint)
    return [
        grpc.aio.secure_channel(endpoint.authority, credentials, (*options, *more))
        for _ in range(count)
    ]


async def _ended(work: Coroutine[Any, Any, None], exchange: Exchange) -> None:
    try:
        await work
    except grpc.aio.AioRpcError as error:
        _fail(exchange, error.code(), error.details())
    except asyncio.CancelledError:
        exchange.finish(Outcome.CANCELLED, error="the call was cancelled")


def _fail(exchange: Exchange, code: grpc.StatusCode, details: str | None) -> None:
    details = details or ""
    problem = f"gRPC {code.name}: {details}"
    exchange.finish(of_rpc(code.name, details), code.value[0], error=problem)


async def _wait(call: Any, exchange: Exchange) -> None:
    body = await call
    exchange.finish(Outcome.OK, grpc.StatusCode.OK.value[0], body)


async def _read(call: Any, exchange: Exchange) -> None:
    answers = []
    while (message := await call.read()) is not grpc.aio.EOF:
        try:
            answer, problem = unwrapped(message)
        except ValueError as error:
            exchange.finish(Outcome.WRONG_ANSWER, error=str(error))
        else:
            if problem:
                _fail(exchange, grpc.StatusCode.UNKNOWN, problem)
        if exchange.ended:
            call.cancel()
            return
        exchange.answered(answer)
        answers.append(answer)
    code = await call.code()
    if code is not grpc.StatusCode.OK:
        _fail(exchange, code, await call.details())
        return
    # Messages of protobuf that stand behind each other are one, which has the outputs of all.
    exchange.finish(Outcome.OK, code.value[0], b"".join(answers))
