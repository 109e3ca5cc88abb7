"""`GrpcTransport`: V2 gRPC with requests that are serialised before the run."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import grpc
import grpc.aio

from ..load.v2.messages import SERVICE, ModelReadyRequest, ModelReadyResponse
from .endpoint import Endpoint
from .exchange import Exchange, now_ns
from .outcome import Outcome
from .status import of_rpc

_READY_SECONDS = 10.0
_OPTIONS: tuple[tuple[str, int], ...] = (
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


def open_channel(endpoint: Endpoint) -> Any:
    """A `grpc.aio` channel to a server, with TLS where its URL says so."""
    if endpoint.is_secure:
        credentials = grpc.ssl_channel_credentials()
        return grpc.aio.secure_channel(endpoint.authority, credentials, _OPTIONS)
    return grpc.aio.insecure_channel(endpoint.authority, _OPTIONS)


class GrpcTransport:
    """Channels, used in turn. It cannot tell an answer's first byte.

    Args:
        endpoint: The server.
        model, version: What is called.
        metadata: Sent with each call.
        compression: Of requests.
        channels: How many.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        version: str | None,
        metadata: Mapping[str, str],
        compression: grpc.Compression,
        channels: int,
    ) -> None:
        self._ready = ModelReadyRequest(name=model, version=version or "")
        self._metadata = tuple((name.lower(), value) for name, value in metadata.items())
        self._compression = compression
        self._channels = [open_channel(endpoint) for _ in range(channels)]
        calls = [channel.unary_unary(f"/{SERVICE}/ModelInfer") for channel in self._channels]
        self._next_call = itertools.cycle(calls).__next__
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """See `Transport.open`."""
        waits = (channel.channel_ready() for channel in self._channels)
        try:
            await asyncio.wait_for(asyncio.gather(*waits), _READY_SECONDS)
        except asyncio.TimeoutError:
            return

    async def is_ready(self) -> bool | None:
        """See `Transport.is_ready`."""
        call = self._channels[0].unary_unary(
            f"/{SERVICE}/ModelReady",
            request_serializer=ModelReadyRequest.SerializeToString,
            response_deserializer=ModelReadyResponse.FromString,
        )
        try:
            answer = await call(self._ready, metadata=self._metadata, timeout=_READY_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            if of_rpc(error.code(), error.details() or "") in (Outcome.REFUSED, Outcome.LOST):
                raise ConnectionError(error.details()) from None
            return False
        return bool(answer.ready)

    def send(self, request: bytes, exchange: Exchange) -> None:
        """See `Transport.send`."""
        exchange.sent = now_ns()
        call = self._next_call()(request, metadata=self._metadata, compression=self._compression)
        exchange.abandon = call.cancel
        task = asyncio.get_running_loop().create_task(_wait(call, exchange))
        # The loop itself holds tasks only weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """See `Transport.close`."""
        for channel in self._channels:
            await channel.close()


async def _wait(call: Any, exchange: Exchange) -> None:
    try:
        body = await call
    except grpc.aio.AioRpcError as error:
        code, details = error.code(), error.details() or ""
        exchange.finish(
            of_rpc(code, details), code.value[0], error=f"gRPC {code.name}: {details[:300]}"
        )
    except asyncio.CancelledError:
        exchange.finish(Outcome.CANCELLED, error="the call was cancelled")
    else:
        exchange.finish(Outcome.OK, grpc.StatusCode.OK.value[0], body)
