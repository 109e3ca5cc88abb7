"""Calls one model over and over and notes how long each call took.

The clients send bytes that were made once, so that little of the time is theirs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import orjson
from mlserver.grpc import dataplane_pb2 as pb

from infergraph.v2 import datatype_of

from .http_connections import HttpConnections, post

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
    """Sends one fixed request over gRPC, raw contents; checks that the first answer has outputs.

    Messages travel as the bytes that they are: serialised once, and answers are not parsed.
    """

    def __init__(
        self, port: int, model: str, tensors: dict[str, Any], *, trace: bool = False
    ) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_UNLIMITED)
        self._infer = self._channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        request = pb.ModelInferRequest(model_name=model)
        if trace:
            request.parameters["trace"].bool_param = True
        for name, value in tensors.items():
            tensor = request.inputs.add(name=name)
            if isinstance(value, bytes):
                tensor.datatype = "BYTES"
                tensor.shape.extend([1, 1])
                raw = len(value).to_bytes(4, "little") + value
            else:
                tensor.datatype = datatype_of(value.dtype)
                tensor.shape.extend(value.shape)
                raw = value.tobytes()
            request.raw_input_contents.append(raw)
        self._request = request.SerializeToString()
        self._seen = False

    async def __call__(self) -> None:
        try:
            answer = await self._infer(self._request)
        except grpc.aio.AioRpcError as error:
            raise RuntimeError(f"{error.code().name}: {error.details()}") from None
        if not self._seen:
            if not pb.ModelInferResponse.FromString(answer).outputs:
                raise RuntimeError(f"an answer without outputs: {answer[:300]!r}")
            self._seen = True

    async def close(self) -> None:
        await self._channel.close()


class RestDriver:
    """Sends one fixed request over REST; checks that every answer is a 200.

    Args:
        port: The server's.
        model: Its name.
        tensors: Arrays by name.
        binary: With tensors as bytes behind the JSON, both ways; otherwise all of it is JSON.
    """

    def __init__(
        self, port: int, model: str, tensors: dict[str, Any], *, binary: bool = False
    ) -> None:
        inputs = [
            {
                "name": name,
                "shape": list(value.shape),
                "datatype": datatype_of(value.dtype),
                **_data(value, binary),
            }
            for name, value in tensors.items()
        ]
        headers = {"Content-Type": "application/json"}
        if binary:
            head = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
            body = head + b"".join(value.tobytes() for value in tensors.values())
            headers = {
                "Content-Type": "application/octet-stream",
                "Inference-Header-Content-Length": str(len(head)),
            }
        else:
            body = orjson.dumps({"inputs": inputs})
        self._connections = HttpConnections(port)
        self._request = post(f"/v2/models/{model}/infer", headers, body)

    async def __call__(self) -> None:
        status, body = await self._connections.send(self._request)
        if status != 200:
            raise RuntimeError(f"status {status}: {b''.join(body)[:120]!r}")

    async def close(self) -> None:
        self._connections.close()


def _data(value: npt.NDArray[Any], binary: bool) -> dict[str, Any]:
    if binary:
        return {"parameters": {"binary_data_size": value.nbytes}}
    return {"data": value.ravel().tolist()}
