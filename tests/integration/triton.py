"""tritonclient over REST and gRPC, from a process that may import MLServer."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .server import ServerProcess

Protocol = Literal["grpc", "http"]
PROTOCOLS: tuple[Protocol, ...] = ("grpc", "http")
_WORKER = Path(__file__).with_name("triton_worker.py")


class TritonError(Exception):
    """What tritonclient raised.

    Attributes:
        status: `StatusCode.INVALID_ARGUMENT` or alike over gRPC, `400` or alike over REST.
    """

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class TritonAnswer:
    """An answer; BYTES outputs are object arrays of `bytes` over both protocols."""

    outputs: dict[str, npt.NDArray[Any]]
    parameters: dict[str, Any]
    id: str

    def texts(self, name: str) -> list[str]:
        """The values of a BYTES output, as text."""
        return [value.decode() for value in self.outputs[name].ravel()]


class TritonClient:
    """A context manager; its worker process serves all calls, and ends with it."""

    def __enter__(self) -> TritonClient:
        self._worker = subprocess.Popen(
            [sys.executable, str(_WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._worker.stdin.close()
        try:
            self._worker.wait(10)
        except subprocess.TimeoutExpired:
            self._worker.kill()
            self._worker.wait()
        self._worker.stdout.close()

    def infer(
        self,
        server: ServerProcess,
        protocol: Protocol,
        model: str,
        inputs: Mapping[str, npt.NDArray[Any] | Sequence[bytes]],
        *,
        outputs: Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> TritonAnswer:
        """One request; a sequence of bytes is a BYTES tensor of shape [items, 1].

        Over REST, BYTES that are not UTF-8 go as base64. Raises TritonError.
        """
        arrays = {
            name: value if isinstance(value, np.ndarray) else _bytes_array(value)
            for name, value in inputs.items()
        }
        arguments = {
            "model": model,
            "inputs": arrays,
            "outputs": list(outputs),
            "parameters": dict(parameters or {}),
            "headers": dict(headers or {}),
            "request_id": request_id,
        }
        return TritonAnswer(*self._call(server, protocol, "infer", arguments))

    def metadata(self, server: ServerProcess, protocol: Protocol, model: str) -> dict[str, Any]:
        """A model's metadata as JSON values."""
        answer: dict[str, Any] = self._call(server, protocol, "metadata", {"model": model})
        return answer

    def ready(self, server: ServerProcess, protocol: Protocol, model: str) -> bool:
        """Whether a model is ready."""
        return bool(self._call(server, protocol, "ready", {"model": model}))

    def _call(
        self, server: ServerProcess, protocol: Protocol, method: str, arguments: Mapping[str, Any]
    ) -> Any:
        port = server.grpc_port if protocol == "grpc" else server.http_port
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        pickle.dump((protocol, port, method, arguments), self._worker.stdin)
        self._worker.stdin.flush()
        kind, value = pickle.load(self._worker.stdout)
        if kind == "error":
            raise TritonError(*value)
        return value


def _bytes_array(items: Sequence[bytes]) -> npt.NDArray[Any]:
    array = np.empty((len(items), 1), dtype=object)
    array[:, 0] = items
    return array
