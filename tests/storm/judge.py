"""Says what is wrong with an answer, if anything is."""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import grpc
from google.protobuf.message import DecodeError
from mlserver.grpc import dataplane_pb2 as pb

from infergraph.v2.schema import HopResponse

from .connection import Reply
from .shots import GrpcShot, RestShot
from .tensors import FORMATS, TYPED_FIELDS, Answered

_SERVER_REFUSALS = (503, 504)
_INSIDE = re.compile(r'Traceback|File "|\.py\b|0x7f[0-9a-f]{8}|object at 0x')
_REFUSING_CODES = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)


_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Fault(NamedTuple):
    """Something wrong.

    Attributes:
        what: In a few words, the same for all faults of the kind.
        detail: What the server said, cut short.
    """

    what: str
    detail: str = ""


def judge_rest(shot: RestShot, reply: Reply) -> Fault | None:
    """What is wrong with the reply to a request that waited for it."""
    if reply.problem:
        what, _, detail = reply.problem.partition(": ")
        return Fault(what, detail)
    if reply.status == 0:
        return Fault("the connection was ended without an answer") if shot.whole else None
    if reply.status >= 300:
        return _judge_refusal(shot, reply)
    if reply.status != 200:
        return Fault(f"status {reply.status}")
    if not shot.infers or not shot.whole:
        return None
    if reply.headers.get("content-type", "").startswith("text/event-stream"):
        return _judge_events(shot, reply.body)
    try:
        outputs, id = _read_rest(reply)
    except (ValueError, KeyError, TypeError, struct.error) as error:
        return Fault("an answer that is not V2", f"{type(error).__name__}: {error}"[:100])
    return _judge_answer(shot.id, id, shot.answered, outputs)


def judge_grpc(
    shot: GrpcShot, code: grpc.StatusCode, details: str, answers: Sequence[bytes]
) -> Fault | None:
    """What is wrong with how a call ended, and with its answers."""
    if code is grpc.StatusCode.CANCELLED and shot.leaves:
        return None
    if code is not grpc.StatusCode.OK:
        if code not in _REFUSING_CODES:
            return Fault(code.name, details[:100])
        if not details:
            return Fault(f"{code.name} without a text")
        if shot.answered is not None and code is not grpc.StatusCode.UNAVAILABLE:
            return Fault("a good request is refused", f"{code.name}: {details[:100]}")
        return _shows_inside(details)
    if shot.is_kept:
        return _judge_kept(shot, answers)
    if shot.method != "ModelInfer":
        return None
    try:
        answer = pb.ModelInferResponse.FromString(answers[0])
        outputs = _read_grpc(answer)
    except (DecodeError, ValueError, struct.error) as error:
        return Fault("an answer that is not V2", f"{type(error).__name__}: {error}"[:100])
    return _judge_answer(shot.id, answer.id, shot.answered, outputs)


def _judge_kept(shot: GrpcShot, answers: Sequence[bytes]) -> Fault | None:
    """What is wrong with the answers of a call that stays open: one to each message, in order."""
    if len(answers) != len(shot.messages):
        return Fault("answers are missing", f"{len(answers)} of {len(shot.messages)}")
    for number, content in enumerate(answers):
        response = HopResponse.FromString(content)
        code = _CODES.get(response.code)
        answered = shot.answered if not number else None
        alone = GrpcShot(shot.kind, "ModelInfer", (b"",), id=shot.id, answered=answered)
        if code is grpc.StatusCode.OK and not number:
            fault = judge_grpc(alone, code, "", [response.response])
        elif code is None:
            fault = Fault("no gRPC status", str(response.code))
        elif code is not grpc.StatusCode.OK:
            fault = judge_grpc(alone, code, response.details, [])
        else:
            fault = None
        if fault is not None:
            return fault
    return None


def _judge_refusal(shot: RestShot, reply: Reply) -> Fault | None:
    status = reply.status
    text = reply.body.decode("utf-8", "replace")
    if status < 400 or (status >= 500 and status not in _SERVER_REFUSALS):
        return Fault(f"status {status}", text[:100])
    if shot.answered is not None and status not in _SERVER_REFUSALS:
        return Fault("a good request is refused", f"status {status}: {text[:100]}")
    if shot.says_nothing and not text:
        return None
    if not text:
        return Fault(f"status {status} without a text")
    if not shot.whole:
        return _shows_inside(text)
    try:
        error = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return Fault(f"status {status} without an error object", text[:100])
    if not isinstance(error, str) or not error:
        return Fault(f"status {status} without a text", text[:100])
    return _shows_inside(error)


def _shows_inside(text: str) -> Fault | None:
    found = _INSIDE.search(text)
    return Fault(f"the text shows the inside ({found[0]})", text[:100]) if found else None


def _judge_events(shot: RestShot, body: bytes) -> Fault | None:
    events = [event for event in body.decode("utf-8", "replace").split("\n\n") if event.strip()]
    for event in events:
        fields = dict(line.partition(": ")[::2] for line in event.splitlines())
        try:
            content = json.loads(fields["data"], parse_constant=_refuse_constant)
            if "error" in content:
                if not content["error"] or not isinstance(content["error"], str):
                    return Fault("an error event without a text", event[:100])
                continue
            outputs = {each["name"]: _read_tensor(each, iter(())) for each in content["outputs"]}
        except (ValueError, KeyError, TypeError) as error:
            return Fault("an event that is not V2", f"{type(error).__name__}: {error}"[:100])
        wrong = _judge_answer(shot.id, content.get("id") or "", shot.answered, outputs)
        if wrong:
            return wrong
    return None if events else Fault("a stream of no events")


def _judge_answer(
    sent_id: str, id: str, expected: Answered | None, outputs: Answered
) -> Fault | None:
    if sent_id and id != sent_id:
        what = "WRONG ANSWER: another id" if id else "the id is not echoed"
        return Fault(what, f"{id[:40]!r} for {sent_id!r}")
    if expected is None or "error_status" in outputs:
        # Of a pipeline per item, some items may have been refused.
        return None
    # Beside an output that only some items have, `_item` tells which.
    found = {
        name: ([*shape], [*values])
        for name, (shape, values) in outputs.items()
        if not name.endswith("_item")
    }
    wanted = {name: ([*shape], [*values]) for name, (shape, values) in expected.items()}
    if found == wanted:
        return None
    return Fault("WRONG ANSWER: other values", f"{found} for {wanted}"[:300])


def _read_rest(reply: Reply) -> tuple[Answered, str]:
    json_size = reply.headers.get("inference-header-content-length")
    body = reply.body
    json_part = body if json_size is None else body[: int(json_size)]
    content = json.loads(json_part, parse_constant=_refuse_constant)
    rest = memoryview(body)[len(json_part) :]

    def contents() -> Any:
        at = 0
        for each in content["outputs"]:
            size = (each.get("parameters") or {}).get("binary_data_size")
            if size is not None:
                yield bytes(rest[at : at + size])
                at += size
        if at != len(rest):
            raise ValueError(f"{len(rest)} bytes behind the JSON, {at} of them told")

    taken = contents()
    outputs = {each["name"]: _read_tensor(each, taken) for each in content["outputs"]}
    # The generator's last check runs only when it is asked for one more.
    next(taken, None)
    return outputs, content.get("id") or ""


def _read_tensor(tensor: Mapping[str, Any], contents: Any) -> tuple[list[int], list[Any]]:
    datatype, shape = tensor["datatype"], list(tensor["shape"])
    parameters = tensor.get("parameters") or {}
    if "binary_data_size" in parameters:
        values = _unpack(datatype, next(contents))
    else:
        values = list(_flat(tensor["data"]))
        if datatype == "BYTES":
            decode = base64.b64decode if parameters.get("content_type") == "base64" else str.encode
            values = [decode(each) for each in values]
    return _of_shape(shape, values)


def _read_grpc(answer: Any) -> Answered:
    outputs = {}
    for index, tensor in enumerate(answer.outputs):
        if answer.raw_output_contents:
            if index >= len(answer.raw_output_contents):
                raise ValueError("fewer raw contents than outputs")
            values = _unpack(tensor.datatype, answer.raw_output_contents[index])
        else:
            values = [*getattr(tensor.contents, TYPED_FIELDS[tensor.datatype])]
        outputs[tensor.name] = _of_shape([*tensor.shape], values)
    return outputs


def _of_shape(shape: list[int], values: list[Any]) -> tuple[list[int], list[Any]]:
    if any(size < 0 for size in shape) or math.prod(shape) != len(values):
        raise ValueError("data that do not fill the shape")
    return shape, values


def _unpack(datatype: str, content: bytes) -> list[Any]:
    if datatype in FORMATS:
        letter = FORMATS[datatype]
        return list(struct.unpack(f"<{len(content) // struct.calcsize(letter)}{letter}", content))
    if datatype != "BYTES":
        # BF16, of which only the number of elements counts here.
        return [content[at : at + 2] for at in range(0, len(content), 2)]
    values, at = [], 0
    while at < len(content):
        (size,) = struct.unpack_from("<I", content, at)
        values.append(content[at + 4 : at + 4 + size])
        at += 4 + size
    if at != len(content):
        raise ValueError("an element that is cut short")
    return values


def _flat(data: Any) -> Any:
    if isinstance(data, list):
        for each in data:
            yield from _flat(each)
    else:
        yield data


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
