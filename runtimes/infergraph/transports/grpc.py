"""`GrpcTransport`: a V2 server over gRPC (MLServer, Triton, Seldon)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import grpc

from ..declaration import ModelDeclaration
from ..errors import StageFailure
from ..request import RequestContext
from ..tensors import TensorSpec
from ..v2 import Message
from ..v2.grpc import decode_response, encode_request, parameter_values
from ..v2.schema import KEPT_CALLS_EXTENSION, METHODS, SERVICE
from . import failures, hop
from .endpoint import Endpoint
from .kept_calls import KeptCallFailed, KeptCalls

_DRAIN_SECONDS = 30.0
_KEPT_BYTES = 1 << 16
"""Larger requests take a call of their own, which copies them once less."""

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # An https_proxy of the environment is not meant for the calls between stages.
    ("grpc.enable_http_proxy", 0),
    # Servers end connections that ping more often than every 5 minutes without data.
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # A stage that comes back is found again soon: gRPC would wait up to 2 minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A name may stand for several servers, and for others later: each gets its share of the calls,
    # and the name is asked for again when a connection ends.
    ("grpc.lb_policy_name", "round_robin"),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
)


def target_of(endpoint: Endpoint) -> str:
    """What gRPC calls an endpoint."""
    return f"dns:///{endpoint.authority}"


class GrpcTransport:
    """One channel to one server. Tensors travel as raw contents."""

    kind = "grpc"

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = str(endpoint)
        self._own = dict(endpoint.headers)
        target = target_of(endpoint)
        if endpoint.is_secure:
            self._channel = grpc.aio.secure_channel(
                target, grpc.ssl_channel_credentials(), CHANNEL_OPTIONS
            )
        else:
            self._channel = grpc.aio.insecure_channel(target, CHANNEL_OPTIONS)
        # Neither serialiser: the codec makes and reads the bytes, and copies no tensor.
        self._infer: Callable[..., Any] = self._channel.unary_unary(f"/{SERVICE}/ModelInfer")
        self._model_metadata = self._method("ModelMetadata")
        self._server_metadata = self._method("ServerMetadata")
        self._kept = KeptCalls(self._channel)
        self._extensions = hop.Extensions(self._announced, self.endpoint)

    def _method(self, name: str) -> Callable[..., Any]:
        method = METHODS[name]
        call: Callable[..., Any] = self._channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        return call

    async def infer(self, model: str, message: Message, context: RequestContext) -> Message:
        """See `Transport.infer`."""
        parameters = hop.request_parameters(message, context.trace)
        extensions = await self._extensions.get(context)
        exact = hop.PARAMETERS_EXTENSION in extensions
        request = encode_request(model, "", message, parameters, exact)
        remaining = hop.seconds_left(context, self.endpoint)
        headers = hop.headers(model, context, remaining, self._own)
        keeps = KEPT_CALLS_EXTENSION in extensions and len(request) <= _KEPT_BYTES
        answer: bytes | None = None
        try:
            if keeps:
                answer = await self._kept.infer(request, headers, remaining)
            if answer is None:
                answer = await self._infer(
                    request, timeout=remaining, metadata=tuple(headers.items())
                )
        except grpc.aio.AioRpcError as error:
            raise failures.from_rpc(error, self.endpoint, context.deadline) from error
        except KeptCallFailed as error:
            raise failures.from_grpc(
                error.code, error.details, error.name, self.endpoint, context.deadline
            ) from None
        except asyncio.TimeoutError:
            assert context.deadline is not None
            raise context.deadline.exceeded(self.endpoint) from None
        try:
            decoded, given = decode_response(answer, message.id)
        except ValueError as error:
            raise StageFailure(f"its answer is malformed: {error}") from None
        decoded.parameters, decoded.trace = hop.answer_parameters(given)
        return decoded

    async def _announced(self, seconds: float) -> Iterable[str]:
        try:
            metadata = await self._server_metadata(
                METHODS["ServerMetadata"].request(),
                timeout=seconds,
                metadata=tuple(self._own.items()),
            )
        except grpc.aio.AioRpcError as error:
            raise failures.from_rpc(error, self.endpoint, None) from error
        return list(metadata.extensions)

    async def declaration(self, model: str) -> ModelDeclaration:
        """See `Transport.declaration`; waits 3 seconds at most."""
        try:
            metadata = await self._model_metadata(
                METHODS["ModelMetadata"].request(name=model),
                timeout=hop.METADATA_SECONDS,
                metadata=tuple({hop.SELDON_MODEL_HEADER: model, **self._own}.items()),
            )
        except grpc.aio.AioRpcError as error:
            raise failures.from_rpc(error, self.endpoint, None) from error
        parameters = parameter_values(metadata.parameters)
        return ModelDeclaration(
            model,
            _specs(metadata.inputs, hop.optional_tensors(parameters, "optional_inputs")),
            _specs(metadata.outputs, hop.optional_tensors(parameters, "optional_outputs")),
        )

    async def close(self) -> None:
        """Closes the channel, once its calls are done or half a minute has passed."""
        self._kept.close()
        await self._channel.close(_DRAIN_SECONDS)


def _specs(tensors: Iterable[Any], optional: frozenset[str]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(each.name, each.datatype, tuple(each.shape), each.name in optional)
        for each in tensors
    )
