"""`Client`, against small servers of both protocols in the same event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
import numpy as np
import orjson
import pytest
from aiohttp import web

from infergraph.v2 import Tensor
from infergraph.v2.schema import METHODS, SERVICE, ModelStreamInferResponse
from infergraph_clients.errors import ServerError, Unreachable
from infergraph_clients.payloads import Payload, TensorSpec
from infergraph_clients.transports import Answer, Client, Endpoint, Route

PROTOCOLS = ("http", "grpc")
PAYLOAD = Payload("p", [Tensor.of("n", np.array([[1], [2], [3]]))])
SPEC = {"name": "n", "datatype": "INT64", "shape": [-1, 1]}


class Server:
    """A server of a model `m` that echoes `n`; as a stream, each row by itself.

    Attributes:
        url: By scheme.
        headers: Of each call, by its name.
        error: The status that an inference ends with, and over gRPC its code.
        error_at: At which row of a stream; None for all else.
        gate: An inference waits for it.
    """

    def __init__(self) -> None:
        self.url: dict[str, str] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.error: tuple[int, grpc.StatusCode] | None = None
        self.error_at: int | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def rest_metadata(self, request: web.Request) -> web.Response:
        self.headers["server" if request.path == "/v2" else "model"] = dict(request.headers)
        if request.path == "/v2":
            return web.json_response({"extensions": ["binary_tensor_data"]})
        return web.json_response(
            {"inputs": [SPEC], "outputs": [SPEC], "parameters": {"variant": "small"}}
        )

    async def rest_infer(self, request: web.Request) -> web.StreamResponse:
        self.headers["infer"] = dict(request.headers)
        body = await request.read()
        await self.gate.wait()
        if self.error is not None:
            return web.json_response({"error": "so it was told"}, status=self.error[0])
        if "inference-header-content-length" in request.headers:
            size = int(request.headers["inference-header-content-length"])
            output = {**orjson.loads(body[:size])["inputs"][0]}
            text = orjson.dumps({"model_name": "m", "outputs": [output]})
            headers = {"Inference-Header-Content-Length": str(len(text))}
            return web.Response(body=text + body[size:], headers=headers)
        return web.Response(body=orjson.dumps({"outputs": orjson.loads(body)["inputs"]}))

    async def rest_stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for row, value in enumerate(orjson.loads(await request.read())["inputs"][0]["data"]):
            if row == self.error_at:
                await response.write(b'event: error\ndata: {"error": "no more", "status": 503}\n\n')
                break
            output = {**SPEC, "shape": [1, 1], "data": [value]}
            await response.write(b"data: %s\n\n" % orjson.dumps({"outputs": [output]}))
        return response

    def _note(self, name: str, context: Any) -> None:
        self.headers[name] = dict(context.invocation_metadata())

    async def grpc_metadata(self, request: Any, context: Any) -> Any:
        self._note("model", context)
        answer = METHODS["ModelMetadata"].response(name=request.name)
        answer.inputs.add(**SPEC)
        answer.outputs.add(**SPEC)
        answer.parameters["variant"].string_param = "small"
        return answer

    async def grpc_server(self, request: Any, context: Any) -> Any:
        self._note("server", context)
        return METHODS["ServerMetadata"].response(extensions=["binary_tensor_data"])

    async def grpc_infer(self, request: Any, context: Any) -> Any:
        self._note("infer", context)
        await self.gate.wait()
        if self.error is not None:
            await context.abort(self.error[1], "so it was told")
        return self._answer(request, request.raw_input_contents[0])

    async def grpc_stream(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            content = request.raw_input_contents[0]
            for row in range(len(content) // 8):
                if row == self.error_at:
                    yield ModelStreamInferResponse(error_message="no more")
                    return
                answer = self._answer(request, content[8 * row : 8 * row + 8])
                yield ModelStreamInferResponse(infer_response=answer)

    def _answer(self, request: Any, content: bytes) -> Any:
        answer = METHODS["ModelInfer"].response(model_name="m", id=request.id)
        answer.outputs.add(**{**SPEC, "shape": [len(content) // 8, 1]})
        answer.raw_output_contents.append(content)
        return answer


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    made = Server()
    unary = {"ModelMetadata": made.grpc_metadata, "ServerMetadata": made.grpc_server,
             "ModelInfer": made.grpc_infer}  # fmt: skip
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            answer,
            METHODS[name].request.FromString,
            METHODS[name].response.SerializeToString,
        )
        for name, answer in unary.items()
    }
    handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
        made.grpc_stream,
        METHODS["ModelInfer"].request.FromString,
        ModelStreamInferResponse.SerializeToString,
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    made.url["grpc"] = f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    application = web.Application()
    application.add_routes(
        [
            web.get("/v2", made.rest_metadata),
            web.get("/v2/models/m", made.rest_metadata),
            web.post("/v2/models/m/infer", made.rest_infer),
            web.post("/v2/models/m/infer_stream", made.rest_stream),
        ]
    )
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url["http"] = f"http://127.0.0.1:{runner.addresses[0][1]}"
    await server.start()
    try:
        yield made
    finally:
        made.gate.set()
        await runner.cleanup()
        await server.stop(None)


def route(server: Server, protocol: str, **settings: Any) -> Route:
    return Route(Endpoint.parse(server.url[protocol]), "m", **settings)


def values(answer: Answer) -> list[int]:
    (tensor,) = answer.tensors
    found: list[int] = tensor.data.ravel().tolist()
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_answer(protocol: str) -> None:
    async with serving() as server, Client(route(server, protocol)) as client:
        reply = await client.infer(PAYLOAD)
        assert values(reply.answer) == [1, 2, 3]
        assert reply.seconds > 0
        assert (reply.first_s, reply.gaps) == (None, ())


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_metadata_go_with_the_headers_and_settle_the_format(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Proxies of the environment are not used.
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    headers = {"Authorization": "Bearer x"}
    async with (
        serving() as server,
        Client(route(server, protocol, headers=headers, traceparent=True)) as client,
    ):
        metadata = await client.metadata()
        assert metadata.inputs == metadata.outputs == (TensorSpec("n", "INT64", (-1, 1)),)
        assert metadata.extensions == {"binary_tensor_data"}
        assert metadata.parameters == {"variant": "small"}
        assert values((await client.infer(PAYLOAD)).answer) == [1, 2, 3]
        for call in ("model", "server", "infer"):
            sent = {name.lower(): value for name, value in server.headers[call].items()}
            assert sent["authorization"] == "Bearer x", call
            assert ("traceparent" in sent) is (call == "infer")
            if protocol == "http":
                assert ("inference-header-content-length" in sent) is (call == "infer")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_stream_is_told_answer_by_answer(protocol: str) -> None:
    told: list[list[int]] = []
    async with serving() as server, Client(route(server, protocol, stream=True)) as client:
        reply = await client.infer(PAYLOAD, on_answer=lambda answer: told.append(values(answer)))
    assert told == [[1], [2], [3]]
    assert values(reply.answer) == [1, 2, 3]
    assert reply.first_s is not None
    assert 0 < reply.first_s <= reply.first_s + sum(reply.gaps) <= reply.seconds
    assert len(reply.gaps) == 2


@pytest.mark.parametrize(("protocol", "status"), [("http", "503"), ("grpc", "UNKNOWN")])
async def test_a_stream_that_fails_half_way(protocol: str, status: str) -> None:
    told: list[list[int]] = []
    async with serving() as server, Client(route(server, protocol, stream=True)) as client:
        server.error_at = 2
        with pytest.raises(ServerError, match="no more") as caught:
            await client.infer(PAYLOAD, on_answer=lambda answer: told.append(values(answer)))
    assert caught.value.status == status
    assert told == [[1], [2]]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("error", [BrokenPipeError, ValueError])
async def test_who_takes_no_more_of_a_stream_ends_it(protocol: str, error: type[Exception]) -> None:
    told: list[list[int]] = []

    def take(answer: Answer) -> None:
        told.append(values(answer))
        raise error("enough")

    async with serving() as server, Client(route(server, protocol, stream=True)) as client:
        wanted = ServerError if error is ValueError else error
        for _ in range(2):
            with pytest.raises(wanted, match="enough"):
                await client.infer(PAYLOAD, on_answer=take)
    assert told == [[1], [1]]


def _refused(bodies: Any, context: Any) -> Iterator[Any]:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "no key")
    yield


async def test_a_stream_that_is_refused_unread_says_why() -> None:
    # Many, and a server in threads, so that refusals come while the client writes.
    server = grpc.server(ThreadPoolExecutor(2))
    handlers = {"ModelStreamInfer": grpc.stream_stream_rpc_method_handler(_refused)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    url = f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        async with Client(Route(Endpoint.parse(url), "m", stream=True)) as client:
            calls = (client.infer(PAYLOAD) for _ in range(500))
            for problem in await asyncio.gather(*calls, return_exceptions=True):
                with pytest.raises(ServerError, match="UNAUTHENTICATED: no key"):
                    raise problem  # type: ignore[misc]
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize(("protocol", "status"), [("http", "400"), ("grpc", "FAILED_PRECONDITION")])
async def test_errors_keep_their_status(protocol: str, status: str) -> None:
    async with serving() as server, Client(route(server, protocol)) as client:
        server.error = (400, grpc.StatusCode.FAILED_PRECONDITION)
        with pytest.raises(ServerError, match=f"{status}: so it was told"):
            await client.infer(PAYLOAD)


@pytest.mark.parametrize(("compression", "told"), [("deflate", True), ("gzip", False)])
async def test_a_refused_deflate_body_is_explained(compression: Any, told: bool) -> None:
    async with serving() as server, Client(route(server, "http", compression=compression)) as own:
        server.error = (422, grpc.StatusCode.INTERNAL)
        with pytest.raises(ServerError) as caught:
            await own.infer(PAYLOAD)
    assert ("MLServer reads gzip alone" in str(caught.value)) is told


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_client_gives_up(protocol: str) -> None:
    async with serving() as server, Client(route(server, protocol)) as client:
        server.gate.clear()
        with pytest.raises(ServerError) as caught:
            await client.infer(PAYLOAD, timeout_s=0.05)
        text = f"timeout: no answer from {server.url[protocol]} within 50 ms"
        assert str(caught.value) == text
        # The next request is none the worse.
        server.gate.set()
        assert values((await client.infer(PAYLOAD)).answer) == [1, 2, 3]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_nobody_there(protocol: str, unused_tcp_port: int) -> None:
    url = f"{protocol}://127.0.0.1:{unused_tcp_port}"
    async with Client(Route(Endpoint.parse(url), "m", connect_s=10)) as client:
        for ask in (client.metadata(), client.infer(PAYLOAD)):
            with pytest.raises(Unreachable) as caught:
                await ask
            assert str(caught.value).startswith(f"no connection to {url}: ")
            assert "efused" in str(caught.value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_many_at_once(protocol: str) -> None:
    async with serving() as server, Client(route(server, protocol)) as client:
        server.gate.clear()
        payloads = [Payload("p", [Tensor.of("n", np.array([[i]]))]) for i in range(20)]
        asked = [asyncio.ensure_future(client.infer(payload)) for payload in payloads]
        await asyncio.sleep(0)
        server.gate.set()
        replies = await asyncio.gather(*asked)
    assert [values(reply.answer) for reply in replies] == [[i] for i in range(20)]
