"""`python v2_stub.py HTTP_PORT GRPC_PORT`: a V2 server whose models misbehave, each in its own way.

    ok           one output, always the same
    echo         the request's inputs as outputs, with a made-up trace if the request asks for one
    status-N     after the first request, HTTP N or the gRPC code that stands for it
    bad-request  always 400
    fickle       another value each time
    garbage      an answer without outputs, over REST not even JSON
    gzip         compressed answers, over REST
    hang         never answers
    cut          over REST, after the first request, ends the connection instead of an answer
    die          ends the process at the third request
    fifo         one request after another, each in 10 ms

Also GET /count/MODEL: how many requests a model has had. Its messages are
those of infergraph.v2, so that it needs neither mlserver nor tritonclient, which cannot be imported
together.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import os
import sys
from collections import Counter
from typing import Any

import grpc
import grpc.aio
import orjson
from aiohttp import web

from infergraph.v2.schema import METHODS, SERVICE

ModelInferRequest, ModelInferResponse = METHODS["ModelInfer"][1:]
ModelReadyRequest, ModelReadyResponse = METHODS["ModelReady"][1:]
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
STATUSES = {f"status-{status}": status for status in (500, 503, 504)}
MODELS = {
    *("ok", "echo", "bad-request", "fickle", "garbage", "gzip", "hang", "cut", "die", "fifo"),
    *STATUSES,
}
TRACE = orjson.dumps(
    {
        "pipeline": "echo",
        "duration_us": 90,
        "steps": [
            {
                "name": "first",
                "model": "first",
                "start_us": 1,
                "duration_us": 60,
                "queue_us": 10,
                "compute_us": 40,
                "batch_size": 2,
            }
        ],
    }
).decode()
SERVICE_S = 0.01
counts: Counter[str] = Counter()
busy_until = 0.0
values = itertools.count()


class Misbehaviour(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"told to answer {status}")
        self.status = status


async def value_of(model: str) -> bytes:
    """What a model answers; Misbehaviour for an error."""
    counts[model] += 1
    if model == "bad-request":
        raise Misbehaviour(400)
    if model in STATUSES and counts[model] > 1:
        raise Misbehaviour(STATUSES[model])
    if model == "hang":
        await asyncio.Event().wait()
    if model == "fifo":
        await served()
    if model == "die" and counts[model] == 3:
        os._exit(1)
    return str(next(values)).encode() if model == "fickle" else b"yes"


async def served() -> None:
    """Waits for the end of a service, which is by the clock and so never late by another's."""
    global busy_until
    now = asyncio.get_running_loop().time()
    busy_until = max(busy_until, now) + SERVICE_S
    await asyncio.sleep(busy_until - now)


async def rest_infer(request: web.Request) -> web.StreamResponse:
    model = request.match_info["model"]
    if model not in MODELS:
        return web.json_response({"error": f"model {model} not found"}, status=404)
    body = orjson.loads(await request.read())
    try:
        value = await value_of(model)
    except Misbehaviour as error:
        return web.json_response({"error": str(error)}, status=error.status)
    if model == "garbage":
        return web.Response(body=b"\x00 no answer")
    if model == "cut" and counts[model] > 1:
        assert request.transport is not None
        request.transport.abort()
    outputs = [{"name": "said", "datatype": "BYTES", "shape": [1], "data": [value.decode()]}]
    if model == "echo":
        outputs = body["inputs"]
    answer: dict[str, Any] = {"model_name": model, "id": body.get("id", ""), "outputs": outputs}
    if body.get("parameters", {}).get("trace"):
        answer["parameters"] = {"trace": TRACE}
    text = orjson.dumps(answer)
    if model == "gzip":
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        return web.Response(body=gzip.compress(text), headers=headers)
    return web.Response(body=text, content_type="application/json")


async def rest_ready(request: web.Request) -> web.Response:
    return web.Response(status=200 if request.match_info["model"] in MODELS else 404)


async def count(request: web.Request) -> web.Response:
    return web.Response(text=str(counts[request.match_info["model"]]))


async def grpc_infer(request: Any, context: Any) -> Any:
    model = request.model_name
    if model not in MODELS:
        await context.abort(grpc.StatusCode.NOT_FOUND, f"model {model} not found")
    try:
        value = await value_of(model)
    except Misbehaviour as error:
        await context.abort(CODES[error.status], str(error))
    answer = ModelInferResponse(model_name=model, id=request.id)
    if model == "echo":
        for tensor in request.inputs:
            answer.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        answer.raw_output_contents.extend(request.raw_input_contents)
        if request.parameters["trace"].bool_param:
            answer.parameters["trace"].string_param = TRACE
    elif model != "garbage":
        answer.outputs.add(name="said", datatype="BYTES", shape=[1])
        answer.raw_output_contents.append(len(value).to_bytes(4, "little") + value)
    return answer


async def grpc_ready(request: Any, context: Any) -> Any:
    if request.name not in MODELS:
        await context.abort(grpc.StatusCode.NOT_FOUND, f"model {request.name} not found")
    return ModelReadyResponse(ready=True)


async def serve(http_port: int, grpc_port: int) -> None:
    handlers = {
        "ModelInfer": grpc.unary_unary_rpc_method_handler(
            grpc_infer, ModelInferRequest.FromString, ModelInferResponse.SerializeToString
        ),
        "ModelReady": grpc.unary_unary_rpc_method_handler(
            grpc_ready, ModelReadyRequest.FromString, ModelReadyResponse.SerializeToString
        ),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await server.start()
    application = web.Application(client_max_size=2**30)
    application.add_routes(
        [
            web.post("/v2/models/{model}/infer", rest_infer),
            web.get("/v2/models/{model}/ready", rest_ready),
            web.get("/count/{model}", count),
        ]
    )
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", http_port).start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
