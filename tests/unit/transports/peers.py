"""V2 servers for tests, in the test's own event loop, on free ports of the loopback interface."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from aiohttp import web
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc import dataplane_pb2_grpc

from infergraph.v2 import Message
from infergraph.v2 import grpc as grpc_codec
from infergraph.v2 import rest as rest_codec
from infergraph.v2.request import Limits

GrpcHandler = Callable[[pb.ModelInferRequest, Any], Awaitable[pb.ModelInferResponse]]
RestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def grpc_echo(request: pb.ModelInferRequest, _: Any) -> pb.ModelInferResponse:
    """What a served model answers that returns its inputs, through the server's own codecs."""
    call = grpc_codec.Call(request.SerializeToString(), 2**30).decode(Limits())
    answer = Message(call.message.tensors, "server's own")
    parts = grpc_codec.encode_response("echo", "", answer, {}, call.form)
    return pb.ModelInferResponse.FromString(b"".join(parts))


async def rest_echo(request: web.Request) -> web.Response:
    """The same over REST."""
    given = request.headers.get(rest_codec.LENGTH_HEADER)
    body = await request.read()
    call = rest_codec.decode_request(body, None if given is None else int(given), Limits())
    answer = Message(call.message.tensors, "server's own")
    parts, size = rest_codec.encode_response("echo", None, answer, {}, call)
    headers = {} if size is None else {rest_codec.LENGTH_HEADER: str(size)}
    kind = "application/json" if size is None else "application/octet-stream"
    return web.Response(body=b"".join(parts), content_type=kind, headers=headers)


class GrpcPeer(dataplane_pb2_grpc.GRPCInferenceServiceServicer):
    """A gRPC server; `handler` answers, and what it was called with is kept."""

    def __init__(self) -> None:
        self.handler: GrpcHandler = grpc_echo
        self.metadata: Any = pb.ModelMetadataResponse()
        self.extensions: list[str] = []
        self.asked_for_extensions = 0
        self.requests: list[pb.ModelInferRequest] = []
        self.headers: list[dict[str, str]] = []
        self.seconds_left: list[float | None] = []
        self.url = ""

    async def start(
        self, max_receive_length: int = -1, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        options = [
            ("grpc.max_receive_message_length", max_receive_length),
            ("grpc.max_send_message_length", -1),
        ]
        self._server = grpc.aio.server(options=options)
        dataplane_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        port = self._server.add_insecure_port(f"{host}:{port}")
        await self._server.start()
        self.url = f"grpc://{host}:{port}"

    async def stop(self) -> None:
        await self._server.stop(None)

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Any) -> Any:
        self.requests.append(request)
        self.headers.append({each[0]: each[1] for each in context.invocation_metadata()})
        self.seconds_left.append(context.time_remaining())
        return await self.handler(request, context)

    async def ServerMetadata(self, request: pb.ServerMetadataRequest, context: Any) -> Any:
        self.asked_for_extensions += 1
        return pb.ServerMetadataResponse(name="peer", extensions=self.extensions)

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: Any) -> Any:
        return self.metadata


class RestPeer:
    """An HTTP server; `handler` answers POST, `metadata` is what GET answers.

    What it says of itself (GET /v2) names `extensions`, and is counted apart.
    """

    def __init__(self) -> None:
        self.handler: RestHandler = rest_echo
        self.metadata: dict[str, Any] = {}
        self.extensions: list[str] = []
        self.asked_for_extensions = 0
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
        if request.raw_path.endswith("/v2"):
            self.asked_for_extensions += 1
            return web.json_response({"name": "peer", "extensions": self.extensions})
        self.paths.append(request.raw_path)
        return web.json_response(self.metadata)
