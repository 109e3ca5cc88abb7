"""Calls one model over and over and notes how long each call took.

The clients use MLServer's own protobufs and aiohttp, so that little of the time is the client's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc
import numpy as np
import numpy.typing as npt
import orjson
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub

Call = Callable[[], Awaitable[None]]
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True)
class Sample:
    """Latencies of one round.

    Attributes:
        latencies: Milliseconds, one per call.
        seconds: Wall time of the round.
    """

    latencies: npt.NDArray[np.float64]
    seconds: float

    def percentile(self, q: float) -> float:
        return float(np.percentile(self.latencies, q))

    @property
    def throughput(self) -> float:
        """Calls per second."""
        return len(self.latencies) / self.seconds


async def measure(call: Call, calls: int, concurrency: int) -> Sample:
    """Closed loop: `concurrency` callers that together make `calls` calls."""
    latencies: list[float] = []
    left = calls

    async def caller() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            started = time.perf_counter()
            await call()
            latencies.append((time.perf_counter() - started) * 1e3)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(concurrency)))
    return Sample(np.array(latencies), time.perf_counter() - started)


class GrpcDriver:
    """Sends one fixed request over gRPC, raw contents; checks that every answer has outputs."""

    def __init__(
        self, port: int, model: str, tensors: dict[str, Any], *, trace: bool = False
    ) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_UNLIMITED)
        self._infer = GRPCInferenceServiceStub(self._channel).ModelInfer
        self._request = pb.ModelInferRequest(model_name=model)
        if trace:
            self._request.parameters["trace"].bool_param = True
        for name, value in tensors.items():
            tensor = self._request.inputs.add(name=name)
            if isinstance(value, bytes):
                tensor.datatype = "BYTES"
                tensor.shape.extend([1, 1])
                raw = len(value).to_bytes(4, "little") + value
            else:
                tensor.datatype = "FP32"
                tensor.shape.extend(value.shape)
                raw = value.tobytes()
            self._request.raw_input_contents.append(raw)

    async def __call__(self) -> None:
        response = await self._infer(self._request)
        if not response.outputs:
            raise RuntimeError(f"an answer without outputs: {response}")

    async def close(self) -> None:
        await self._channel.close()


class RestDriver:
    """Sends one fixed request over REST, as V2 JSON; checks that every answer is a 200."""

    def __init__(
        self, port: int, model: str, tensors: dict[str, Any], *, trace: bool = False
    ) -> None:
        self._url = f"http://127.0.0.1:{port}/v2/models/{model}/infer"
        payload: dict[str, Any] = {
            "inputs": [
                {
                    "name": name,
                    "shape": list(value.shape),
                    "datatype": "FP32",
                    "data": value.ravel().tolist(),
                }
                for name, value in tensors.items()
            ]
        }
        if trace:
            payload["parameters"] = {"trace": True}
        self._body = orjson.dumps(payload)
        self._session = aiohttp.ClientSession(headers={"content-type": "application/json"})

    async def __call__(self) -> None:
        async with self._session.post(self._url, data=self._body) as response:
            body = await response.read()
            if response.status != 200:
                raise RuntimeError(f"status {response.status}: {body[:300]!r}")

    async def close(self) -> None:
        await self._session.close()
