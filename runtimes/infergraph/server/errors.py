"""Infergraph's errors as MLServer's, with the right gRPC codes, logged at the right level."""

from __future__ import annotations

import logging

import grpc
import mlserver.grpc.servicers as grpc_servicers
import mlserver.grpc.utils as grpc_utils
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from mlserver.errors import MLServerError
from mlserver.grpc.logging import logger as grpc_logger

from ..errors import InfergraphError
from ..request import ERROR_HEADER
from . import grpc_call

logger = logging.getLogger(__name__)

_GRPC_CODES = {
    422: grpc.StatusCode.INVALID_ARGUMENT,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}

_MOST_PROBLEMS = 5


class AnsweredError(MLServerError):
    """An InfergraphError on its way out.

    Attributes:
        kind: The error's class name; the answer's header `infergraph-error`, or trailing metadata.
    """

    def __init__(self, error: InfergraphError) -> None:
        super().__init__(str(error), error.status_code)
        self.kind = type(error).__name__


def as_mlserver_error(error: InfergraphError) -> AnsweredError:
    """The error that MLServer answers with this error's status and text.

    Call it in the request's own task: a gRPC call gets its trailing metadata here.
    """
    answered = AnsweredError(error)
    grpc_call.set_trailing_metadata(ERROR_HEADER, answered.kind)
    return answered


async def answer_error(request: Request, error: Exception) -> Response:
    """Answers an error with its status and text, as MLServer does, and its class as a header."""
    if isinstance(error, InfergraphError):
        # A model that does not load; on their way out of a request they are AnsweredErrors.
        logger.error("%s", error)
        error = AnsweredError(error)
    assert isinstance(error, MLServerError)
    kind = getattr(error, "kind", None)
    headers = None if kind is None else {ERROR_HEADER: kind}
    return JSONResponse({"error": str(error)}, error.status_code, headers)


async def answer_malformed_body(request: Request, error: Exception) -> Response:
    """Answers a body that is not V2 JSON with 422 and a text; FastAPI's echoes the whole body."""
    assert isinstance(error, RequestValidationError)
    problems = []
    for problem in error.errors()[:_MOST_PROBLEMS]:
        field = ".".join(str(part) for part in problem["loc"] if part != "body")
        problems.append(f"{field}: {problem['msg']}" if field else str(problem["msg"]))
    text = "the body is not a V2 inference request: " + "; ".join(problems)
    if not request.headers.get("content-type", "").startswith("application/json"):
        text += "; the header content-type must be application/json"
    return JSONResponse({"error": text}, status_code=422)


def install() -> None:
    """Maps 422, 503 and 504 to gRPC codes, and quiets the log of errors that were answered."""
    grpc_utils.STATUS_CODE_MAPPING.update(_GRPC_CODES)
    grpc_logger.addFilter(_without_traceback)
    grpc_servicers.to_headers = grpc_call.noting_the_call  # type: ignore[assignment,attr-defined]


def _without_traceback(record: logging.LogRecord) -> bool:
    """MLServer logs each answered error with a traceback, as an error; most are the client's."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, MLServerError):
        record.exc_info = None
        record.exc_text = None
        record.levelno = logging.INFO if error.status_code < 500 else logging.WARNING
        record.levelname = logging.getLevelName(record.levelno)
        return grpc_logger.isEnabledFor(record.levelno)
    return True
