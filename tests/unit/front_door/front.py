"""A server that listens nowhere: its REST application and gRPC service, driven in process."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import grpc
import numpy as np
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.errors import MLServerError
from mlserver.types import InferenceRequest, InferenceResponse, Parameters, ResponseOutput
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from infergraph import front_door
from infergraph.front_door.desk import Desk
from infergraph.front_door.grpc_servicer import GrpcServicer
from infergraph.request import RequestContext
from infergraph.servable import Servable
from infergraph.v2 import Message, Tensor
from infergraph.v2.schema import METHODS, SERVICE

assert front_door.ModelRepository  # importing it puts our servers in MLServer's places

Event = MutableMapping[str, Any]
BODY: dict[str, Any] = {
    "id": "seven",
    "parameters": {"flavour": "dark"},
    "inputs": [
        {"name": "x", "datatype": "FP32", "shape": [2, 1], "data": [0.5, -1.25]},
        {"name": "t", "datatype": "BYTES", "shape": [1], "data": ["é"]},
    ],
}


class Echo(Servable):
    """Answers with the tensors and parameters of the request; a test may hold it up.

    Attributes:
        gate: Answers wait for it.
        entered: Set once a request waits, or a stream has given its first part.
        ended: Set once a request, or a stream, is over.
        contexts: What accompanied each request.
        error: Raised in place of an answer; of a stream, after its parts.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.gate: asyncio.Event | None = None
        self.entered = asyncio.Event()
        self.ended = asyncio.Event()
        self.contexts: list[RequestContext] = []
        self.messages: list[Message] = []
        self.error: Exception | None = None

    async def infer(self, message: Message, context: RequestContext) -> Message:
        self.contexts.append(context)
        self.messages.append(message)
        try:
            self.entered.set()
            if self.gate is not None:
                await self.gate.wait()
            if self.error is not None:
                raise self.error
            return Message(list(message.tensors), "its own", dict(message.parameters))
        finally:
            self.ended.set()

    async def infer_stream(
        self, message: Message, context: RequestContext
    ) -> AsyncIterator[Message]:
        self.contexts.append(context)
        try:
            for part in range(int(message.parameters.get("parts", 3))):
                yield Message([Tensor.of("part", np.array([part]))])
                self.entered.set()
                if self.gate is not None:
                    await self.gate.wait()
            if self.error is not None:
                raise self.error
        finally:
            self.ended.set()


class Pipeline(Echo):
    is_pipeline = True


class Mirror(MLModel):
    """A model that knows MLServer only: it says what reached it."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        if payload.id == "refuse":
            raise MLServerError("refused", 418)
        if payload.id == "fail":
            raise ValueError("secret")
        assert payload.parameters is not None
        headers = payload.parameters.headers
        assert headers is not None
        seen = {
            "headers": headers,
            "inputs": [each.model_dump() for each in payload.inputs],
            "outputs": [each.model_dump() for each in payload.outputs or ()],
            "kinds": [type(each.data.root).__name__ for each in payload.inputs],
            "flavour": getattr(payload.parameters, "flavour", None),
        }
        given = {"x-answer": "yes"}
        if payload.id == "odd":
            given["x-odd"] = "a\x00\nb"
        text = json.dumps(seen, default=lambda value: value.decode("latin-1"))
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            parameters=Parameters(headers=given, content_type="str"),
            outputs=[
                ResponseOutput(name="seen", datatype="BYTES", shape=[1], data=[text.encode()]),
                ResponseOutput(name="count", datatype="INT64", shape=[1], data=[len(headers)]),
            ],
        )

    async def predict_stream(
        self, payloads: AsyncIterator[InferenceRequest]
    ) -> AsyncIterator[InferenceResponse]:
        async for payload in payloads:
            for part in range(3):
                if payload.id == "fail" and part:
                    raise MLServerError("broken", 418)
                data = ResponseOutput(name="part", datatype="INT64", shape=[1], data=[part])
                yield InferenceResponse(model_name=self.name, outputs=[data])


@dataclass
class Answer:
    """What a connection was sent.

    Attributes:
        events: ASGI's events, in order.
    """

    events: list[Event] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.events[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.events[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(bytes(event.get("body", b"")) for event in self.events[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        content = self.json
        assert set(content) == {"error"}
        return str(content["error"])


class Connection:
    """The client's end of one request, whose events come when the test puts them in."""

    def __init__(self, *bodies: bytes, whole: bool = True) -> None:
        self.answer = Answer()
        self.reads = 0
        self._read = asyncio.Event()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        for index, body in enumerate(bodies):
            self.put(body, more=not whole or index + 1 < len(bodies))

    def put(self, body: bytes, more: bool = False) -> None:
        self._events.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def hang_up(self) -> None:
        self._events.put_nowait({"type": "http.disconnect"})

    async def is_read(self, times: int) -> None:
        """Returns once the server has asked for that many events."""
        while self.reads < times:
            self._read.clear()
            await self._read.wait()

    async def receive(self) -> Event:
        self.reads += 1
        self._read.set()
        return await self._events.get()

    async def send(self, event: Event) -> None:
        self.answer.events.append(event)


def scope_of(method: str, path: str, headers: dict[str, str]) -> Event:
    """The ASGI scope of a request; underscores in names of headers stand for hyphens."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "root_path": "",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
        "headers": [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in headers.items()
        ],
    }


async def ask(
    app: Any, method: str, path: str, body: bytes | dict[str, Any] = b"", **headers: str
) -> Answer:
    """An ASGI application's answer to one request."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = Connection(content)
    scope = scope_of(method, path, {"content_type": "application/json", **headers})
    await app(scope, connection.receive, connection.send)
    return connection.answer


class Front:
    """A server with its models.

    Attributes:
        server: MLServer's, as `mlserver start` makes it.
        desk: What its two front ends share.
        app: Its REST application.
    """

    def __init__(self, server: MLServer) -> None:
        self.server = server
        rest: Any = server._rest_server
        self.desk: Desk = rest.desk
        self.app: Any = rest._application

    async def load(
        self, kind: type[MLModel], name: str | None = None, version: str | None = None
    ) -> Any:
        """A model of a class, loaded under its name or that of the class in lower case."""
        settings = ModelSettings(
            name=name or kind.__name__.lower(),
            implementation=kind,
            parameters={"version": version} if version else None,  # type: ignore[arg-type]
        )
        return await self.server._model_registry.load(settings)

    async def post(
        self, model: str, body: bytes | dict[str, Any] = BODY, end: str = "infer", **headers: str
    ) -> Answer:
        return await ask(self.app, "POST", f"/v2/models/{model}/{end}", body, **headers)

    def start(
        self, model: str, connection: Connection, end: str = "infer", **headers: str
    ) -> asyncio.Task[None]:
        """A request whose client the test plays."""
        scope = scope_of("POST", f"/v2/models/{model}/{end}", headers)
        return asyncio.ensure_future(self.app(scope, connection.receive, connection.send))

    @asynccontextmanager
    async def grpc(self) -> AsyncIterator[GrpcClient]:
        """A client of the gRPC service, which listens on a free port of this machine."""
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        server.add_generic_rpc_handlers(tuple(GrpcServicer(self.desk).handlers()))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
                yield GrpcClient(channel, port)
        finally:
            await server.stop(None)


class GrpcClient:
    """Calls in bytes, and in the messages of `infergraph.v2.schema`."""

    def __init__(self, channel: grpc.aio.Channel, port: int) -> None:
        self.channel = channel
        self.port = port

    async def call(
        self,
        method: str,
        service: str = SERVICE,
        metadata: tuple[tuple[str, str], ...] = (),
        **fields: Any,
    ) -> Any:
        known = METHODS[method]
        call = self.channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=known.request.SerializeToString,
            response_deserializer=known.response.FromString,
        )
        return await call(known.request(**fields), metadata=metadata)

    def infer(self, body: bytes, timeout: float | None = None, **metadata: str) -> Any:
        given = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
        call = self.channel.unary_unary(f"/{SERVICE}/ModelInfer")
        return call(body, timeout=timeout, metadata=given)

    def stream(self, **metadata: str) -> Any:
        given = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
        return self.channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")(metadata=given)


@asynccontextmanager
async def serving(root: Path, front_door: dict[str, Any], **fields: Any) -> AsyncIterator[Front]:
    """A server over the models' folder `root`, of these settings."""
    settings = Settings(
        **{
            "debug": False,
            "host": "127.0.0.1",
            "parallel_workers": 0,
            "gzip_enabled": False,
            "model_repository_root": str(root),
            "model_repository_implementation": "infergraph.front_door.ModelRepository",
            "model_repository_implementation_args": {"front_door": front_door},
            **fields,
        }
    )
    with kept_loggers("infergraph", "mlserver"):
        server = MLServer(settings)
        logging.getLogger("infergraph").propagate = True  # to where tests listen
        try:
            yield Front(server)
        finally:
            # It registers its metrics with the process, and each test makes one.
            for metric in vars(server._data_plane).values():
                if isinstance(metric, MetricWrapperBase):
                    REGISTRY.unregister(metric)


@contextmanager
def kept_loggers(*names: str) -> Iterator[None]:
    """Leaves loggers as they were before."""
    loggers = [logging.getLogger(name) for name in names]
    before = [(each.level, list(each.handlers), each.propagate) for each in loggers]
    try:
        yield
    finally:
        for each, (level, handlers, propagate) in zip(loggers, before, strict=True):
            each.setLevel(level)
            each.handlers[:], each.propagate = handlers, propagate


async def settle() -> None:
    """Lets everything that is ready on the event loop happen."""
    for _ in range(12):
        await asyncio.sleep(0)
