"""`Transport`: a way to one model of one server, for many requests at once."""

from __future__ import annotations

import abc
import asyncio
from typing import Any, Literal

import orjson

from infergraph.v2.grpc import parameter_values
from infergraph.v2.schema import METHODS

from ..errors import NO_ANSWER, TIMEOUT, ServerError, Unreachable
from ..payloads import Metadata, TensorSpec
from .exchange import Exchange, now_ns
from .outcome import Outcome
from .route import Route
from .template import Template

Question = Literal["ready", "model", "server"]
ASK_SECONDS = 30.0
_READY_SECONDS = 10.0
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
        """Makes the first connection; a server that refuses it is not an error yet."""

    @abc.abstractmethod
    def send(self, request: Template, exchange: Exchange) -> None:
        """Sends a request; `exchange.finish` is called once, but never from within this call."""

    @abc.abstractmethod
    def ask(self, question: Question, exchange: Exchange) -> None:
        """Asks whether the model is ready, or for the model's or the server's metadata."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Ends all connections."""

    async def is_ready(self) -> bool | None:
        """Whether the model is ready; None if the server does not know it.

        Raises:
            ConnectionError: the server cannot be reached.
        """
        ended = await self._asked("ready", _READY_SECONDS)
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
        try:
            if self.route.endpoint.is_grpc:
                return _of_messages(model.body, server)
            return _of_documents(model.body, server)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            problem = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise not_v2(self.route, problem) from None

    async def _asked(self, question: Question, seconds: float) -> Exchange:
        ended: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        exchange = Exchange(-1, 0, False, now_ns(), ended.set_result)
        self.ask(question, exchange)
        await asyncio.wait({ended}, timeout=seconds)
        exchange.give_up(Outcome.TIMEOUT, "no answer")
        return exchange


def make_transport(route: Route) -> Transport:
    """The transport of a route; nothing is connected yet."""
    # gRPC takes a while to import, and REST does without.
    if route.endpoint.is_grpc:
        from .grpc_transport import GrpcTransport

        return GrpcTransport(route)
    from .rest import RestTransport

    return RestTransport(route)


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
        if route.compression == "deflate" and 400 <= exchange.status < 500:
            rest += (
                "; the request was compressed with deflate: MLServer reads gzip alone, Triton both"
            )
        return ServerError(said.removeprefix("HTTP "), rest)
    return ServerError(NO_ANSWER, f"{endpoint} broke off: {text}")


def not_v2(route: Route, problem: str) -> ServerError:
    """What came is no answer of V2."""
    return ServerError(NO_ANSWER, f"what {route.endpoint} answers is not V2: {problem}")


def _of_documents(model: bytes, server: Exchange) -> Metadata:
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
    said: Any = {}
    # A gateway may know models only.
    if server.outcome is Outcome.OK:
        said = orjson.loads(server.body)
    extensions = frozenset(said.get("extensions") or ()) if isinstance(said, dict) else frozenset()
    parameters = document.get("parameters")
    return Metadata(inputs, outputs, extensions, parameters if isinstance(parameters, dict) else {})


def _of_messages(model: bytes, server: Exchange) -> Metadata:
    said = METHODS["ModelMetadata"].response.FromString(model)
    inputs, outputs = (
        tuple(TensorSpec(each.name, each.datatype, tuple(each.shape)) for each in side)
        for side in (said.inputs, said.outputs)
    )
    extensions: frozenset[str] = frozenset()
    if server.outcome is Outcome.OK:
        extensions = frozenset(
            METHODS["ServerMetadata"].response.FromString(server.body).extensions
        )
    return Metadata(inputs, outputs, extensions, parameter_values(said.parameters))
