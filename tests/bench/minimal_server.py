"""`python minimal_server.py PORT [SERVICE_MS]`: the least that answers V2, over REST and gRPC.

It is the yardstick of the load tester: REST at PORT, gRPC at PORT + 1, always the same answer.
With a service time it serves one request at a time, in the order of their arrival, each for exactly
that long: a deterministic server whose waiting times queueing theory knows (M/D/1).
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import httptools
import uvloop

from infergraph.v2.schema import METHODS, SERVICE
from infergraph_clients.load.engine.timer import Timer, make_timer

_BODY = (
    b'{"model_name":"minimal","id":"0","outputs":'
    b'[{"name":"said","datatype":"BYTES","shape":[1],"data":["yes"]}]}'
)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


class Queue:
    """Serves one callback after another, each for the service time."""

    def __init__(self, service_ns: int) -> None:
        self._service = service_ns
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._free_at = 0
        self._timer: Timer = make_timer(asyncio.get_running_loop(), self._due)

    def put(self, answer: Callable[[], None]) -> None:
        if not self._service:
            answer()
            return
        self._free_at = max(self._free_at, time.monotonic_ns()) + self._service
        self._waiting.append((self._free_at, answer))
        if len(self._waiting) == 1:
            self._timer.set(self._free_at)

    def _due(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic_ns():
            self._waiting.popleft()[1]()
        if self._waiting:
            self._timer.set(self._waiting[0][0])


class Arrivals:
    """When requests came over REST, since they were last asked for: nanoseconds as int64."""

    def __init__(self) -> None:
        self.times = array("q")

    def take(self) -> bytes:
        times, self.times = self.times, array("q")
        return times.tobytes()


class Connection(asyncio.Protocol):
    """REST, without looking at what is asked, but for GET /arrivals: see `Arrivals`."""

    def __init__(self, queue: Queue, arrivals: Arrivals) -> None:
        self._queue = queue
        self._arrivals = arrivals
        self._url = b""
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_message_complete(self) -> None:
        if self._url == b"/arrivals":
            body = self._arrivals.take()
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
            self._transport.write(head + body)
            return
        if self._url.endswith(b"/infer"):
            self._arrivals.times.append(time.monotonic_ns())
        self._queue.put(lambda: self._transport.write(_ANSWER))


def grpc_handlers(queue: Queue) -> Any:
    answer = METHODS["ModelInfer"].response(model_name="minimal", id="0")
    answer.outputs.add(name="said", datatype="BYTES", shape=[1])
    answer.raw_output_contents.append(b"\3\0\0\0yes")
    serialised = answer.SerializeToString()
    ready_answer = METHODS["ModelReady"].response(ready=True).SerializeToString()

    async def infer(request: bytes, context: Any) -> bytes:
        done = asyncio.get_running_loop().create_future()
        queue.put(lambda: done.set_result(None))
        await done
        return serialised

    async def ready(request: bytes, context: Any) -> bytes:
        return ready_answer

    handlers = {
        "ModelInfer": grpc.unary_unary_rpc_method_handler(infer),
        "ModelReady": grpc.unary_unary_rpc_method_handler(ready),
    }
    return grpc.method_handlers_generic_handler(SERVICE, handlers)


async def serve(port: int, service_ms: float) -> None:
    queue = Queue(int(service_ms * 1e6))
    grpc_server = grpc.aio.server()
    grpc_server.add_generic_rpc_handlers((grpc_handlers(queue),))
    grpc_server.add_insecure_port(f"127.0.0.1:{port + 1}")
    await grpc_server.start()
    loop = asyncio.get_running_loop()
    arrivals = Arrivals()
    await loop.create_server(lambda: Connection(queue, arrivals), "127.0.0.1", port, backlog=4096)
    gc.freeze()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
