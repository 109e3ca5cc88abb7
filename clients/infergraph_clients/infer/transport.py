"""`Transport`: the two ways to a V2 server."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from .endpoint import Endpoint
from .errors import UsageError
from .message import Answer, Request
from .tensors import Metadata, Parameter

CONNECT_SECONDS = 10.0
METADATA_SECONDS = 30.0
OWN_ARGUMENTS = ("sequence_id", "sequence_start", "sequence_end", "priority", "timeout")
"""V2 parameters that tritonclient takes as arguments of their own."""

Infer = Callable[[Request], Awaitable[Answer]]


class Transport(Protocol):
    """A context manager. Its calls raise Unreachable or ServerError."""

    def __enter__(self) -> Transport: ...

    def __exit__(self, *_: object) -> None: ...

    def metadata(self, model: str, version: str, headers: Mapping[str, str]) -> Metadata:
        """What the server says of itself and of the model; remembered for the requests."""
        ...

    def infer(self, request: Request) -> Answer:
        """Sends one request and waits for the answer."""
        ...

    def asynchronous(self) -> contextlib.AbstractAsyncContextManager[Infer]:
        """Inside, a coroutine function like `infer`, of which many may run at a time."""
        ...


def connect(endpoint: Endpoint) -> Transport:
    """The transport to an endpoint; opens no connection yet.

    Raises:
        UsageError: tritonclient is not installed.
    """
    # gRPC would write lines of its own beside our one.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    name = {"rest": "RestTransport", "grpc": "GrpcTransport"}[endpoint.protocol]
    try:
        module = importlib.import_module(f".{endpoint.protocol}_transport", __package__)
    except (ImportError, RuntimeError) as error:
        # tritonclient turns a missing dependency into a RuntimeError.
        raise UsageError(f"{error}; pip install 'infergraph[clients]'") from None
    transport: Transport = getattr(module, name)(endpoint)
    return transport


def infer_arguments(request: Request) -> dict[str, Any]:
    """The arguments of tritonclient's `infer` that are the same over REST and gRPC.

    Raises:
        UsageError: tritonclient keeps a parameter's name for itself.
    """
    parameters: dict[str, Parameter] = dict(request.parameters)
    own = {name: parameters.pop(name) for name in OWN_ARGUMENTS if name in parameters}
    for name in parameters:
        if name in ("headers", "binary_data_output") or name.startswith("triton_"):
            raise UsageError(f"parameter {name!r}: tritonclient sets it by itself")
    return {
        "model_name": request.model,
        "model_version": request.version,
        "request_id": request.id,
        "parameters": parameters or None,
        **own,
    }
