"""`GrpcTransport`: a V2 server over gRPC (MLServer, Triton, Seldon)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import grpc
from mlserver.grpc import dataplane_pb2 as pb

from ..declaration import ModelDeclaration
from ..request import RequestContext
from ..tensors import TensorSpec
from ..v2 import Message
from . import failures, hop
from .endpoint import Endpoint
from .grpc_codec import decode_answer, encode_request, parameter_values

_SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
_METADATA_SECONDS = 3.0
_DRAIN_SECONDS = 30.0

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
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
)


class GrpcTransport:
    """One channel to one server. Tensors travel as raw contents."""

    kind = "grpc"

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = str(endpoint)
        if endpoint.is_secure:
            self._channel = grpc.aio.secure_channel(
                endpoint.authority, grpc.ssl_channel_credentials(), CHANNEL_OPTIONS
            )
        else:
            self._channel = grpc.aio.insecure_channel(endpoint.authority, CHANNEL_OPTIONS)
        # No serialiser: requests are serialised by the codec.
        self._infer: Callable[..., Any] = self._channel.unary_unary(
            f"/{_SERVICE}/ModelInfer", response_deserializer=pb.ModelInferResponse.FromString
        )
        self._metadata: Callable[..., Any] = self._channel.unary_unary(
            f"/{_SERVICE}/ModelMetadata",
            request_serializer=pb.ModelMetadataRequest.SerializeToString,
            response_deserializer=pb.ModelMetadataResponse.FromString,
        )

    async def infer(self, model: str, message: Message, context: RequestContext) -> Message:
        """See `Transport.infer`."""
        request = encode_request(model, message, context.trace)
        remaining = hop.seconds_left(context, self.endpoint)
        metadata = tuple(hop.headers(model, context, remaining).items())
        try:
            answer = await self._infer(request, timeout=remaining, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise failures.from_rpc(error, self.endpoint, context.deadline) from error
        return decode_answer(answer, message.id)

    async def declaration(self, model: str) -> ModelDeclaration:
        """See `Transport.declaration`; waits 3 seconds at most."""
        try:
            metadata = await self._metadata(
                pb.ModelMetadataRequest(name=model),
                timeout=_METADATA_SECONDS,
                metadata=((hop.SELDON_MODEL_HEADER, model),),
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
        await self._channel.close(_DRAIN_SECONDS)


def _specs(
    tensors: Iterable[pb.ModelMetadataResponse.TensorMetadata], optional: frozenset[str]
) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(each.name, each.datatype, tuple(each.shape), each.name in optional)
        for each in tensors
    )
