"""V2 over REST, with tritonclient.http.

As base64 in JSON; and as V2's binary tensors where the server names that extension, as Triton does.
MLServer does not have it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import aiohttp
import gevent  # type: ignore[import-untyped]
import numpy as np
import tritonclient.http
import tritonclient.http.aio
from gevent.ssl import create_default_context  # type: ignore[import-untyped]
from tritonclient.utils import InferenceServerException

from .body import BASE64, CONTENT_TYPE, is_text, problem_of, tensor_of_json
from .endpoint import Endpoint
from .errors import NO_ANSWER, TIMEOUT, ServerError, Unreachable
from .message import Answer, Request
from .tensors import BYTES, DTYPES, Metadata, Tensor, TensorSpec, bytes_tensor_data
from .transport import CONNECT_SECONDS, METADATA_SECONDS, Infer, infer_arguments

_BINARY = "binary_tensor_data"
_JSON = {"content-type": "application/json"}
"""tritonclient.http.aio would have aiohttp say octet-stream, which MLServer does not read as JSON."""
_NO_CONNECTION = (
    ConnectionRefusedError,
    socket.gaierror,
    ssl.SSLError,
    aiohttp.ClientConnectorError,
)


class RestTransport:
    """One connection, for the synchronous calls; `asynchronous` opens as many as it needs."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._binary = False
        # The network timeout holds for each read, so it cannot keep a deadline: see `_deadline`.
        self._client = tritonclient.http.InferenceServerClient(
            endpoint.authority + endpoint.path,
            connection_timeout=CONNECT_SECONDS,
            network_timeout=None,
            ssl=endpoint.secure,
            ssl_context_factory=create_default_context if endpoint.secure else None,
        )

    def __enter__(self) -> RestTransport:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def metadata(self, model: str, version: str, headers: Mapping[str, str]) -> Metadata:
        with _errors(self._endpoint, METADATA_SECONDS), _deadline(METADATA_SECONDS):
            content = self._client.get_model_metadata(model, version, headers=dict(headers))
            inputs, outputs = (
                tuple(
                    TensorSpec(each["name"], each["datatype"], tuple(each["shape"]))
                    for each in content.get(side) or ()
                )
                for side in ("inputs", "outputs")
            )
            try:
                server = self._client.get_server_metadata(headers=dict(headers))
            except InferenceServerException:
                # A gateway may know models only.
                server = {}
        extensions = frozenset(server.get("extensions") or ())
        self._binary = _BINARY in extensions
        return Metadata(inputs, outputs, extensions)

    def infer(self, request: Request) -> Answer:
        arguments = self._arguments(request)
        with _errors(self._endpoint, request.timeout_s), _deadline(request.timeout_s):
            return read_answer(self._client.infer(**arguments))

    @contextlib.asynccontextmanager
    async def asynchronous(self) -> AsyncIterator[Infer]:
        async with tritonclient.http.aio.InferenceServerClient(
            self._endpoint.authority + self._endpoint.path,
            conn_limit=0,
            conn_timeout=None,
            ssl=self._endpoint.secure,
            ssl_context=True,
        ) as client:

            async def infer(request: Request) -> Answer:
                arguments = self._arguments(request)
                with _errors(self._endpoint, request.timeout_s):
                    call = client.infer(**arguments)
                    return read_answer(await asyncio.wait_for(call, request.timeout_s))

            yield infer

    def _arguments(self, request: Request) -> dict[str, Any]:
        binary = self._binary
        return {
            **infer_arguments(request),
            "inputs": [make_input(tensor, binary) for tensor in request.tensors],
            "outputs": [
                tritonclient.http.InferRequestedOutput(name, binary_data=binary)
                for name in request.outputs
            ]
            or None,
            "headers": {**({} if binary else _JSON), **request.headers},
            "request_compression_algorithm": request.compression,
            "response_compression_algorithm": request.compression,
        }


def make_input(tensor: Tensor, binary: bool) -> tritonclient.http.InferInput:
    """A tensor as tritonclient sends it; in JSON, BYTES that are not text go as base64."""
    made = tritonclient.http.InferInput(tensor.name, list(tensor.shape), tensor.datatype)
    data, parameters = tensor.data, dict(tensor.parameters)
    if not binary and tensor.datatype == BYTES and not is_text(data):
        data = bytes_tensor_data([base64.b64encode(value) for value in data.ravel()], data.shape)
        parameters[CONTENT_TYPE] = BASE64
    made.set_data_from_numpy(data, binary_data=binary)
    # tritonclient has no public way to give a tensor a parameter.
    made._parameters.update(parameters)
    return made


def read_answer(result: Any) -> Answer:
    """The answer in an `InferResult`.

    Raises:
        ValueError, TypeError, KeyError: it is not V2.
    """
    content = result.get_response()
    return Answer(
        str(content.get("model_name") or ""),
        [_read_output(each, result) for each in content["outputs"]],
        content.get("parameters") or {},
        str(content.get("id") or ""),
    )


def _read_output(content: Mapping[str, Any], result: Any) -> Tensor:
    parameters = dict(content.get("parameters") or {})
    if parameters.pop("binary_data_size", None) is None:
        return tensor_of_json(content)
    if content["datatype"] not in DTYPES:
        raise ValueError(f"tensor {content['name']!r} has datatype {content['datatype']!r}")
    data = np.asarray(result.as_numpy(content["name"]))
    return Tensor(content["name"], content["datatype"], data, parameters)


def _deadline(seconds: float | None) -> gevent.Timeout:
    """Ends what runs inside once the time is over. tritonclient.http waits with gevent."""
    timeout: gevent.Timeout = gevent.Timeout(seconds)
    return timeout


@contextlib.contextmanager
def _errors(endpoint: Endpoint, timeout_s: float | None) -> Iterator[None]:
    """Turns whatever is raised inside into our own errors."""
    try:
        yield
    except InferenceServerException as error:
        raise ServerError(error.status() or NO_ANSWER, " ".join(error.message().split())) from None
    except (gevent.Timeout, asyncio.TimeoutError, TimeoutError):
        limit = f" within {timeout_s * 1000:g} ms" if timeout_s else ""
        raise ServerError(TIMEOUT, f"no answer from {endpoint}{limit}") from None
    except _NO_CONNECTION as error:
        raise Unreachable(f"no connection to {endpoint}: {_reason(error)}") from None
    except (OSError, aiohttp.ClientError) as error:
        raise ServerError(NO_ANSWER, f"{endpoint} ended the connection: {_reason(error)}") from None
    except (ValueError, TypeError, KeyError) as error:
        text = f"what {endpoint} answers is not V2: {problem_of(error)}"
        raise ServerError(NO_ANSWER, text) from None


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", error)
    return str(getattr(cause, "strerror", None) or cause or type(error).__name__)
