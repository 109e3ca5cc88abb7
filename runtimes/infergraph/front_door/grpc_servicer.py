"""The gRPC service of V2, on bytes: MLServer's and Triton's calls of that name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import grpc
from mlserver import MLModel
from mlserver.types import RepositoryIndexRequest

from ..errors import InfergraphError, InvalidInput, StageUnavailable
from ..request import ERROR_HEADER, RequestContext, read_context
from ..servable import Servable, response_parameters
from ..v2 import Message
from ..v2 import grpc as codec
from ..v2.request import InferRequest
from ..v2.schema import (
    HOP_RESPONSE,
    HOP_SERVICE,
    METHODS,
    REPOSITORY_SERVICE,
    SERVICE,
    HopResponse,
    ModelStreamInferResponse,
)
from . import metrics
from .access import Area
from .admission import stopping
from .coding import GZIP, accepts_gzip
from .desk import ASIDE_BYTES, ASIDE_STRINGS, Desk, is_light
from .errors import as_ours
from .rest_app import extensions, model_metadata, model_ready
from .stock import StockModel, aside_if

_ENCODING = "grpc-internal-encoding-request"
"""gRPC's own word to itself, with which a server chooses the compression of an answer."""
_INFER_RESPONSE = 2
"""The field of ModelStreamInferResponse that holds an answer."""


class GrpcServicer:
    """Answers the calls of the service.

    Args:
        desk: What answers.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._wraps_streams = desk.settings.grpc_stream == "triton"
        self._idle: set[asyncio.Task[Any]] = set()
        self._is_stopping = False

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """The handlers of both names that the service has, and of the one of hops."""
        calls: dict[str, Any] = {
            "ModelInfer": grpc.unary_unary_rpc_method_handler(self._model_infer),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(self._model_stream_infer),
        }
        areas = {
            "ServerLive": None,
            "ServerReady": None,
            "ModelReady": None,
            "ServerMetadata": Area.INFERENCE,
            "ModelMetadata": Area.INFERENCE,
            "RepositoryIndex": Area.CONTROL,
            "RepositoryModelLoad": Area.CONTROL,
            "RepositoryModelUnload": Area.CONTROL,
        }
        answers: dict[str, Callable[[Any], Awaitable[Any]]] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }
        for name, answer in answers.items():
            calls[name] = self._unary(name, answer, areas[name])
        repository = {name: call for name, call in calls.items() if name.startswith("Repository")}
        kept = grpc.stream_stream_rpc_method_handler(self._kept_call)
        return [
            grpc.method_handlers_generic_handler(SERVICE, calls),
            grpc.method_handlers_generic_handler(HOP_SERVICE, {"Infer": kept}),
            grpc.method_handlers_generic_handler(REPOSITORY_SERVICE, repository),
        ]

    def _unary(
        self, name: str, answer: Callable[[Any], Awaitable[Any]], area: Area | None
    ) -> grpc.RpcMethodHandler:
        method = METHODS[name]

        async def call(body: bytes, context: Any) -> bytes:
            began = time.perf_counter()
            code, error = grpc.StatusCode.CANCELLED, ""
            try:
                if area is not None:
                    self._desk.access.check(area, _headers(context))
                response = await answer(codec.parse(method.request, body))
                content: bytes = response.SerializeToString()
                code = grpc.StatusCode.OK
                return content
            except Exception as raised:
                failure = as_ours(raised, name)
                code, error = self._code(failure), str(failure)
                await self._abort(context, failure)
                raise AssertionError from None  # abort has raised
            finally:
                self._note(name, "UNARY", code, began, "", "", error, area is not None)

        return grpc.unary_unary_rpc_method_handler(call)

    def _note(
        self,
        method: str,
        kind: str,
        code: grpc.StatusCode,
        began: float,
        model: str,
        request_id: str,
        error: str,
        logged: bool = True,
    ) -> None:
        seconds = time.perf_counter() - began
        metrics.grpc_answered(SERVICE, method, kind, code.name, seconds)
        if logged and self._desk.log.is_on:
            self._desk.log.request("grpc", method, model, code.name, seconds, request_id, error)

    async def _server_live(self, request: Any) -> Any:
        return METHODS["ServerLive"].response(live=True)

    async def _server_ready(self, request: Any) -> Any:
        return METHODS["ServerReady"].response(ready=self._desk.ready())

    async def _model_ready(self, request: Any) -> Any:
        ready = await model_ready(self._desk, request.name, request.version)
        return METHODS["ModelReady"].response(ready=ready)

    async def _server_metadata(self, request: Any) -> Any:
        metadata = await self._desk.data_plane.metadata()
        return METHODS["ServerMetadata"].response(
            name=metadata.name, version=metadata.version, extensions=extensions(self._desk)
        )

    async def _model_metadata(self, request: Any) -> Any:
        metadata = await model_metadata(self._desk, request.name, request.version)
        response = METHODS["ModelMetadata"].response(
            name=metadata.name, versions=metadata.versions or (), platform=metadata.platform
        )
        _set_given(response.parameters, metadata.parameters)
        sides = ((response.inputs, metadata.inputs), (response.outputs, metadata.outputs))
        for target, tensors in sides:
            for each in tensors or ():
                described = target.add(
                    name=each.name, datatype=str(each.datatype), shape=each.shape
                )
                _set_given(described.parameters, each.parameters)
        return response

    async def _index(self, request: Any) -> Any:
        found = await self._desk.repository.index(RepositoryIndexRequest(ready=request.ready))
        response = METHODS["RepositoryIndex"].response()
        for each in found.root:
            response.models.add(
                name=each.name,
                version=each.version or "",
                state=str(getattr(each.state, "value", each.state)),
                reason=each.reason or "",
            )
        return response

    async def _load(self, request: Any) -> Any:
        await self._desk.repository.load(request.model_name)
        return METHODS["RepositoryModelLoad"].response()

    async def _unload(self, request: Any) -> Any:
        await self._desk.repository.unload(request.model_name)
        return METHODS["RepositoryModelUnload"].response()

    async def _model_infer(self, body: bytes, context: Any) -> bytes:
        headers = _headers(context)
        try:
            content, trailers = await self._answer(body, headers)
        except InfergraphError as failure:
            await self._abort(context, failure)
            raise AssertionError from None  # abort has raised
        if trailers:
            context.set_trailing_metadata(tuple(trailers.items()))
        if "accept-encoding" in headers:
            await _compress_if_asked(headers, context)
        return content

    async def _kept_call(self, frames: AsyncIterator[bytes], context: Any) -> None:
        """Answers the requests of a hop's call in turn, until its caller or the server ends it."""
        # Of one that the server ends, the caller sends the next request by a call of its own.
        with suppress(StageUnavailable):
            async for frame in self._requests(context):
                await context.write(await self._hop(frame))

    async def _requests(self, context: Any) -> AsyncIterator[bytes]:
        """The requests of a call that may have many, until its caller ends it.

        Raises:
            StageUnavailable: the server stops, and all that have come are answered.
        """
        task = asyncio.current_task()
        assert task is not None
        while not self._is_stopping:
            self._idle.add(task)
            try:
                body = await context.read()
            except asyncio.CancelledError:
                if self._is_stopping:
                    break
                raise
            finally:
                self._idle.discard(task)
            if body is grpc.aio.EOF:
                return
            yield body
        raise stopping()

    async def _hop(self, frame: bytes) -> bytes:
        try:
            content, _ = await self._answer(*codec.hop_request(frame))
            return codec.embedded(HOP_RESPONSE, [content])
        except InfergraphError as error:
            code, details = self._desk.errors.grpc(error)
            response = HopResponse(code=code.value[0], details=details, error=type(error).__name__)
            failed: bytes = response.SerializeToString()
            return failed

    def end_idle_calls(self) -> None:
        """Ends hops' calls and streams that wait for a request, and others once they have answered.

        They would hold the server up until its grace period is over.
        """
        self._is_stopping = True
        for task in self._idle:
            task.cancel()

    async def _answer(self, body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        """A serialised ModelInferResponse and trailing metadata; raises an InfergraphError."""
        began = time.perf_counter()
        code, error, model, request_id = grpc.StatusCode.OK, "", "", ""
        try:
            caller = self._desk.access.check(Area.INFERENCE, headers)
            with self._desk.admission.request() as load:
                load.hold_message(len(body))
                call = await self._parse(body)
                model, request_id = call.header.model_name, call.header.id
                accompanying = _context(headers, caller)
                parts, trailers = await self._infer(call, body, headers, accompanying)
                # Of large parts it is done without the interpreter lock.
                content: bytes = await aside_if(load.held > _SCANNED_BYTES, b"".join, parts)
                return content, trailers
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        except Exception as raised:
            failure = as_ours(raised, f"model '{model[:200]}'")
            code, error = self._code(failure), str(failure)
            raise failure from None
        finally:
            self._note("ModelInfer", "UNARY", code, began, model, request_id, error)

    async def _parse(self, body: bytes) -> codec.Call:
        limit = self._desk.settings.max_typed_bytes
        # Only what protobuf itself parses takes time, and raw contents are mostly at the end.
        heavy = len(body) > _SCANNED_BYTES
        call: codec.Call = await aside_if(heavy, codec.Call, body, limit)
        return call

    async def _infer(
        self, call: codec.Call, body: bytes, headers: dict[str, str], context: RequestContext
    ) -> tuple[Sequence[bytes | memoryview], dict[str, str]]:
        desk, header = self._desk, call.header
        version = header.model_version or None
        serving = desk.find(header.model_name, version)
        request: InferRequest | None = None
        if isinstance(serving.model, Servable):
            request = await self._decode(call)
            # The instance may have been replaced meanwhile.
            serving = desk.find(header.model_name, version)
        else:
            call.check(desk.settings.limits)
        with serving as model:
            if request is None or not isinstance(model, Servable):
                stock = StockModel(desk.data_plane, header.model_name, version, headers)
                content, trailers = await stock.answer_grpc(body)
                return [content], trailers
            answer = await desk.infer(model, request, context)
            light = is_light(answer, request.form)
            parts: Sequence[bytes | memoryview] = await aside_if(
                not light, self._encode, model, answer, request
            )
            return parts, {}

    async def _decode(self, call: codec.Call) -> InferRequest:
        limits = self._desk.settings.limits
        call.check(limits)
        heavy = call.parsed_bytes > ASIDE_BYTES or call.strings() > ASIDE_STRINGS
        request: InferRequest = await aside_if(heavy, call.decode, limits)
        return request

    async def _model_stream_infer(
        self, bodies: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[bytes]:
        """Answers the requests of a stream in turn, each in parts.

        As Triton does it, a request that fails is answered with its error's text, and the stream
        goes on; as MLServer does it, the stream ends with the error's status.
        """
        began = time.perf_counter()
        # Cancelled while it gives a part, it is closed, and no CancelledError says so.
        code, error, model, request_id = grpc.StatusCode.CANCELLED, "", "", ""
        try:
            headers = _headers(context)
            async for body in self._requests(context):
                # Not before it has written: gRPC tells a caller whose stream ends while it writes
                # INTERNAL, and not what the server said.
                caller = self._desk.access.check(Area.INFERENCE, headers)
                try:
                    with self._desk.admission.request() as load:
                        load.hold_message(len(body))
                        call = await self._parse(body)
                        model, request_id = call.header.model_name, call.header.id
                        accompanying = _context(headers, caller)
                        async for part in self._parts(call, body, headers, accompanying):
                            yield part
                except Exception as raised:
                    failure = as_ours(raised, f"model '{model[:200]}'")
                    if not self._wraps_streams:
                        raise failure from None
                    error = str(failure)
                    yield _stream_error(self._desk.errors.grpc(failure)[1], request_id)
            code = grpc.StatusCode.OK
        except Exception as raised:
            failure = as_ours(raised, f"model '{model[:200]}'")
            code, error = self._code(failure), str(failure)
            await self._abort(context, failure)
        finally:
            self._note("ModelStreamInfer", "BIDI_STREAMING", code, began, model, request_id, error)

    async def _parts(
        self, call: codec.Call, body: bytes, headers: dict[str, str], context: RequestContext
    ) -> AsyncIterator[bytes]:
        desk, header = self._desk, call.header
        version = header.model_version or None
        desk.find(header.model_name, version)
        request = await self._decode(call)
        with desk.find(header.model_name, version) as model:
            if isinstance(model, Servable):
                async for answer in desk.infer_stream(model, request, context):
                    yield self._wrapped(self._encode(model, answer, request))
                return

            async def one() -> AsyncIterator[bytes]:
                yield body

            stock = StockModel(desk.data_plane, header.model_name, version, headers)
            async for content in stock.stream_grpc(one()):
                yield self._wrapped([content])

    def _code(self, error: InfergraphError) -> grpc.StatusCode:
        return self._desk.errors.grpc(error)[0]

    async def _abort(self, context: Any, error: InfergraphError) -> None:
        trailers = ((ERROR_HEADER, type(error).__name__),)
        await context.abort(*self._desk.errors.grpc(error), trailers)

    def _wrapped(self, parts: Sequence[bytes | memoryview]) -> bytes:
        return codec.embedded(_INFER_RESPONSE, parts) if self._wraps_streams else b"".join(parts)

    def _encode(
        self, model: MLModel, answer: Message, request: InferRequest
    ) -> Sequence[bytes | memoryview]:
        return codec.encode_response(
            model.name,
            model.version or "",
            answer,
            response_parameters(answer),
            request.form,
            self._desk.settings.seldon,
        )


_SCANNED_BYTES = 1 << 20


def _stream_error(text: str, request_id: str) -> bytes:
    response = ModelStreamInferResponse(error_message=text)
    response.infer_response.id = request_id
    content: bytes = response.SerializeToString()
    return content


def _headers(context: Any) -> dict[str, str]:
    return dict(context.invocation_metadata() or ())


def _context(headers: dict[str, str], caller: str) -> RequestContext:
    """What accompanies a call. gRPC's own deadline cancels the call by itself when it passes."""
    context = read_context(headers)
    context.caller = caller
    return context


async def _compress_if_asked(headers: dict[str, str], context: Any) -> None:
    """Has the answer compressed, if the call's metadata hold `accept-encoding: gzip`.

    gRPC keeps to itself whether the request was compressed. `set_compression` of its asynchronous
    servers has no effect (https://github.com/grpc/grpc/issues/34690), so this sends what begins the
    answer; only an answer may follow.
    """
    if accepts_gzip(headers.get("accept-encoding", "")):
        await context.send_initial_metadata(((_ENCODING, GZIP),))


def _set_given(target: Any, parameters: Any) -> None:
    """Sets the parameters of MLServer's types that gRPC can carry; it drops others, too."""
    given = {} if parameters is None else parameters.model_dump(exclude_none=True)
    for name, value in given.items():
        try:
            codec.set_parameters(target, {name: value}, True)
        except InvalidInput:
            continue
