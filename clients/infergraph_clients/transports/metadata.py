"""What a server says of a model beside its tensors: its variant, device and the like."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc.aio
import orjson

from ..load.configuration import Target
from ..load.v2.messages import SERVICE, ModelMetadataRequest, ModelMetadataResponse
from .endpoint import Endpoint
from .exchange import Exchange, now_ns
from .grpc_transport import open_channel
from .outcome import Outcome
from .rest import RestTransport, http_head, model_path

_SECONDS = 10.0


def model_parameters(target: Target) -> dict[str, Any]:
    """The parameters of a model's metadata; none where the server says nothing.

    Infergraph's models say `variant`, `device`, `dtype` and `max_batch_size`.
    """
    endpoint = Endpoint.parse(target.url)
    ask = _over_grpc if endpoint.is_grpc else _over_rest
    try:
        return asyncio.run(asyncio.wait_for(ask(endpoint, target), _SECONDS))
    except asyncio.TimeoutError:
        return {}


async def _over_rest(endpoint: Endpoint, target: Target) -> dict[str, Any]:
    path = model_path(endpoint, target.model, target.version)
    transport = RestTransport(endpoint, path, None)
    ended: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
    exchange = Exchange(0, 0, False, now_ns(), ended.set_result)
    try:
        transport.send(http_head("GET", path, endpoint, target.headers) + b"\r\n", exchange)
        await ended
    finally:
        await transport.close()
    if exchange.outcome is not Outcome.OK:
        return {}
    try:
        document = orjson.loads(exchange.body)
    except orjson.JSONDecodeError:
        return {}
    parameters = document.get("parameters") if isinstance(document, dict) else None
    return dict(parameters) if isinstance(parameters, Mapping) else {}


async def _over_grpc(endpoint: Endpoint, target: Target) -> dict[str, Any]:
    channel = open_channel(endpoint)
    call = channel.unary_unary(
        f"/{SERVICE}/ModelMetadata",
        request_serializer=ModelMetadataRequest.SerializeToString,
        response_deserializer=ModelMetadataResponse.FromString,
    )
    metadata = tuple((name.lower(), value) for name, value in target.headers.items())
    request = ModelMetadataRequest(name=target.model, version=target.version or "")
    try:
        answer = await call(request, metadata=metadata)
    except grpc.aio.AioRpcError:
        return {}
    finally:
        await channel.close()
    chosen = (
        (name, value, value.WhichOneof("parameter_choice"))
        for name, value in answer.parameters.items()
    )
    return {name: getattr(value, kind) for name, value, kind in chosen if kind}
