"""How long `/v2/health/live` takes while the server reads, answers and refuses large requests."""

from __future__ import annotations

import asyncio
import base64
import gzip
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np

from infergraph.v2 import Message, Tensor, rest
from infergraph.v2.grpc import encode_request
from infergraph.v2.schema import SERVICE

from ..integration.server import ServerProcess
from . import repositories

_MODEL = "any"
_PROBE_SECONDS = 0.005
_LIMIT_MS = 100


async def run(folder: Path, rounds: int) -> None:
    """Prints, for each kind of request, its time and the longest of the probes beside it."""
    repositories.write_server(folder)
    repositories.write_model(folder, _MODEL, {"implementation": "infergraph.tasks.echo.Echo"})
    title = f"Liveness beside one large request, in {rounds} rounds (wanted < {_LIMIT_MS} ms)"
    print(f"\n{title}\n{'-' * len(title)}")
    print(f"{'request':44} {'MB':>6} {'seconds':>8} {'live ms':>8}")
    with ServerProcess(folder) as server:
        for name, size, send in _requests(server):
            slowest, seconds = 0.0, []
            for _ in range(rounds):
                took, longest = await asyncio.to_thread(_beside, server, send)
                seconds.append(took)
                slowest = max(slowest, longest)
            middle = sorted(seconds)[len(seconds) // 2]
            print(f"{name:44} {size / 1e6:6.1f} {middle:8.2f} {slowest * 1000:8.1f}", flush=True)


def _beside(server: ServerProcess, send: Callable[[], None]) -> tuple[float, float]:
    """Seconds that a request took, and the longest that a probe beside it took."""
    longest = 0.0
    over = threading.Event()

    def probe() -> None:
        nonlocal longest
        connection = http.client.HTTPConnection("127.0.0.1", server.http_port)
        while not over.is_set():
            started = time.perf_counter()
            connection.request("GET", "/v2/health/live")
            connection.getresponse().read()
            longest = max(longest, time.perf_counter() - started)
            time.sleep(_PROBE_SECONDS)
        connection.close()

    thread = threading.Thread(target=probe)
    thread.start()
    started = time.perf_counter()
    try:
        send()
    finally:
        took = time.perf_counter() - started
        over.set()
        thread.join()
    return took, longest


def _requests(server: ServerProcess) -> Iterator[tuple[str, int, Callable[[], None]]]:
    def over_rest(body: bytes, **headers: str) -> Callable[[], None]:
        def send() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=300)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("POST", f"/v2/models/{_MODEL}/infer", body, named)
            connection.getresponse().read()
            connection.close()

        return send

    numbers = b",".join([b"0.125"] * 5_000_000)
    flat = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,5000000],"data":[%b]}]}' % numbers
    yield "JSON, 5 million numbers", len(flat), over_rest(flat)
    rows = b",".join([b"[0.5]"] * 2_000_000)
    nested = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[2000000,1],"data":[%b]}]}' % rows
    yield "JSON, 2 million rows", len(nested), over_rest(nested)
    texts = b",".join([b'"abcd"'] * 1_000_000)
    strings = (
        b'{"inputs":[{"name":"x","datatype":"BYTES","shape":[1,1000000],"data":[%b]}]}' % texts
    )
    yield "JSON, a million strings", len(strings), over_rest(strings)
    media = base64.b64encode(np.random.default_rng(0).bytes(30_000_000))
    file = (
        b'{"inputs":[{"name":"x","datatype":"BYTES","shape":[1,1],"data":["%b"],'
        b'"parameters":{"content_type":"base64"}}]}' % media
    )
    yield "JSON, a file as base64", len(file), over_rest(file)
    zeros = gzip.compress(b" " * 200_000_000 + flat[:1000], 9)
    yield "gzip, 200 MB inflated and refused", len(zeros), over_rest(zeros, content_encoding="gzip")
    large = Message([Tensor.of("x", np.ones((1, 50_000_000), np.float32))])
    parts, size = rest.encode_request(large, {}, True)
    binary = b"".join(parts)
    yield (
        "binary REST, 50 million FP32",
        len(binary),
        over_rest(binary, inference_header_content_length=str(size)),
    )
    fitting = Message([Tensor.of("x", np.ones((1, 15_000_000), np.float32))])
    raw = encode_request(_MODEL, "", fitting, {})
    yield "gRPC, 15 million FP32", len(raw), _over_grpc(server, raw)
    many = Message([Tensor.of_bytes("x", [b"abcd"] * 1_000_000, (1, 1_000_000))])
    bodies = encode_request(_MODEL, "", many, {})
    yield "gRPC, a million strings", len(bodies), _over_grpc(server, bodies)


def _over_grpc(server: ServerProcess, body: bytes) -> Callable[[], None]:
    def send() -> None:
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options) as channel:
            channel.unary_unary(f"/{SERVICE}/ModelInfer")(body, timeout=300)

    return send
