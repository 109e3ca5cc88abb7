"""What went wrong at another server, as our errors.

::

    gRPC                                  REST                       error
    INVALID_ARGUMENT, OUT_OF_RANGE        400 and other 4xx          InvalidInput
    NOT_FOUND                             404                        UnknownModel
    FAILED_PRECONDITION                   422                        MalformedRequest
    UNAVAILABLE, answered by the model    503, 429                   Overloaded (*), or below
    UNAVAILABLE, cannot be reached        502, 503, no connection    StageUnavailable
    INVALID_ARGUMENT, still loading       400, still loading         StageUnavailable
    DEADLINE_EXCEEDED                     504                        DeadlineExceeded
    RESOURCE_EXHAUSTED: a message's size  413                        InvalidInput
    RESOURCE_EXHAUSTED: anything else                                Overloaded
    the rest                              401, 403, 405, 5xx         StageFailure

(*) A code may say too little: UNAVAILABLE and 503 nothing of why, INVALID_ARGUMENT not whether the
request contradicts itself. A server of ours says it with `infergraph-error`, in trailing metadata
or as a header, whose value is the error's class; it comes before the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import grpc
import orjson

from ..errors import (
    DeadlineExceeded,
    InfergraphError,
    InvalidInput,
    MalformedRequest,
    Overloaded,
    Rejected,
    StageFailure,
    StageUnavailable,
    UnknownModel,
    from_status,
)
from ..request import ERROR_HEADER, Deadline

_LONGEST_TEXT = 1000
_MOST_PROBLEMS = 3
_TRACEBACK = "Traceback (most recent call last)"

_BY_CODE: dict[grpc.StatusCode, type[InfergraphError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.OUT_OF_RANGE: InvalidInput,
    grpc.StatusCode.NOT_FOUND: UnknownModel,
    grpc.StatusCode.FAILED_PRECONDITION: MalformedRequest,
}
_MODEL_FAILED = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
_BY_NAME: dict[str, type[InfergraphError]] = {
    kind.__name__: kind
    for kind in (InvalidInput, Rejected, UnknownModel, MalformedRequest, StageFailure, Overloaded)
}
# MLServer answers with 400 for a model that it is still loading.
_NOT_READY = "is not ready yet"
_LOCALLY_EXPIRED = "Deadline Exceeded"
_EARLY_SECONDS = 0.002
"""uvloop's timers count whole milliseconds: a server's may end a little before the caller's."""
_BY_STATUS: dict[int, type[InfergraphError]] = {
    401: StageFailure,
    403: StageFailure,
    405: StageFailure,
    429: Overloaded,
    502: StageUnavailable,
}


def from_rpc(
    error: grpc.aio.AioRpcError, endpoint: str, deadline: Deadline | None
) -> InfergraphError:
    """The error of a failed gRPC call."""
    trailers = dict(tuple(each) for each in error.trailing_metadata() or ())
    name = trailers.get(ERROR_HEADER, "")
    return from_grpc(error.code(), error.details() or "", name, endpoint, deadline)


def from_grpc(
    code: grpc.StatusCode, details: str, name: str, endpoint: str, deadline: Deadline | None
) -> InfergraphError:
    """The error of a gRPC status, its text, and the class that a server of ours named."""
    text = shortened(details)
    kind = _BY_NAME.get(name) or _BY_CODE.get(code)
    if kind is InvalidInput and _NOT_READY in text:
        return StageUnavailable(f"{endpoint} is unavailable: {text}")
    if kind is not None:
        return kind(text or code.name)
    if code is grpc.StatusCode.UNAVAILABLE or name == StageUnavailable.__name__:
        return StageUnavailable(f"{endpoint} is unavailable: {text}")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return _deadline_error(text, endpoint, deadline)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        if "larger than max" in text:
            return InvalidInput(
                f"the message is larger than {endpoint} accepts ({text}); "
                "MLServer's limit is its setting grpc_max_message_length"
            )
        return Overloaded(text or code.name)
    if code in _MODEL_FAILED and text:
        return StageFailure(text)
    return StageFailure(f"gRPC {code.name}: {text}" if text else f"gRPC {code.name}")


def from_http(
    status: int, headers: Mapping[str, str], body: bytes, endpoint: str, deadline: Deadline | None
) -> InfergraphError:
    """The error of an HTTP answer that is not 200."""
    text = _error_text(status, body)
    named = _BY_NAME.get(headers.get(ERROR_HEADER, ""))
    if named is not None:
        return named(text)
    if status == 503 or (status == 400 and _NOT_READY in text):
        return StageUnavailable(f"{endpoint} is unavailable: {text}")
    if status == 504:
        return _deadline_error(text, endpoint, deadline)
    kind = _BY_STATUS.get(status)
    return from_status(status, text) if kind is None else kind(text)


def shortened(text: str) -> str:
    """A text for an error: without a traceback, and not longer than its reader will read."""
    text = text.split(_TRACEBACK, 1)[0].strip()
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


def _deadline_error(text: str, endpoint: str, deadline: Deadline | None) -> InfergraphError:
    if deadline is not None and (
        text == _LOCALLY_EXPIRED or deadline.remaining() <= _EARLY_SECONDS
    ):
        return deadline.exceeded(endpoint)
    return DeadlineExceeded(text or f"{endpoint}: its deadline passed")


def _error_text(status: int, body: bytes) -> str:
    # A body that is not JSON may hold a proxy's page or a traceback: it is not repeated.
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    text = ""
    if isinstance(answer, dict):
        if isinstance(answer.get("error"), str):
            text = shortened(answer["error"])
        elif "detail" in answer:
            text = _detail_text(answer["detail"])
    return text or f"HTTP {status} {_phrase(status)}".rstrip()


def _detail_text(detail: Any) -> str:
    """FastAPI's problems, without the inputs that it repeats beside them."""
    if isinstance(detail, str):
        return shortened(detail)
    if not isinstance(detail, list):
        return ""
    texts = [
        f"{'.'.join(map(str, problem.get('loc', ())))}: {problem['msg']}"
        for problem in detail
        if isinstance(problem, dict) and isinstance(problem.get("msg"), str)
    ]
    more = len(texts) - _MOST_PROBLEMS
    shown = "; ".join(texts[:_MOST_PROBLEMS])
    return shortened(f"{shown}; and {more} more" if more > 0 else shown)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
