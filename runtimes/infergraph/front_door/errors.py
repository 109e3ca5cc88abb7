"""What went wrong, as a status and a text that are fit for the caller, over REST and gRPC."""

from __future__ import annotations

import logging

import grpc
import orjson
from mlserver.errors import MLServerError

from ..errors import (
    InfergraphError,
    InvalidInput,
    Overloaded,
    StageFailure,
    TooLarge,
    from_status,
)
from ..request import ERROR_HEADER
from . import metrics

logger = logging.getLogger(__name__)

_CODES = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_RETRY_AFTER_SECONDS = b"1"
_LONGEST_DETAILS = 2000
"""UTF-8 bytes of a gRPC error's text. Each may take three in the trailers, whose limit is 8 KB."""
JSON = (b"content-type", b"application/json")


def as_ours(error: Exception, where: str) -> InfergraphError:
    """Any error as one of ours; one that nobody raised on purpose is logged, and told by its class.

    Args:
        error: What was raised.
        where: What failed, for example a model.
    """
    if isinstance(error, InfergraphError):
        if isinstance(error, TooLarge) and error.cause:
            # Of the limits of the codecs, which know no metrics.
            metrics.refusals.labels(error.cause).inc()
        return error
    if isinstance(error, MLServerError):
        text = str(error)
        kind = from_status(error.status_code, text)
        if kind.status_code == error.status_code:
            return kind
        return _of_status(error.status_code, text)
    if isinstance(error, MemoryError):
        return Overloaded(f"{where}: not enough memory for this request now; try again later")
    logger.exception("%s failed", where, exc_info=error)
    return StageFailure.unexpected(where, error)


def _of_status(status: int, text: str) -> InfergraphError:
    """An error of a status that none of our classes has, as a stock model may choose it."""
    base = InvalidInput if status < 500 else StageFailure
    kind = type(base.__name__, (base,), {"status_code": status})
    error: InfergraphError = kind(text)
    return error


def grpc_code(error: InfergraphError) -> grpc.StatusCode:
    """The gRPC status of an error."""
    status = error.status_code
    found = _CODES.get(status)
    if found is not None:
        return found
    return grpc.StatusCode.INVALID_ARGUMENT if status < 500 else grpc.StatusCode.INTERNAL


def grpc_details(error: InfergraphError) -> str:
    """The text of an error, cut to what gRPC's trailers can hold."""
    encoded = str(error).encode("utf-8", "replace")
    if len(encoded) <= _LONGEST_DETAILS:
        return encoded.decode()
    return encoded[:_LONGEST_DETAILS].decode("utf-8", "ignore") + "..."


def rest_error(error: InfergraphError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of an error over REST."""
    text = str(error).encode("utf-8", "replace").decode()
    body = orjson.dumps({"error": text})
    headers = [JSON, (ERROR_HEADER.encode(), type(error).__name__.encode())]
    if error.status_code == 503:
        headers.append((b"retry-after", _RETRY_AFTER_SECONDS))
    elif error.status_code == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return error.status_code, headers, body
