"""Runs tritonclient in a process of its own: its gRPC half cannot share one with MLServer.

Reads pickled `(protocol, port, method, arguments)` from stdin and answers each on stdout with a
pickled `("answer", value)` or `("error", (status, text))`. See `triton.py`.
"""

from __future__ import annotations

import base64
import os
import pickle
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

_MODULES = {"grpc": tritonclient.grpc, "http": tritonclient.http}
_NO_LIMIT = 600.0
_clients: dict[tuple[str, int], Any] = {}


def call(protocol: str, port: int, method: str, arguments: Mapping[str, Any]) -> Any:
    client = _client(protocol, port)
    if method == "infer":
        return _infer(client, protocol, **arguments)
    if method == "metadata":
        extra = {"as_json": True} if protocol == "grpc" else {}
        return client.get_model_metadata(arguments["model"], **extra)
    if method == "ready":
        return client.is_model_ready(arguments["model"])
    raise ValueError(f"no method {method!r}")


def _client(protocol: str, port: int) -> Any:
    key = (protocol, port)
    if key not in _clients:
        url = f"127.0.0.1:{port}"
        _clients[key] = (
            tritonclient.grpc.InferenceServerClient(url)
            if protocol == "grpc"
            else tritonclient.http.InferenceServerClient(
                url, network_timeout=_NO_LIMIT, connection_timeout=_NO_LIMIT
            )
        )
    return _clients[key]


def _infer(
    client: Any,
    protocol: str,
    *,
    model: str,
    inputs: Mapping[str, np.ndarray],
    outputs: list[str],
    parameters: Mapping[str, Any],
    headers: Mapping[str, str],
    request_id: str,
) -> tuple[dict[str, np.ndarray], dict[str, Any], str]:
    module = _MODULES[protocol]
    binary = {} if protocol == "grpc" else {"binary_data": False}
    result = client.infer(
        model,
        [_input(module, name, array, binary) for name, array in inputs.items()],
        outputs=[module.InferRequestedOutput(name, **binary) for name in outputs] or None,
        request_id=request_id,
        parameters=dict(parameters) or None,
        headers=dict(headers) or None,
    )
    response = result.get_response()
    if protocol == "http":
        names = [output["name"] for output in response["outputs"]]
        answered = dict(response.get("parameters") or {})
        identifier = response.get("id", "")
    else:
        names = [output.name for output in response.outputs]
        answered = {
            name: getattr(value, value.WhichOneof("parameter_choice"))
            for name, value in response.parameters.items()
        }
        identifier = response.id
    return {name: _array(result.as_numpy(name)) for name in names}, answered, identifier


def _input(module: Any, name: str, array: np.ndarray, binary: Mapping[str, bool]) -> Any:
    tensor = module.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    if not binary or array.dtype != object or all(_is_text(item) for item in array.flat):
        tensor.set_data_from_numpy(array, **binary)
        return tensor
    encoded = np.empty(array.shape, dtype=object)
    for index, item in np.ndenumerate(array):
        encoded[index] = base64.b64encode(item)
    tensor.set_data_from_numpy(encoded, **binary)
    # tritonclient has no public way to give a tensor a parameter.
    tensor._parameters["content_type"] = "base64"
    return tensor


def _is_text(item: bytes) -> bool:
    try:
        item.decode()
    except UnicodeDecodeError:
        return False
    return True


def _array(array: np.ndarray) -> np.ndarray:
    """BYTES as `bytes` from both clients: the REST one leaves `str`."""
    if array.dtype != object:
        return array
    values = np.empty(array.shape, dtype=object)
    for index, item in np.ndenumerate(array):
        values[index] = item.encode() if isinstance(item, str) else item
    return values


def main() -> None:
    # Answers alone may go to the pipe: whatever a library prints goes to stderr.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer: tuple[str, Any] = ("answer", call(*request))
        except InferenceServerException as error:
            answer = ("error", (error.status() or "", error.message()))
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
