"""`Transport`: a way to one model of one server, for many requests at once; `Client`, for few."""

from __future__ import annotations

import abc
import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from infergraph.v2.grpc import parameter_values
from infergraph.v2.schema import METHODS

from ..errors import NO_ANSWER, TIMEOUT, ServerError, Unreachable
from ..payloads import Metadata, Payload, TensorSpec
from .codec import Answer, Codec, Template
from .exchange import Exchange, now_ns
from .outcome import Outcome
from .route import Route

Question = Literal["ready", "model", "server"]
ASK_SECONDS = 30.0
READY_SECONDS = 10.0
"""For the question whether a model is ready, and for the first connection."""
_DEFLATE = "; the request was compressed with deflate: MLServer reads gzip alone, Triton both"


class Transport(abc.ABC):
    """It lives in one event loop.

    Args:
        route: The model, and how it is called. Its headers go with every call.
    """

    def __init__(self, route: Route) -> None:
        self.route = route

    @abc.abstractmethod
    async def open(self) -> None:
        """Makes the first connection; a server that refuses it, or is mute, is no error yet."""

    @abc.abstractmethod
    def send(self, request: Template, exchange: Exchange) -> None:
        """Sends a request; `exchange.finish` is called once, but never from within this call."""

    @abc.abstractmethod
    def ask(self, question: Question, exchange: Exchange) -> None:
        """Asks whether the model is ready, or for the model's or the server's metadata."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Ends all connections."""

    async def ended(
        self,
        begin: Callable[[Exchange], None],
        timeout_s: float | None,
        *,
        index: int = -1,
        traced: bool = False,
    ) -> Exchange:
        """A request that has ended; by itself, or given up after so many seconds.

        Args:
            begin: Sends or asks.
            timeout_s: None for never.
            index, traced: Of the request.
        """
        done: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        exchange = Exchange(index, 0, traced, now_ns(), done.set_result)
        try:
            begin(exchange)
            await asyncio.wait({done}, timeout=timeout_s)
        finally:
            exchange.give_up(Outcome.TIMEOUT, "no answer")
        return exchange

    async def is_ready(self) -> bool | None:
        """Whether the model is ready; None if the server does not know it.

        Raises:
            ConnectionError: the server cannot be reached.
        """
        ended = await self._asked("ready", READY_SECONDS)
        if ended.outcome in (Outcome.REFUSED, Outcome.LOST):
            raise ConnectionError(ended.error)
        if self.route.endpoint.is_grpc:
            if ended.error.startswith("gRPC NOT_FOUND"):
                return None
            ready = METHODS["ModelReady"].response
            return ended.outcome is Outcome.OK and bool(ready.FromString(ended.body).ready)
        # MLServer says 400 of a model that it is still loading, as Triton does of an unknown one.
        return None if ended.status == 404 else ended.outcome is Outcome.OK

    async def metadata(self) -> Metadata:
        """What the server says of the model and of itself.

        Raises:
            Unreachable: there is no connection to it.
            ServerError: it refuses, does not answer in time, or answers with something else.
        """
        model = await self._asked("model", ASK_SECONDS)
        if model.outcome is not Outcome.OK:
            raise failure(self.route, model, ASK_SECONDS)
        server = await self._asked("server", ASK_SECONDS)
        # A gateway may know models only.
        said = server.body if server.outcome is Outcome.OK else None
        read = _of_messages if self.route.endpoint.is_grpc else _of_documents
        try:
            return read(model.body, said)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            problem = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise not_v2(self.route, problem) from None

    async def _asked(self, question: Question, seconds: float) -> Exchange:
        return await self.ended(lambda exchange: self.ask(question, exchange), seconds)


def make_transport(route: Route) -> Transport:
    """The transport of a route; nothing is connected yet."""
    # gRPC takes a while to import, and REST does without.
    if route.endpoint.is_grpc:
        from .grpc_transport import GrpcTransport

        return GrpcTransport(route)
    from .rest import RestTransport

    return RestTransport(route)


@dataclass(frozen=True)
class Reply:
    """An answer, and when it came.

    Attributes:
        answer: Of a stream, all answers as one.
        seconds: From the request to the last of it.
        first_s: From the request to the first answer of a stream; None for another answer.
        gaps: Seconds between the answers of a stream.
    """

    answer: Answer
    seconds: float
    first_s: float | None = None
    gaps: tuple[float, ...] = ()


class Client:
    """A few requests, each awaited: what `infergraph-infer` and `infergraph-video` send.

    An async context manager; within one, its calls may run at the same time.

    Args:
        route: The model, and how it is called. The format `auto` is settled by `metadata`, and
            without it is that of servers that announce nothing.
    """

    def __init__(self, route: Route) -> None:
        # gRPC would write lines of its own beside our one.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        self._codec = Codec(route.settled(Metadata()))
        self._route = route
        self._sent = 0

    async def __aenter__(self) -> Client:
        self._transport = make_transport(self._route)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()

    async def metadata(self) -> Metadata:
        """As `Transport.metadata`; it settles the format of the requests."""
        metadata = await self._transport.metadata()
        self._codec = Codec(self._route.settled(metadata))
        return metadata

    async def infer(
        self,
        payload: Payload,
        *,
        trace: bool = False,
        timeout_s: float | None = None,
        on_answer: Callable[[Answer], None] | None = None,
    ) -> Reply:
        """Sends a request, and waits for its answer, or the last one of its stream.

        Args:
            payload: What is sent; its own id, if it has one.
            trace: Whether the answer should tell what each step cost.
            timeout_s: When the client gives up; None for never.
            on_answer: Of a stream, called with each answer as it comes; what it raises ends the
                request, and is raised here.

        Raises:
            UsageError: the payload cannot be sent as it is.
            Unreachable, ServerError: why there is no answer.
        """
        codec, route = self._codec, self._route
        template = codec.encode(payload, trace=trace, own_id=True)
        decode = codec.decode_message if route.endpoint.is_grpc else codec.decode_body
        problems: list[Exception] = []

        def begin(exchange: Exchange) -> None:
            def told(body: bytes) -> None:
                assert on_answer is not None
                try:
                    on_answer(decode(body))
                except Exception as error:  # which no transport could pass on
                    problems.append(error)
                    exchange.give_up(Outcome.CANCELLED, "an answer could not be taken")

            exchange.on_answer = told if on_answer is not None else None
            self._transport.send(template, exchange)

        index, self._sent = self._sent, self._sent + 1
        exchange = await self._transport.ended(begin, timeout_s, index=index, traced=trace)
        for error in problems:
            raise not_v2(route, str(error)) if isinstance(error, ValueError) else error
        if exchange.outcome is Outcome.WRONG_ANSWER:
            raise not_v2(route, exchange.error)
        if exchange.outcome is not Outcome.OK:
            raise failure(route, exchange, timeout_s)
        try:
            answer = codec.named(exchange, codec.decode(exchange))
        except ValueError as error:
            raise not_v2(route, str(error)) from None
        return Reply(
            answer,
            (exchange.end - exchange.sent) / 1e9,
            (exchange.first_answer - exchange.sent) / 1e9 if exchange.answers else None,
            tuple(gap / 1e9 for gap in exchange.gaps),
        )


def failure(route: Route, exchange: Exchange, timeout_s: float | None) -> Unreachable | ServerError:
    """Why a request that has ended without an answer did so."""
    endpoint, text = route.endpoint, " ".join(exchange.error.split())
    if exchange.outcome in (Outcome.REFUSED, Outcome.TESTER_ERROR):
        reason = text.removeprefix("gRPC UNAVAILABLE: ")
        reason = reason.removeprefix(f"no connection to {endpoint.authority}: ")
        return Unreachable(f"no connection to {endpoint}: {reason}")
    if exchange.outcome is Outcome.TIMEOUT or text == "gRPC DEADLINE_EXCEEDED: Deadline Exceeded":
        within = "" if timeout_s is None else f" within {timeout_s * 1000:g} ms"
        return ServerError(TIMEOUT, f"no answer from {endpoint}{within}")
    said, _, rest = text.partition(": ")
    if said.startswith("gRPC ") and exchange.outcome is not Outcome.LOST:
        return ServerError(said.removeprefix("gRPC "), rest)
    if said.startswith("HTTP "):
        deflated = route.compression == "deflate" and 400 <= exchange.status < 500
        return ServerError(said.removeprefix("HTTP "), rest + (_DEFLATE if deflated else ""))
    return ServerError(NO_ANSWER, f"{endpoint} broke off: {text}")


def not_v2(route: Route, problem: str) -> ServerError:
    """What came is no answer of V2."""
    return ServerError(NO_ANSWER, f"what {route.endpoint} answers is not V2: {problem}")


def _of_documents(model: bytes, server: bytes | None) -> Metadata:
    document = orjson.loads(model)
    if not isinstance(document, dict):
        raise TypeError(f"the model's metadata are {type(document).__name__}; accepted: an object")
    inputs, outputs = (
        tuple(
            TensorSpec(each["name"], each["datatype"], tuple(each["shape"]))
            for each in document.get(side) or ()
        )
        for side in ("inputs", "outputs")
    )
    said: Any = {} if server is None else orjson.loads(server)
    extensions = frozenset(said.get("extensions") or ()) if isinstance(said, dict) else frozenset()
    parameters = document.get("parameters")
    return Metadata(inputs, outputs, extensions, parameters if isinstance(parameters, dict) else {})


def _of_messages(model: bytes, server: bytes | None) -> Metadata:
    said = METHODS["ModelMetadata"].response.FromString(model)
    inputs, outputs = (
        tuple(TensorSpec(each.name, each.datatype, tuple(each.shape)) for each in side)
        for side in (said.inputs, said.outputs)
    )
    # An empty message has no extensions.
    extensions = METHODS["ServerMetadata"].response.FromString(server or b"").extensions
    return Metadata(inputs, outputs, frozenset(extensions), parameter_values(said.parameters))
