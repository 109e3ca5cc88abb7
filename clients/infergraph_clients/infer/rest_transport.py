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
from http.client import HTTPException
from typing import Any

import aiohttp
import gevent  # type: ignore[import-untyped]
import numpy as np
import tritonclient.http
import tritonclient.http.aio
from gevent.ssl import create_default_context  # type: ignore[import-untyped]
from tritonclient.utils import InferenceServerException

from .. import bfloat16
from .body import BASE64, CONTENT_TYPE, is_text, json_object, problem_of, tensor_of_json
from .endpoint import Endpoint
from .errors import NO_ANSWER, TIMEOUT, ServerError, Unreachable, UsageError
from .message import Answer, Compression, Request
from .tensors import BF16, BYTES, DTYPES, Metadata, Tensor, TensorSpec, bytes_tensor_data
from .transport import CONNECT_SECONDS, METADATA_SECONDS, Infer, infer_arguments

_BINARY = "binary_tensor_data"
_JSON = {"content-type": "application/json"}
"""aiohttp would say octet-stream, which MLServer does not read as JSON."""
_NO_CONNECTION = (
    ConnectionRefusedError,
    socket.gaierror,
    ssl.SSLError,
    aiohttp.ClientConnectorError,
)
_DEFLATE = "; the request was compressed with deflate: MLServer reads gzip alone, Triton both"


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
        with to_own_errors(self._endpoint, METADATA_SECONDS), _deadline(METADATA_SECONDS):
            got = self._client.get_model_metadata(model, version, headers=dict(headers))
            content = json_object(got, "the model's metadata")
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
        with (
            to_own_errors(self._endpoint, request.timeout_s, request.compression),
            _deadline(request.timeout_s),
        ):
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
                with to_own_errors(self._endpoint, request.timeout_s, request.compression):
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
    if tensor.datatype == BF16:
        if not binary:
            raise UsageError(
                f"input {tensor.name!r} is BF16, which JSON cannot carry, and the server takes no "
                "binary tensors over REST; accepted: gRPC"
            )
        # tritonclient wants another package's arrays, or truncates: by its version.
        made._raw_data = bfloat16.pack(data)
        made._parameters["binary_data_size"] = len(made._raw_data)
    else:
        made.set_data_from_numpy(data, binary_data=binary)
    # tritonclient has no public way to give a tensor a parameter.
    made._parameters.update(parameters)
    return made


def read_answer(result: Any) -> Answer:
    """The answer in an `InferResult`.

    Raises:
        ValueError, TypeError, KeyError: it is not V2.
    """
    content = json_object(result.get_response(), "the answer")
    return Answer(
        str(content.get("model_name") or ""),
        [_read_output(each, result) for each in content["outputs"]],
        json_object(content.get("parameters") or {}, "`parameters`"),
        str(content.get("id") or ""),
    )


def _read_output(content: Any, result: Any) -> Tensor:
    content = json_object(content, "an output")
    parameters = dict(content.get("parameters") or {})
    size = parameters.pop("binary_data_size", None)
    if size is None:
        return tensor_of_json(content)
    if content["datatype"] not in DTYPES:
        raise ValueError(f"tensor {content['name']!r} has datatype {content['datatype']!r}")
    if content["datatype"] == BF16:
        start = result._output_name_to_buffer_map[content["name"]] if size else 0
        raw = bytes(result._buffer[start : start + size])
        data = bfloat16.unpack(raw).reshape(content["shape"])
    else:
        data = np.asarray(result.as_numpy(content["name"]))
    return Tensor(content["name"], content["datatype"], data, parameters)


def _deadline(seconds: float | None) -> gevent.Timeout:
    """Ends what runs inside once the time is over. tritonclient.http waits with gevent."""
    timeout: gevent.Timeout = gevent.Timeout(seconds)
    return timeout


@contextlib.contextmanager
def to_own_errors(
    endpoint: Endpoint, timeout_s: float | None, compression: Compression | None = None
) -> Iterator[None]:
    """Turns whatever is raised inside into our own errors."""
    try:
        yield
    except InferenceServerException as error:
        status, text = error.status() or NO_ANSWER, " ".join(error.message().split())
        if compression == "deflate" and status.startswith("4"):
            text += _DEFLATE
        raise ServerError(status, text) from None
    except (gevent.Timeout, asyncio.TimeoutError, TimeoutError) as error:
        if timeout_s is None or _is_of_connecting(error):
            raise Unreachable(f"no connection to {endpoint}: {_reason(error)}") from None
        text = f"no answer from {endpoint} within {timeout_s * 1000:g} ms"
        raise ServerError(TIMEOUT, text) from None
    except _NO_CONNECTION as error:
        raise Unreachable(f"no connection to {endpoint}: {_reason(error)}") from None
    except (OSError, HTTPException, aiohttp.ClientError) as error:
        raise ServerError(NO_ANSWER, f"{endpoint} broke off: {_reason(error)}") from None
    except (ValueError, TypeError, KeyError) as error:
        text = f"what {endpoint} answers is not V2: {problem_of(error)}"
        raise ServerError(NO_ANSWER, text) from None


def _is_of_connecting(error: BaseException) -> bool:
    # A socket's error says something, asyncio's own does not; sockets have no other timeout.
    return isinstance(error, OSError) and bool(error.args)


def _reason(error: BaseException) -> str:
    cause = getattr(error, "os_error", error)
    text = str(getattr(cause, "strerror", None) or cause or type(error).__name__)
    return " ".join(text.split())
