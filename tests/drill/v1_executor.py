"""`Executor`: what stands before the nodes of a SeldonDeployment, over REST and gRPC.

It does what Seldon Core 1's executor does, faults included: it hands on whole messages, children
never see the request, over gRPC raw contents get lost between two nodes.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from mlserver.grpc import dataplane_pb2 as pb

from tests.integration.server import ANSWER_SECONDS, free_ports

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
Endpoint = tuple[str, int, int]
_INFER = "/inference.GRPCInferenceService/ModelInfer"
_OWN = ("host", "content-length", "content-type", "connection", "transfer-encoding")
"""Headers that an HTTP client writes itself; the executor hands on all others."""


class NodeFailed(Exception):
    """A node's answer is the graph's: any status but 200."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status, self.body = status, body


class Executor:
    """Executes a graph.

    Args:
        graph: The graph of a predictor.
        endpoints: Node -> its address, REST port and gRPC port.

    Attributes:
        calls: What was asked, in order: the node and the last part of the path.
        port, grpc_port: Where it listens while it serves.
    """

    def __init__(self, graph: Mapping[str, Any], endpoints: Mapping[str, Endpoint]) -> None:
        self._graph = graph
        self._endpoints = endpoints
        self.calls: list[tuple[str, str]] = []
        self.port, self.grpc_port = free_ports(2)

    @contextmanager
    def serving(self) -> Iterator[Executor]:
        """Listens inside of the block."""
        executor = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                # A name in the path is used at every node.
                name = self.path.partition("/v2/models/")[2].rpartition("infer")[0].rstrip("/")
                try:
                    status, answer = 200, executor._predict(graph, body, self.headers, name)
                except NodeFailed as failed:
                    status, answer = failed.status, failed.body
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        graph = self._graph
        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        over_grpc = grpc.server(ThreadPoolExecutor(4))
        over_grpc.add_generic_rpc_handlers((_Calls(self),))
        over_grpc.add_insecure_port(f"127.0.0.1:{self.grpc_port}")
        over_grpc.start()
        try:
            yield self
        finally:
            over_grpc.stop(None).wait()
            server.shutdown()
            thread.join()
            server.server_close()

    def _predict(self, node: Mapping[str, Any], message: bytes, headers: Any, name: str) -> bytes:
        kind, methods = node.get("type"), node.get("methods") or ()
        if kind in ("MODEL", "TRANSFORMER") or "TRANSFORM_INPUT" in methods:
            message = self._ask(node, "infer", _chained(message), headers, name)
        children = node.get("children") or ()
        if children:
            message = self._children(node, children, message, headers, name)
        if kind == "OUTPUT_TRANSFORMER" or "TRANSFORM_OUTPUT" in methods:
            message = self._ask(node, "infer", _chained(message), headers, name)
        return message

    def _children(
        self, node: Mapping[str, Any], children: Any, message: bytes, headers: Any, name: str
    ) -> bytes:
        kind, methods = node.get("type"), node.get("methods") or ()
        asked = list(children)
        if kind == "ROUTER" or "ROUTE" in methods:
            try:
                route = json.loads(self._ask(node, "route", message, headers, name))[0]
            except NodeFailed as failed:
                # Its body is lost here, and nowhere else.
                info = {"status": {"code": 500, "info": f"status code {failed.status}"}}
                raise NodeFailed(failed.status, json.dumps(info).encode()) from None
            if route == -2:
                return message
            asked = asked if route == -1 else [asked[route]]
        with ThreadPoolExecutor(len(asked)) as pool:
            futures = [pool.submit(self._predict, child, message, headers, name) for child in asked]
        answers = [future.result() for future in futures]
        if kind == "COMBINER" or "AGGREGATE" in methods:
            return self._ask(node, "aggregate", b"[" + b",".join(answers) + b"]", headers, name)
        return answers[0]

    def _ask(
        self, node: Mapping[str, Any], call: str, body: bytes, headers: Any, name: str
    ) -> bytes:
        self.calls.append((node["name"], call))
        address, port, _ = self._endpoints[node["name"]]
        url = f"http://{address}:{port}/v2/models/{name or node['name']}/{call}"
        handed_on = {key: value for key, value in headers.items() if key.lower() not in _OWN}
        handed_on["content-type"] = "application/json"
        request = urllib.request.Request(url, body, handed_on)
        try:
            with _DIRECT.open(request, timeout=ANSWER_SECONDS) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            raise NodeFailed(error.code, error.read()) from None

    def infer_grpc(self, request: Any) -> Any:
        """A chain over gRPC; it knows neither routes nor joins."""
        node: Mapping[str, Any] | None = self._graph
        answer = None
        while node is not None:
            children = node["children"]
            panics = node["type"] != "MODEL" or node.get("methods") or len(children) > 1
            assert not panics, "the executor panics here"
            if answer is not None:
                request = _chained_grpc(answer)
            request.model_name = request.model_name or node["name"]
            self.calls.append((node["name"], "ModelInfer"))
            address, _, port = self._endpoints[node["name"]]
            with grpc.insecure_channel(f"{address}:{port}") as channel:
                ask = channel.unary_unary(
                    _INFER,
                    pb.ModelInferRequest.SerializeToString,
                    pb.ModelInferResponse.FromString,
                )
                answer = ask(request, timeout=ANSWER_SECONDS)
            node = children[0] if children else None
        return answer


class _Calls(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def service(self, details: Any) -> Any:
        assert details.method == _INFER
        return grpc.unary_unary_rpc_method_handler(
            self._infer,
            pb.ModelInferRequest.FromString,
            pb.ModelInferResponse.SerializeToString,
        )

    def _infer(self, request: Any, context: Any) -> Any:
        try:
            return self._executor.infer_grpc(request)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())


def _number(text: str) -> float | int:
    """A JSON number as Go hands it on, which reads all of them as 64-bit floats."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


def _chained(message: bytes) -> bytes:
    """An answer as the next node's request: its outputs are the inputs, and all else stays."""
    content = json.loads(message, parse_int=_number, parse_float=_number)
    if "inputs" in content:
        return message
    content["inputs"] = content.pop("outputs")
    return json.dumps(content).encode()


def _chained_grpc(answer: Any) -> Any:
    """The same over gRPC: id and parameters are left out, and contents that are not typed."""
    request = pb.ModelInferRequest()
    for output in answer.outputs:
        tensor = request.inputs.add(
            name=output.name, datatype=output.datatype, shape=list(output.shape)
        )
        tensor.contents.CopyFrom(output.contents)
        for key, value in output.parameters.items():
            tensor.parameters[key].CopyFrom(value)
    return request
