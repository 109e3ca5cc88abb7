from __future__ import annotations

import asyncio
import base64
import json
import socket
from http.client import HTTPException
from types import SimpleNamespace
from typing import Any

import aiohttp
import gevent
import numpy as np
import pytest
from tritonclient.http import InferResult
from tritonclient.utils import InferenceServerException

from infergraph_clients.infer.endpoint import Endpoint
from infergraph_clients.infer.errors import InferError, ServerError, Unreachable, UsageError
from infergraph_clients.infer.message import Compression, Request
from infergraph_clients.infer.rest_transport import (
    RestTransport,
    make_input,
    read_answer,
    to_own_errors,
)
from infergraph_clients.infer.tensors import Tensor, bytes_tensor_data

ENDPOINT = Endpoint.parse("http://models.example:8080/seldon", None)
WAV = b"RIFF\x00\xff"


def bytes_tensor(*values: bytes, **parameters: Any) -> Tensor:
    return Tensor("audio", "BYTES", bytes_tensor_data(values, (len(values), 1)), parameters)


def as_json(tensor: Tensor) -> dict[str, Any]:
    content: dict[str, Any] = make_input(tensor, binary=False)._get_tensor()
    # As it is sent, not only as it is held.
    sent: dict[str, Any] = json.loads(json.dumps(content))
    return sent


def result_of(content: Any, **arrays: Any) -> Any:
    return SimpleNamespace(get_response=lambda: content, as_numpy=arrays.__getitem__)


def problem_with(
    error: BaseException, timeout_s: float | None = 1.25, compression: Compression | None = None
) -> InferError:
    with pytest.raises(InferError) as caught, to_own_errors(ENDPOINT, timeout_s, compression):
        raise error
    return caught.value


def test_text_goes_as_text() -> None:
    assert as_json(bytes_tensor(b"one", "größer".encode())) == {
        "name": "audio", "datatype": "BYTES", "shape": [2, 1], "data": ["one", "größer"],
    }  # fmt: skip


def test_other_bytes_go_as_base64_and_say_so() -> None:
    content = as_json(bytes_tensor(b"one", WAV, rate=16000))
    assert [base64.b64decode(value) for value in content["data"]] == [b"one", WAV]
    assert content["parameters"] == {"rate": 16000, "content_type": "base64"}


def test_numbers_go_as_a_flat_list() -> None:
    content = as_json(Tensor("x", "FP32", np.array([[1.5, 2.0]], np.float32)))
    assert (content["shape"], content["data"]) == ([1, 2], [1.5, 2.0])


def test_binary_tensors_for_servers_that_know_them() -> None:
    made = make_input(bytes_tensor(WAV, rate=16000), binary=True)
    assert made._get_tensor()["parameters"] == {"binary_data_size": 4 + len(WAV), "rate": 16000}
    assert "data" not in made._get_tensor()
    assert made._get_binary_data() == len(WAV).to_bytes(4, "little") + WAV


def test_bf16_needs_binary_tensors() -> None:
    tensor = Tensor("half", "BF16", np.array([[1.0, -2.5]], np.float32))
    made = make_input(tensor, binary=True)
    assert made._get_tensor()["parameters"] == {"binary_data_size": 4}
    assert made._get_binary_data() == bytes.fromhex("803f 20c0")
    with pytest.raises(UsageError, match=r"'half' is BF16, which JSON cannot carry.*: gRPC$"):
        make_input(tensor, binary=False)


def test_an_answer_of_binary_bf16() -> None:
    outputs = [
        {"name": "a", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}},
        {"name": "b", "datatype": "BF16", "shape": [2, 1], "parameters": {"binary_data_size": 4}},
        {"name": "c", "datatype": "BF16", "shape": [0], "parameters": {"binary_data_size": 0}},
    ]
    head = json.dumps({"outputs": outputs}).encode()
    body = head + np.float32(7).tobytes() + bytes.fromhex("803f 20c0")
    result = InferResult.from_response_body(body, header_length=len(head))
    found = {tensor.name: tensor.data.tolist() for tensor in read_answer(result).tensors}
    assert found == {"a": [7.0], "b": [[1.0], [-2.5]], "c": []}


def arguments_of(binary: bool, **fields: Any) -> dict[str, Any]:
    with RestTransport(ENDPOINT) as transport:
        transport._binary = binary
        return transport._arguments(Request("m", [bytes_tensor(b"a")], **fields))


def test_json_is_called_json() -> None:
    arguments = arguments_of(False, headers={"x-team": "search"})
    assert arguments["headers"] == {"content-type": "application/json", "x-team": "search"}
    # Binary bodies are of another type, which tritonclient sets.
    assert arguments_of(True, headers={"x-team": "search"})["headers"] == {"x-team": "search"}


@pytest.mark.parametrize("binary", [True, False])
def test_wanted_outputs_and_compression(binary: bool) -> None:
    arguments = arguments_of(binary, outputs=["answer"], compression="gzip")
    (output,) = arguments["outputs"]
    assert output.name() == "answer"
    assert output._get_tensor().get("parameters", {}).get("binary_data", False) is binary
    assert arguments["request_compression_algorithm"] == "gzip"
    assert arguments["response_compression_algorithm"] == "gzip"
    assert arguments_of(binary)["outputs"] is None


def test_an_answer_in_json() -> None:
    content = {
        "model_name": "m",
        "id": "seven",
        "parameters": {"trace": '{"duration_us": 5}'},
        "outputs": [{"name": "n", "datatype": "INT64", "shape": [2, 1], "data": [1, 2]}],
    }
    answer = read_answer(result_of(content))
    assert (answer.model, answer.id, answer.trace) == ("m", "seven", {"duration_us": 5})
    assert answer.tensors[0].data.tolist() == [[1], [2]]


def test_an_answer_with_binary_tensors() -> None:
    output = {"name": "x", "datatype": "FP32", "shape": [1, 2]}
    parameters = {"binary_data_size": 8, "kind": "a"}
    content = {"outputs": [{**output, "parameters": parameters}], "id": None}
    answer = read_answer(result_of(content, x=np.array([[1, 2]], np.float32)))
    assert (answer.model, answer.id, answer.parameters) == ("", "", {})
    assert answer.tensors[0].data.tolist() == [[1, 2]]
    assert answer.tensors[0].parameters == {"kind": "a"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([1], "the answer is list; accepted: a JSON object"),
        ({"error": "x"}, "no field 'outputs'"),
        ({"outputs": ["x"]}, "an output is str; accepted: a JSON object"),
        ({"outputs": [], "parameters": [1]}, "`parameters` is list; accepted: a JSON object"),
        (
            {"outputs": [{"name": "x", "datatype": "INT8", "shape": [2], "data": [1]}]},
            "tensor 'x' of shape [2] holds 1 values",
        ),
        (
            {
                "outputs": [
                    {
                        "name": "x",
                        "datatype": "FP8",
                        "shape": [1],
                        "parameters": {"binary_data_size": 1},
                    }
                ]
            },
            "tensor 'x' has datatype 'FP8'",
        ),
    ],
)
def test_what_is_no_v2_answer_is_named(content: Any, problem: str) -> None:
    with pytest.raises(ServerError) as caught, to_own_errors(ENDPOINT, None):
        read_answer(result_of(content))
    assert caught.value.status == "no answer"
    assert f"what {ENDPOINT} answers is not V2: {problem}" in caught.value.text


def test_the_servers_own_error_keeps_its_status_and_is_one_line() -> None:
    error = problem_with(InferenceServerException("too\n  long", "400"))
    assert (type(error), str(error)) == (ServerError, "400: too long")


@pytest.mark.parametrize(
    ("status", "compression", "told"),
    [("422", "deflate", True), ("422", "gzip", False), ("422", None, False),
     ("500", "deflate", False)],
)  # fmt: skip
def test_a_refused_deflate_body_is_explained(
    status: str, compression: Compression | None, told: bool
) -> None:
    error = problem_with(InferenceServerException("not UTF-8", status), None, compression)
    assert ("MLServer reads gzip alone" in str(error)) is told


@pytest.mark.parametrize("error", [gevent.Timeout(1.25), asyncio.TimeoutError()])
def test_the_clients_own_deadline(error: BaseException) -> None:
    own = problem_with(error)
    assert (type(own), str(own)) == (
        ServerError,
        f"timeout: no answer from {ENDPOINT} within 1250 ms",
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        # A socket's, which has a time limit for connecting alone.
        (TimeoutError("timed out"), "timed out"),
    ],
)
def test_no_connection(error: Exception, reason: str) -> None:
    own = problem_with(error)
    assert type(own) is Unreachable
    assert str(own) == f"no connection to {ENDPOINT}: {reason}"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (HTTPException("connection closed."), "connection closed."),
        (aiohttp.ServerDisconnectedError(), "Server disconnected"),
        (aiohttp.ClientPayloadError("not\nall"), "not all"),
    ],
)
def test_a_connection_that_breaks_off(error: Exception, reason: str) -> None:
    own = problem_with(error)
    assert (type(own), str(own)) == (
        ServerError,
        f"no answer: {ENDPOINT} broke off: {reason}",
    )
