"""V2 over gRPC, with tritonclient.grpc. Never in one process with mlserver: it would crash."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import tritonclient.grpc
import tritonclient.grpc.aio
from tritonclient.utils import InferenceServerException

from .. import bfloat16
from .endpoint import Endpoint
from .errors import NO_ANSWER, TIMEOUT, ServerError, Unreachable
from .grpc_answer import read_answer
from .message import Answer, Request
from .tensors import BF16, Metadata, Tensor, TensorSpec
from .transport import CONNECT_SECONDS, METADATA_SECONDS, Infer, infer_arguments

_PARAMETERS = "parameters"
"""The extension of servers whose messages hold fractions, which V2's own do not."""
_CHANNEL = [
    # Answers are not cut off at gRPC's 4 MiB.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # As over REST, where neither half of tritonclient reads the environment for one.
    ("grpc.enable_http_proxy", 0),
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_SECONDS * 1000)),
]
_NO_CONNECTION = ("failed to connect", "errors resolving", "dns resolution failed")
"""How gRPC says so; the status alone, UNAVAILABLE, may as well be an overloaded server's."""


class GrpcTransport:
    """One channel for the synchronous calls; `asynchronous` has its own."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._fractions = False
        self._client = tritonclient.grpc.InferenceServerClient(
            endpoint.authority, ssl=endpoint.secure, channel_args=_CHANNEL
        )

    def __enter__(self) -> GrpcTransport:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def metadata(self, model: str, version: str, headers: Mapping[str, str]) -> Metadata:
        options = {"headers": _metadata(headers), "client_timeout": METADATA_SECONDS}
        with _errors(self._endpoint, METADATA_SECONDS):
            content = self._client.get_model_metadata(model, version, **options)
            try:
                extensions = frozenset(self._client.get_server_metadata(**options).extensions)
            except InferenceServerException:
                # A gateway may know models only.
                extensions = frozenset()
        self._fractions = _PARAMETERS in extensions
        return Metadata(_specs(content.inputs), _specs(content.outputs), extensions)

    def infer(self, request: Request) -> Answer:
        arguments = self._arguments(request)
        with _errors(self._endpoint, request.timeout_s):
            return read_answer(self._client.infer(**arguments).get_response())

    @contextlib.asynccontextmanager
    async def asynchronous(self) -> AsyncIterator[Infer]:
        async with tritonclient.grpc.aio.InferenceServerClient(
            self._endpoint.authority, ssl=self._endpoint.secure, channel_args=_CHANNEL
        ) as client:

            async def infer(request: Request) -> Answer:
                arguments = self._arguments(request)
                with _errors(self._endpoint, request.timeout_s):
                    return read_answer((await client.infer(**arguments)).get_response())

            yield infer

    def _arguments(self, request: Request) -> dict[str, Any]:
        arguments = infer_arguments(request)
        if not self._fractions:
            # Sent as a fraction they would be lost on the way; as text the server may read them.
            arguments["parameters"] = {
                name: str(value) if isinstance(value, float) else value
                for name, value in (arguments["parameters"] or {}).items()
            }
        return {
            **arguments,
            "inputs": [_make_input(tensor) for tensor in request.tensors],
            "outputs": [tritonclient.grpc.InferRequestedOutput(name) for name in request.outputs]
            or None,
            "headers": _metadata(request.headers),
            "compression_algorithm": request.compression,
            "client_timeout": request.timeout_s,
        }


def _make_input(tensor: Tensor) -> tritonclient.grpc.InferInput:
    made = tritonclient.grpc.InferInput(tensor.name, list(tensor.shape), tensor.datatype)
    if tensor.datatype == BF16:
        # tritonclient wants another package's arrays, or truncates: by its version.
        made._raw_content = bfloat16.pack(tensor.data)
    else:
        made.set_data_from_numpy(tensor.data)
    # tritonclient has no public way to give a tensor a parameter.
    parameters = made._get_tensor().parameters
    for name, value in tensor.parameters.items():
        kind = "bool" if isinstance(value, bool) else "int64" if isinstance(value, int) else None
        if kind is None:
            parameters[name].string_param = str(value)
        else:
            setattr(parameters[name], f"{kind}_param", value)
    return made


def _metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """gRPC takes names in lower case only."""
    return {name.lower(): value for name, value in headers.items()}


def _specs(tensors: Any) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(each.name, each.datatype, tuple(each.shape)) for each in tensors)


@contextlib.contextmanager
def _errors(endpoint: Endpoint, timeout_s: float | None) -> Iterator[None]:
    """Turns whatever is raised inside into our own errors."""
    try:
        yield
    except InferenceServerException as error:
        status = (error.status() or NO_ANSWER).removeprefix("StatusCode.")
        text = " ".join(error.message().split())
        if status == "UNAVAILABLE" and text.lower().startswith(_NO_CONNECTION):
            raise Unreachable(f"no connection to {endpoint}: {text}") from None
        if status == "DEADLINE_EXCEEDED" and text == "Deadline Exceeded":
            # gRPC's own words: nothing came from the server.
            limit = f" within {timeout_s * 1000:g} ms" if timeout_s else ""
            raise ServerError(TIMEOUT, f"no answer from {endpoint}{limit}") from None
        raise ServerError(status, text) from None
    except ValueError as error:
        raise ServerError(NO_ANSWER, f"what {endpoint} answers is not V2: {error}") from None
