"""`Mesh`: where Seldon Core 2 is called; a request's header says which Model or Pipeline."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from mlserver.grpc import dataplane_pb2 as pb

from tests.integration.seldon.agent import METHOD, MOST_BYTES, Agent, Metadata
from tests.integration.server import free_ports

from .dataflow import Dataflow, StepFailed, Unanswered, from_json, read, to_json

HEADER = "seldon-model"
_PIPELINE = ".pipeline"
_PATH = re.compile(r"/v2/models/([^/]+)/infer\Z")
_ATTEMPTS = 5
"""How often Envoy repeats what is answered with 5xx, and the model gateway a step's call."""
_THREADS = 64


class Mesh:
    """As a context manager it listens.

    Args:
        address: Where.
        agents: The agents of all servers.
        pipelines: By name.

    Attributes:
        http_port, grpc_port: Free ports.
        asked: Headers that models were called with by pipelines.
    """

    def __init__(
        self, address: str, agents: list[Agent], pipelines: Mapping[str, Dataflow]
    ) -> None:
        self.address = address
        self.http_port, self.grpc_port = free_ports(2)
        self.asked: list[dict[str, str]] = []
        self._agents = agents
        self._pipelines = pipelines

    def __enter__(self) -> Mesh:
        self._rest = ThreadingHTTPServer(
            (self.address, self.http_port), _handler(self._answer_rest), bind_and_activate=True
        )
        self._rest.daemon_threads = True
        self._thread = threading.Thread(target=self._rest.serve_forever, args=(0.05,))
        self._thread.start()
        options = [
            ("grpc.max_send_message_length", MOST_BYTES),
            ("grpc.max_receive_message_length", MOST_BYTES),
        ]
        self._executor = ThreadPoolExecutor(_THREADS)
        self._grpc = grpc.server(self._executor, options=options)
        service, _, method = METHOD[1:].partition("/")
        handler = grpc.unary_unary_rpc_method_handler(
            self._answer_grpc,
            pb.ModelInferRequest.FromString,
            pb.ModelInferResponse.SerializeToString,
        )
        self._grpc.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {method: handler}),)
        )
        assert self._grpc.add_insecure_port(f"{self.address}:{self.grpc_port}")
        self._grpc.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._grpc.stop(None).wait()
        self._executor.shutdown()
        self._rest.shutdown()
        self._rest.server_close()
        self._thread.join()

    def agent(self, model: str) -> Agent | None:
        """The agent of the server that has a model."""
        return next((each for each in self._agents if model in each.serving), None)

    def _answer_rest(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        found = _PATH.match(path)
        if found is None:
            return 404, b""
        target = headers.get(HEADER, found[1])
        if target.endswith(_PIPELINE):
            return self._pipeline_rest(target.removesuffix(_PIPELINE), headers, body)
        agent = self.agent(target)
        if agent is None or HEADER not in headers:
            return 404, b""
        status, answer = agent.rest(agent.serving[target], body, headers)
        for _ in range(_ATTEMPTS):
            if status < 500:
                break
            status, answer = agent.rest(agent.serving[target], body, headers)
        return status, answer

    def _pipeline_rest(
        self, name: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        try:
            answer = self._pipelines[name].run(
                from_json(json.loads(body)), lambda step, asked: self._step(step, asked, headers)
            )
        except (StepFailed, Unanswered) as error:
            return 400, json.dumps({"error": str(error)}).encode()
        return 200, json.dumps(to_json(answer)).encode()

    def _answer_grpc(self, request: pb.ModelInferRequest, context: Any) -> Any:
        headers = dict(tuple(each) for each in context.invocation_metadata())
        target = headers.get(HEADER)
        if target is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"no header {HEADER}")
        if target.endswith(_PIPELINE):
            pipeline = self._pipelines[target.removesuffix(_PIPELINE)]
            try:
                answer = pipeline.run(
                    read(request), lambda step, asked: self._step(step, asked, headers)
                )
            except (StepFailed, Unanswered) as error:
                context.abort(grpc.StatusCode.UNKNOWN, str(error))
            return answer.response()
        agent = self.agent(target)
        if agent is None:
            context.abort(grpc.StatusCode.NOT_FOUND, target)
        metadata = [
            (name, value)
            for name, value in headers.items()
            if not name.startswith(("grpc-", ":")) and name not in ("user-agent", "te")
        ]
        try:
            return agent.grpc(agent.serving[target], request, metadata)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())

    def _step(
        self, step: str, request: pb.ModelInferRequest, headers: Mapping[str, str]
    ) -> pb.ModelInferResponse:
        """The model gateway: of a caller's headers only `x-*` are left."""
        handed: Metadata = [
            (HEADER, step),
            *((name.lower(), each) for name, each in headers.items() if name.lower()[:2] == "x-"),
        ]
        self.asked.append(dict(handed))
        agent = self.agent(step)
        if agent is None:
            raise StepFailed(f"{step} : no such model")
        while True:
            name = agent.serving[step]
            try:
                return agent.grpc(name, request, handed)
            except grpc.RpcError as error:
                # The next generation took over between the two, before the call had reached it.
                if error.code() is grpc.StatusCode.NOT_FOUND and agent.serving[step] != name:
                    continue
                raise StepFailed(f"{step} : {error.details()}") from None


Answer = Callable[[str, Mapping[str, str], bytes], tuple[int, bytes]]


def _handler(answer: Answer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._send(*answer(self.path, headers, body))

        def do_GET(self) -> None:
            self._send(404, b"")

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json" if body else "text/plain")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
