"""The storm's judge: it lets right answers and refusals pass, and finds each kind of fault."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from mlserver.grpc import dataplane_pb2 as pb

from tests.storm.connection import Reply
from tests.storm.judge import judge_grpc, judge_rest
from tests.storm.shots import GrpcShot, RestShot

GOOD = RestShot("good", b"POST", "s1", {"output": ([1, 2], [1.0, 2.0])})
ODD = RestShot("odd", b"POST", "s1")
GOOD_CALL = GrpcShot("good", "ModelInfer", (b"",), id="s1", answered=GOOD.answered)
ODD_CALL = GrpcShot("odd", "ModelInfer", (b"",), id="s1")
StatusCode = grpc.StatusCode


def answer(data: list[Any], id: str = "s1", **changes: Any) -> dict[str, Any]:
    tensor = {"name": "output", "datatype": "FP32", "shape": [1, 2], "data": data, **changes}
    return {"model_name": "m", "id": id, "outputs": [tensor]}


def reply(status: int, content: Any, **headers: str) -> Reply:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"content-type": "application/json", **given}, body)


def binary(content: bytes, size: int) -> Reply:
    told = answer([])
    tensor = told["outputs"][0]
    del tensor["data"]
    tensor["parameters"] = {"binary_data_size": size}
    head = json.dumps(told).encode()
    return reply(200, head + content, inference_header_content_length=str(len(head)))


EVENT = json.dumps(answer([1, 2])).encode()
ERROR_EVENT = b'event: error\ndata: {"error": "stage failed"}\n\n'


@pytest.mark.parametrize(
    ("shot", "came"),
    [
        pytest.param(GOOD, reply(200, answer([1, 2])), id="the answer"),
        pytest.param(GOOD, binary(b"\0\0\x80?\0\0\0@", 8), id="the answer in binary"),
        pytest.param(
            GOOD, reply(200, b"data: " + EVENT + b"\n\n", content_type="text/event-stream"),
            id="the answer as an event",
        ),
        pytest.param(
            ODD, reply(200, ERROR_EVENT, content_type="text/event-stream"), id="an error event"
        ),
        pytest.param(GOOD, reply(503, {"error": "busy"}), id="busy"),
        pytest.param(ODD, reply(422, {"error": "no inputs"}), id="refused"),
        pytest.param(RestShot("cut", b"GET", whole=False), Reply(), id="no request, no answer"),
        pytest.param(RestShot("HEAD", b"HEAD", says_nothing=True), Reply(404), id="HEAD"),
    ],
)  # fmt: skip
def test_right_replies_pass(shot: RestShot, came: Reply) -> None:
    assert judge_rest(shot, came) is None


@pytest.mark.parametrize(
    ("shot", "came", "what"),
    [
        (GOOD, reply(200, answer([1, 3])), "WRONG ANSWER: other values"),
        (GOOD, reply(200, answer([1, 2], "s2")), "WRONG ANSWER: another id"),
        (ODD, reply(200, answer([1, 2], "s2")), "WRONG ANSWER: another id"),
        (ODD, reply(200, answer([1, 2], "")), "the id is not echoed"),
        (GOOD, binary(b"\0\0\x80?\0\0\0@", 4), "an answer that is not V2"),
        (ODD, binary(b"\0\0\x80?\0\0\0@?", 8), "an answer that is not V2"),
        (ODD, reply(200, answer([1, 2, 3])), "an answer that is not V2"),
        (ODD, reply(200, answer([1, float("nan")])), "an answer that is not V2"),
        (ODD, reply(200, answer([1, 2], shape=[-1, -2])), "an answer that is not V2"),
        (ODD, reply(200, b""), "an answer that is not V2"),
        (ODD, reply(200, b"", content_type="text/event-stream"), "a stream of no events"),
        (GOOD, reply(422, {"error": "no"}), "a good request is refused"),
        (ODD, reply(500, {"error": "oh"}), "status 500"),
        (ODD, reply(307, b""), "status 307"),
        (ODD, reply(404, {"detail": "no"}), "status 404 without an error object"),
        (ODD, reply(404, {"error": ""}), "status 404 without a text"),
        (ODD, reply(404, b""), "status 404 without a text"),
        (ODD, reply(400, {"error": 'File "a"'}), 'the text shows the inside (File ")'),
        (ODD, Reply(), "the connection was ended without an answer"),
        (ODD, Reply(200, problem="the connection ended within the answer"),
         "the connection ended within the answer"),
    ],
)  # fmt: skip
def test_faults_of_rest_are_found(shot: RestShot, came: Reply, what: str) -> None:
    fault = judge_rest(shot, came)
    assert fault is not None
    assert fault.what == what


def message(values: bytes, id: str = "s1") -> bytes:
    made = pb.ModelInferResponse(id=id, raw_output_contents=[values])
    made.outputs.add(name="output", datatype="FP32", shape=[1, 2])
    return bytes(made.SerializeToString())


RIGHT = message(b"\0\0\x80?\0\0\0@")


@pytest.mark.parametrize(
    ("shot", "code", "details", "answers"),
    [
        (GOOD_CALL, StatusCode.OK, "", [RIGHT]),
        (GOOD_CALL, StatusCode.UNAVAILABLE, "busy", []),
        (ODD_CALL, StatusCode.INVALID_ARGUMENT, "no inputs", []),
        (GrpcShot("left", "ModelInfer", (b"",), leaves="at once"), StatusCode.CANCELLED, "", []),
    ],
)
def test_right_calls_pass(
    shot: GrpcShot, code: grpc.StatusCode, details: str, answers: list[bytes]
) -> None:
    assert judge_grpc(shot, code, details, answers) is None


@pytest.mark.parametrize(
    ("shot", "code", "details", "answers", "what"),
    [
        (GOOD_CALL, StatusCode.OK, "", [message(bytes(8))], "WRONG ANSWER: other values"),
        (ODD_CALL, StatusCode.OK, "", [message(bytes(8), "s2")], "WRONG ANSWER: another id"),
        (ODD_CALL, StatusCode.OK, "", [message(bytes(4))], "an answer that is not V2"),
        (ODD_CALL, StatusCode.OK, "", [b"\xff"], "an answer that is not V2"),
        (GOOD_CALL, StatusCode.NOT_FOUND, "no model", [], "a good request is refused"),
        (ODD_CALL, StatusCode.UNKNOWN, "oh", [], "UNKNOWN"),
        (ODD_CALL, StatusCode.INTERNAL, "oh", [], "INTERNAL"),
        (ODD_CALL, StatusCode.CANCELLED, "", [], "CANCELLED"),
        (ODD_CALL, StatusCode.NOT_FOUND, "", [], "NOT_FOUND without a text"),
        (ODD_CALL, StatusCode.NOT_FOUND, "Traceback", [], "the text shows the inside (Traceback)"),
    ],
)
def test_faults_of_grpc_are_found(
    shot: GrpcShot, code: grpc.StatusCode, details: str, answers: list[bytes], what: str
) -> None:
    fault = judge_grpc(shot, code, details, answers)
    assert fault is not None
    assert fault.what == what
