"""Callers beside the storm, in a process of their own: each answer must be its own request's.

    python -m tests.storm.steady HTTP_PORT GRPC_PORT

They call until stdin ends, then write what they saw to stdout, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, field
from typing import Any

import grpc

from ..integration.server import REPOSITORY
from . import oddities, tensors
from .connection import Connections
from .grpc_shots import infer_request
from .judge import Fault, judge_grpc, judge_rest
from .rest_shots import request
from .shots import GrpcShot, RestShot

_PAUSE_SECONDS = 0.02
_LOST_SECONDS = 30.0
_MODELS = ("numbers", "chain", "text", "per-item")
_Ask = Callable[[int], Coroutine[Any, Any, tuple[bool, Fault | None]]]
"""Sends the request of that number: whether the server was busy, and what was wrong."""
_METHOD = "/inference.GRPCInferenceService/ModelInfer"


@dataclass
class Seen:
    """What one caller saw.

    Attributes:
        caller: Its name.
        answers: How many were right.
        refused: How many were 503 or UNAVAILABLE: the server was busy.
        faults: Everything else, by text.
        slowest: Seconds.
        p50: Seconds.
        p99: Seconds.
    """

    caller: str
    answers: int = 0
    refused: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    slowest: float = 0.0
    p50: float = 0.0
    p99: float = 0.0


class SteadyCallers:
    """A context manager: the callers' process. `stop` gives what they saw."""

    def __init__(self, http_port: int, grpc_port: int) -> None:
        self._command = [sys.executable, "-m", __name__, str(http_port), str(grpc_port)]

    def __enter__(self) -> SteadyCallers:
        self._process = subprocess.Popen(
            self._command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def stop(self) -> list[Seen]:
        """Ends the callers; RuntimeError if they failed."""
        output, _ = self._process.communicate(timeout=2 * _LOST_SECONDS)
        if self._process.returncode:
            raise RuntimeError(f"the steady callers ended with {self._process.returncode}")
        return [Seen(**each) for each in json.loads(output)]

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def wanted(rng: random.Random) -> tuple[str, list[tensors.Tensor], tensors.Answered]:
    """A model that computes, tensors for it, and its answer."""
    while True:
        model, inputs, answered = tensors.good(rng)
        if model in _MODELS and answered is not None:
            return model, inputs, answered


async def call_steadily(http_port: int, grpc_port: int, ended: asyncio.Event) -> list[Seen]:
    """Calls over REST and gRPC, and asks whether the server lives, until the event is set."""
    rest, health = Connections(http_port), Connections(http_port)
    live = RestShot("live", request("/v2/health/live", b"", method="GET"), infers=False)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        infer = channel.unary_unary(_METHOD)

        async def ask_rest(number: int) -> tuple[bool, Fault | None]:
            model, inputs, answered = wanted(random.Random(number))
            content = {"id": f"r{number}", "inputs": [each.in_json() for each in inputs]}
            data = request(f"/v2/models/{model}/infer", oddities.dumps(content))
            shot = RestShot(model, data, f"r{number}", answered)
            reply = await rest.send(shot)
            assert reply is not None
            return reply.status == 503, judge_rest(shot, reply)

        async def ask_grpc(number: int) -> tuple[bool, Fault | None]:
            model, inputs, answered = wanted(random.Random(-number))
            message = infer_request(model, f"g{number}", inputs, False).SerializeToString()
            shot = GrpcShot(model, "ModelInfer", (message,), id=f"g{number}", answered=answered)
            call = infer(message)
            try:
                answers = [await call]
            except grpc.aio.AioRpcError:
                answers = []
            code = await call.code()
            details = await call.details()
            refused = code is grpc.StatusCode.UNAVAILABLE
            return refused, judge_grpc(shot, code, details or "", answers)

        async def ask_live(number: int) -> tuple[bool, Fault | None]:
            reply = await health.send(live)
            assert reply is not None
            return False, None if reply.status == 200 else Fault(f"status {reply.status}")

        asked = {"REST": ask_rest, "gRPC": ask_grpc, "/v2/health/live": ask_live}
        seen = [_call(name, ask, ended) for name, ask in asked.items()]
        found = await asyncio.gather(*seen)
    rest.close()
    health.close()
    return found


async def _call(
    name: str,
    ask: Callable[[int], Coroutine[Any, Any, tuple[bool, Fault | None]]],
    ended: asyncio.Event,
) -> Seen:
    seen, latencies, number = Seen(name), [], 0
    while not ended.is_set():
        number += 1
        began = time.perf_counter()
        try:
            refused, fault = await asyncio.wait_for(ask(number), _LOST_SECONDS)
        except (asyncio.TimeoutError, OSError) as error:
            refused, fault = False, Fault("no answer", type(error).__name__)
        latencies.append(time.perf_counter() - began)
        if fault is not None:
            text = f"{fault.what} ({fault.detail})" if fault.detail else fault.what
            seen.faults[text] = seen.faults.get(text, 0) + 1
        elif refused:
            seen.refused += 1
        else:
            seen.answers += 1
        await asyncio.sleep(_PAUSE_SECONDS)
    latencies.sort()
    if latencies:
        seen.slowest = latencies[-1]
        seen.p50, seen.p99 = (latencies[int(len(latencies) * part)] for part in (0.5, 0.99))
    return seen


async def _main(http_port: int, grpc_port: int) -> None:
    ended = asyncio.Event()
    calling = asyncio.ensure_future(call_steadily(http_port, grpc_port, ended))
    await asyncio.to_thread(sys.stdin.read)
    ended.set()
    print(json.dumps([asdict(each) for each in await calling]))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
