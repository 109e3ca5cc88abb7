"""V2 servers for tests, in the test's own event loop, on free ports of the loopback interface."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from aiohttp import web
from mlserver.codecs.json import encode_to_json_bytes
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc import dataplane_pb2_grpc
from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
from mlserver.types import InferenceRequest, InferenceResponse

from infergraph.server import install
from infergraph.tensors.v2 import decode_request, encode_response
from infergraph.v2 import Message

install()

GrpcHandler = Callable[[pb.ModelInferRequest, Any], Awaitable[pb.ModelInferResponse]]
RestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def echoed(payload: InferenceRequest) -> InferenceResponse:
    """What a served model answers that returns its inputs, through the server's own codecs."""
    message, _, wire = decode_request(payload)
    return encode_response(Message(message.tensors, "server's own"), "echo", None, wire, None)


async def grpc_echo(request: pb.ModelInferRequest, _: Any) -> pb.ModelInferResponse:
    answer = echoed(ModelInferRequestConverter.to_types(request))
    return ModelInferResponseConverter.from_types(answer, use_raw=bool(request.raw_input_contents))


async def rest_echo(request: web.Request) -> web.Response:
    answer = echoed(InferenceRequest.model_validate_json(await request.read()))
    return web.Response(
        body=encode_to_json_bytes(answer.model_dump(exclude_none=True)),
        content_type="application/json",
    )


class GrpcPeer(dataplane_pb2_grpc.GRPCInferenceServiceServicer):
    """A gRPC server; `handler` answers, and what it was called with is kept."""

    def __init__(self) -> None:
        self.handler: GrpcHandler = grpc_echo
        self.metadata: Any = pb.ModelMetadataResponse()
        self.requests: list[pb.ModelInferRequest] = []
        self.headers: list[dict[str, str]] = []
        self.seconds_left: list[float | None] = []
        self.url = ""

    async def start(self, max_receive_length: int = -1) -> None:
        options = [
            ("grpc.max_receive_message_length", max_receive_length),
            ("grpc.max_send_message_length", -1),
        ]
        self._server = grpc.aio.server(options=options)
        dataplane_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self.url = f"grpc://127.0.0.1:{port}"

    async def stop(self) -> None:
        await self._server.stop(None)

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Any) -> Any:
        self.requests.append(request)
        self.headers.append({each[0]: each[1] for each in context.invocation_metadata()})
        self.seconds_left.append(context.time_remaining())
        return await self.handler(request, context)

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: Any) -> Any:
        return self.metadata


class RestPeer:
    """An HTTP server; `handler` answers POST, `metadata` is what GET answers."""

    def __init__(self) -> None:
        self.handler: RestHandler = rest_echo
        self.metadata: dict[str, Any] = {}
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.url = ""

    async def start(self) -> None:
        app = web.Application(client_max_size=2**30)
        app.router.add_post("/{path:.*}", self._post)
        app.router.add_get("/{path:.*}", self._get)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.raw_path)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.bodies.append(await request.read())
        return await self.handler(request)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.raw_path)
        return web.json_response(self.metadata)
